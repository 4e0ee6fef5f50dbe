//! Procedures that `CALL` runs, once, when it is planned.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use uuid::Uuid;

use super::api::DoneResult;
use super::consume::Steered;
use super::error::EngineError;
use super::plan::Engine;
use super::sql::Call;
use super::statement_options::StatementOptions;

/// A procedure: its name, and its parameters; the last `optional` of them may be left out.
struct Procedure {
    name: &'static str,
    parameters: &'static [&'static str],
    optional: usize,
}

const PROCEDURES: [Procedure; 5] = [
    Procedure {
        name: "abandon_iteration",
        parameters: &["name", "table"],
        optional: 0,
    },
    Procedure {
        name: "cancel_query",
        parameters: &["id"],
        optional: 0,
    },
    Procedure {
        name: "delete_checkpoint",
        parameters: &["name", "table"],
        optional: 1,
    },
    Procedure {
        name: "refresh_catalog",
        parameters: &[],
        optional: 0,
    },
    Procedure {
        name: "reset_checkpoint",
        parameters: &["name", "table", "to"],
        optional: 0,
    },
];

/// Columns of what a procedure about checkpoints did.
const STEERED: [&str; 4] = ["checkpoint", "stream", "next_iteration", "done"];

impl Procedure {
    fn find(call: &Call) -> Result<&'static Self, EngineError> {
        PROCEDURES.iter().find(|known| known.name == call.procedure).ok_or_else(|| {
            let known: Vec<String> = PROCEDURES.iter().map(Self::signature).collect();
            EngineError::NotFound(format!(
                "there is no procedure `{}`; there are {}",
                call.procedure,
                known.join(", ")
            ))
        })
    }

    fn signature(&self) -> String {
        format!("kinesis.system.{}({})", self.name, self.parameters.join(", "))
    }

    /// The arguments in the order of the parameters.
    fn bind(&self, call: &Call) -> Result<Vec<Option<String>>, EngineError> {
        let wrong = |why: String| EngineError::Invalid(format!("CALL: {why}; it is {}", self.signature()));
        let mut bound: Vec<Option<String>> = vec![None; self.parameters.len()];
        for (place, (name, value)) in call.arguments.iter().enumerate() {
            let place = match name {
                None => place,
                Some(name) => self
                    .parameters
                    .iter()
                    .position(|known| known == name)
                    .ok_or_else(|| wrong(format!("there is no parameter `{name}`")))?,
            };
            match bound.get_mut(place) {
                Some(empty @ None) => *empty = Some(value.clone()),
                Some(Some(_)) => return Err(wrong(format!("`{}` is given twice", self.parameters[place]))),
                None => return Err(wrong(format!("{} arguments are too many", call.arguments.len()))),
            }
        }
        let needed = self.parameters.len() - self.optional;
        match bound.iter().take(needed).position(Option::is_none) {
            Some(missing) => Err(wrong(format!("`{}` is missing", self.parameters[missing]))),
            None => Ok(bound),
        }
    }
}

/// Schema of a procedure's rows.
pub(super) fn schema(call: &Call) -> Result<SchemaRef, EngineError> {
    let procedure = Procedure::find(call)?;
    procedure.bind(call)?;
    Ok(schema_of(procedure))
}

fn schema_of(procedure: &Procedure) -> SchemaRef {
    let names: &[&str] = match procedure.name {
        "cancel_query" => &["query_id", "done"],
        "refresh_catalog" => &["tables", "errors"],
        _ => &STEERED,
    };
    let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    Arc::new(Schema::new(fields))
}

impl Engine {
    /// Runs a procedure.
    pub(super) async fn call(&self, principal: &str, options: &StatementOptions, call: &Call) -> Result<DoneResult, EngineError> {
        let procedure = Procedure::find(call)?;
        let arguments = procedure.bind(call)?;
        self.check_call(principal, call, &arguments)?;
        let rows: Vec<Vec<String>> = match (procedure.name, arguments.as_slice()) {
            ("refresh_catalog", []) => {
                let known = self.catalog().refreshed().await;
                vec![vec![
                    (known.tables.len() + known.files.len()).to_string(),
                    known.errors.len().to_string(),
                ]]
            }
            ("cancel_query", [Some(id)]) => vec![self.call_cancel(principal, id)?],
            ("delete_checkpoint", [Some(name), table]) => {
                steered(self.delete_checkpoint(principal, options, name, table.as_deref()).await?)
            }
            ("abandon_iteration", [Some(name), Some(table)]) => {
                steered(vec![self.abandon_iteration(principal, options, name, table).await?])
            }
            ("reset_checkpoint", [Some(name), Some(table), Some(to)]) => {
                steered(vec![self.reset_checkpoint(principal, options, name, table, to).await?])
            }
            (name, _) => return Err(EngineError::Internal(format!("procedure `{name}` does nothing with its arguments"))),
        };
        let schema = schema_of(procedure);
        let column = |index: usize| -> Arc<StringArray> { Arc::new(rows.iter().map(|row| row.get(index)).collect()) };
        let columns = (0..schema.fields().len()).map(|index| column(index) as _).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|error| EngineError::Internal(error.to_string()))?;
        Ok(DoneResult {
            affected: None,
            query_id: Uuid::now_v7().to_string(),
            schema,
            batches: vec![batch],
        })
    }
}

fn steered(rows: Vec<Steered>) -> Vec<Vec<String>> {
    let row = |row: Steered| {
        let next = row.next.map_or_else(String::new, |next| next.to_string());
        vec![row.consumer.name.to_string(), row.consumer.stream.to_string(), next, row.done]
    };
    rows.into_iter().map(row).collect()
}
