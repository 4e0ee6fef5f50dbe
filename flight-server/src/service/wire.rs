//! Messages of Flight and Flight SQL that `arrow-flight` does not generate; tags as in `Flight.proto` and `FlightSql.proto`.

use std::collections::HashMap;

use bytes::Bytes;

use crate::engine::OptionValue;

/// `SessionOptionValue`: without a value it erases.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SessionOptionValue {
    #[prost(oneof = "SessionOption", tags = "1, 2, 3, 4, 5")]
    pub(crate) value: Option<SessionOption>,
}

/// The kinds of values a session option has.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum SessionOption {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    List(StringList),
}

/// `SessionOptionValue.StringListValue`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StringList {
    #[prost(string, repeated, tag = "1")]
    pub(crate) values: Vec<String>,
}

/// `SetSessionOptionsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) session_options: HashMap<String, SessionOptionValue>,
}

/// `SetSessionOptionsResult`: only what failed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) errors: HashMap<String, SessionOptionError>,
}

/// `SetSessionOptionsResult.Error`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SessionOptionError {
    #[prost(enumeration = "SessionOptionErrorValue", tag = "1")]
    pub(crate) value: i32,
}

/// `SetSessionOptionsResult.ErrorValue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum SessionOptionErrorValue {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

/// `GetSessionOptionsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetSessionOptionsRequest {}

/// `GetSessionOptionsResult`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) session_options: HashMap<String, SessionOptionValue>,
}

/// `CloseSessionRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CloseSessionRequest {}

/// `CloseSessionResult`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CloseSessionResult {
    #[prost(enumeration = "CloseSessionStatus", tag = "1")]
    pub(crate) status: i32,
}

/// `CloseSessionResult.Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum CloseSessionStatus {
    Unspecified = 0,
    Closed = 1,
    Closing = 2,
    NotCloseable = 3,
}

/// `ActionCreatePreparedStatementResult` with the field `is_update`, which `arrow-flight` 59 lacks.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CreatePreparedStatementResult {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) prepared_statement_handle: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) dataset_schema: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) parameter_schema: Bytes,
    #[prost(bool, optional, tag = "4")]
    pub(crate) is_update: Option<bool>,
}

impl From<SessionOption> for OptionValue {
    fn from(value: SessionOption) -> Self {
        match value {
            SessionOption::Text(text) => Self::Text(text),
            SessionOption::Bool(flag) => Self::Bool(flag),
            SessionOption::Int(number) => Self::Int(number),
            SessionOption::Float(number) => Self::Float(number),
            SessionOption::List(list) => Self::List(list.values),
        }
    }
}

impl From<OptionValue> for SessionOptionValue {
    fn from(value: OptionValue) -> Self {
        Self {
            value: Some(match value {
                OptionValue::Text(text) => SessionOption::Text(text),
                OptionValue::Bool(flag) => SessionOption::Bool(flag),
                OptionValue::Int(number) => SessionOption::Int(number),
                OptionValue::Float(number) => SessionOption::Float(number),
                OptionValue::List(values) => SessionOption::List(StringList { values }),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// Bytes written by hand from `Flight.proto`.
    #[test]
    fn tags_and_wire_types_are_those_of_the_protocol() {
        let value = |value| SessionOptionValue { value: Some(value) }.encode_to_vec();
        assert_eq!(value(SessionOption::Text("a".into())), [0x0a, 1, b'a']);
        assert_eq!(value(SessionOption::Bool(true)), [0x10, 1]);
        assert_eq!(value(SessionOption::Int(123)), [0x19, 123, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(value(SessionOption::Float(1.0)), [0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        assert_eq!(
            value(SessionOption::List(StringList { values: vec!["b".into()] })),
            [0x2a, 3, 0x0a, 1, b'b']
        );
        let result = SetSessionOptionsResult {
            errors: HashMap::from([(
                "k".to_owned(),
                SessionOptionError {
                    value: SessionOptionErrorValue::InvalidValue.into(),
                },
            )]),
        };
        assert_eq!(result.encode_to_vec(), [0x0a, 7, 0x0a, 1, b'k', 0x12, 2, 0x08, 2]);
        let closed = CloseSessionResult {
            status: CloseSessionStatus::Closed.into(),
        };
        assert_eq!(closed.encode_to_vec(), [0x08, 1]);
        let prepared = CreatePreparedStatementResult {
            prepared_statement_handle: Bytes::from_static(b"h"),
            is_update: Some(false),
            ..Default::default()
        };
        assert_eq!(prepared.encode_to_vec(), [0x0a, 1, b'h', 0x20, 0]);
    }
}
