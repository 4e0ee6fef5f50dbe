//! Errors on their way from node to node. The query engine carries an error of a kind that it does not know as text, so the text must hold all of it.

use std::fmt;

use datafusion::error::DataFusionError;
use serde::{Deserialize, Serialize};

use super::error::{EngineError, ErrorCategory};

/// Before and after what stands for an error in a text: no message of ours holds it.
const MARK: &str = "\u{1}shardflight-error\u{1}";

/// An error that looks the same after it was carried as text, by however many nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CarriedError {
    category: ErrorCategory,
    message: String,
    /// The node that is lost, if that is the error.
    lost: Option<String>,
}

impl CarriedError {
    /// Of any error that a part of a plan gave.
    pub(crate) fn of(error: DataFusionError) -> DataFusionError {
        Self::from(EngineError::from(error)).into_datafusion()
    }

    /// Memory and disk are a node's own: where they are used up, the error names it. Any other error goes on as it is.
    pub(crate) fn exhausted_at(node: &str, error: DataFusionError) -> DataFusionError {
        if found(&error).is_some() {
            return error;
        }
        match EngineError::of(&error) {
            EngineError::Query {
                category: category @ ErrorCategory::ResourceExhausted,
                message,
            } => Self {
                category,
                message: format!("node {node}: {message}"),
                lost: None,
            }
            .into_datafusion(),
            _ => error,
        }
    }

    /// Says that a node is lost.
    pub(crate) fn lost(node: &str, reason: &str) -> DataFusionError {
        let message = format!("node {node} is gone or does not answer: {reason}");
        Self {
            category: ErrorCategory::Unavailable,
            message,
            lost: Some(node.to_owned()),
        }
        .into_datafusion()
    }

    fn into_datafusion(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }
}

impl From<EngineError> for CarriedError {
    fn from(error: EngineError) -> Self {
        let category = error.category();
        match error {
            EngineError::NodeLost { node, message } => Self {
                category,
                message,
                lost: Some(node),
            },
            error => Self {
                category,
                message: error.to_string(),
                lost: None,
            },
        }
    }
}

impl From<CarriedError> for EngineError {
    fn from(carried: CarriedError) -> Self {
        let CarriedError { category, message, lost } = carried;
        match lost {
            Some(node) => Self::NodeLost { node, message },
            None => Self::Query { category, message },
        }
    }
}

impl fmt::Display for CarriedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        write!(f, "{MARK}{text}{MARK}")
    }
}

impl std::error::Error for CarriedError {}

/// The error of ours that another node met, if the text of this one holds it.
pub(super) fn found(error: &DataFusionError) -> Option<EngineError> {
    let text = error.to_string();
    let (_, from) = text.split_once(MARK)?;
    let (carried, _) = from.split_once(MARK)?;
    serde_json::from_str::<CarriedError>(carried).ok().map(EngineError::from)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::error::ArrowError;

    use super::*;

    /// What is left of an error after a node sent it.
    fn sent(error: &DataFusionError) -> DataFusionError {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Text(String);
        DataFusionError::Context(
            "a task".into(),
            Box::new(DataFusionError::External(Box::new(Text(error.to_string())))),
        )
    }

    #[test]
    fn category_and_message_survive_any_number_of_nodes() {
        let denied = EngineError::Denied("table t: \u{1} not yours".into()).into_datafusion();
        let mut error = CarriedError::of(denied);
        for _ in 0..3 {
            error = CarriedError::of(sent(&error));
        }
        let error = EngineError::from(sent(&error));
        assert_eq!(error.category(), ErrorCategory::PermissionDenied);
        assert_eq!(error.to_string(), "table t: \u{1} not yours");
    }

    #[test]
    fn errors_of_arrow_keep_their_category_too() {
        let overflow = DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None);
        let error = EngineError::from(sent(&CarriedError::of(overflow)));
        assert_eq!(error.category(), ErrorCategory::InvalidArgument);
        assert!(error.to_string().contains("Divide by zero"), "{error}");
    }

    #[test]
    fn a_lost_node_is_named_by_whoever_hears_of_it() {
        let error = sent(&CarriedError::lost("http://10.0.0.7:32020/", "no answer"));
        let EngineError::NodeLost { node, message } = EngineError::from(error) else {
            panic!("another error");
        };
        assert_eq!(node, "http://10.0.0.7:32020/");
        assert!(message.contains("no answer"), "{message}");
    }

    #[test]
    fn a_node_without_room_is_named_by_whoever_hears_of_it_first() {
        // as the query engine words it, out of a writer's error
        let spilled = "The used disk space during the spilling process has exceeded the allowable limit of 1 MB.";
        let full = ArrowError::IoError(spilled.into(), std::io::Error::other(spilled));
        for error in [
            DataFusionError::ResourcesExhausted("no memory".into()),
            DataFusionError::ArrowError(Box::new(full), None),
        ] {
            let named = CarriedError::exhausted_at("http://10.0.0.7:32011/", error);
            let error = EngineError::from(CarriedError::exhausted_at("http://10.0.0.8:32011/", sent(&named)));
            assert_eq!(error.category(), ErrorCategory::ResourceExhausted, "{error}");
            assert!(error.to_string().starts_with("node http://10.0.0.7:32011/: "), "{error}");
        }
        let other = CarriedError::exhausted_at("http://10.0.0.7:32011/", DataFusionError::Plan("wrong".into()));
        assert!(matches!(other, DataFusionError::Plan(_)), "{other}");
    }
}
