//! Statements that are prepared: checked and typed, not run.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};

use super::api::Prepared;
use super::error::EngineError;
use super::options::OptionValues;
use super::plan::Engine;
use super::session::Session;
use super::sql::{ScratchStatement, StatementKind, parse};
use super::statement::Asker;
use super::{commands, definitions, procedures};

impl Engine {
    /// Checks and types a statement without pinning or running anything.
    pub async fn prepare(
        &self,
        session: &Session,
        sql: &str,
        overrides: &OptionValues,
        bound: Option<RecordBatch>,
    ) -> Result<Prepared, EngineError> {
        let parsed = parse(sql)?;
        let values = overrides.over(&session.options());
        let none = || SchemaRef::new(Schema::empty());
        match &parsed.kind {
            StatementKind::Set { .. } | StatementKind::Reset { .. } | StatementKind::Transaction(_) => Ok(Prepared {
                schema: None,
                is_update: true,
                parameters: none(),
            }),
            StatementKind::Show { name } => Ok(Prepared {
                schema: Some(commands::show_schema(name.is_none())),
                is_update: false,
                parameters: none(),
            }),
            StatementKind::Call(call) => Ok(Prepared {
                schema: Some(procedures::schema(call)?),
                is_update: false,
                parameters: none(),
            }),
            StatementKind::Definition(definition) => {
                let schema = definitions::schema(definition);
                Ok(Prepared {
                    is_update: schema.is_none(),
                    schema,
                    parameters: none(),
                })
            }
            StatementKind::Copy { .. } => self.prepare_copy(session, parsed, &values).await,
            StatementKind::Insert { .. } => self.prepare_insert(session, parsed, &values).await,
            StatementKind::Scratch(ScratchStatement::CreateTable(_)) => self.prepare_create(session, parsed, &values, bound).await,
            StatementKind::Scratch(_) | StatementKind::Offload(_) => Ok(Prepared {
                schema: None,
                is_update: true,
                parameters: none(),
            }),
            StatementKind::Query(_) => {
                let asker = Asker {
                    query_id: String::new(),
                    principal: session.principal().to_string(),
                };
                let mut parsed = parsed.described(bound)?;
                let tables = self.tables_now(session, &mut parsed).await?;
                let statement = self.statement(parsed, &values, tables, asker).await?;
                Ok(Prepared {
                    schema: Some(statement.schema),
                    is_update: false,
                    parameters: statement.parameters,
                })
            }
        }
    }
}
