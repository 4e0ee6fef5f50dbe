//! `INSERT INTO t VALUES (?, ?)`: rows of parameters are the rows. They are written as they come, however many they are, and nothing is planned.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::{StreamExt, stream};

use super::super::api::DoneResult;
use super::super::error::EngineError;
use super::super::options::OptionValues;
use super::super::plan::Engine;
use super::super::queries::Arrival;
use super::super::session::Session;
use super::super::sql::ParsedStatement;
use super::target::Target;
use super::{INSERT, counted};

impl Engine {
    /// Writes rows of parameters. `places`: for each column of the rows the parameter, counted from 0.
    pub(in super::super) async fn insert_parameters(
        &self,
        session: &Session,
        parsed: &ParsedStatement,
        values: &OptionValues,
        (places, rows): (Vec<usize>, RecordBatch),
        arrival: &mut Arrival,
    ) -> Result<DoneResult, EngineError> {
        arrival.kind = INSERT;
        let target = self.target_of(session, parsed, values)?;
        arrival.tables = vec![target.name.to_string()];
        target.check_width(places.len())?;
        parsed.parameters.check_count(rows.num_columns())?;
        let rows = rows.project(&places).map_err(|error| EngineError::Internal(error.to_string()))?;
        let written = self.write(target, stream::iter([Ok(rows)]).boxed()).await?;
        tracing::debug!(query_id = %arrival.id, records = written.acknowledged, bytes = written.bytes, "inserted");
        counted(arrival.id.clone(), written.acknowledged)
    }
}

/// Names and types of the parameters: those of the columns that they go into.
pub(super) fn types(target: &Target, places: &[usize]) -> SchemaRef {
    let count = places.iter().max().map_or(0, |highest| highest + 1);
    let mut types = vec![DataType::Null; count];
    for (at, place) in places.iter().enumerate() {
        types[*place] = target.data_type(at);
    }
    let field = |(index, data_type)| Field::new(format!("${}", index + 1), data_type, true);
    Arc::new(Schema::new(types.into_iter().enumerate().map(field).collect::<Vec<_>>()))
}
