//! The schemas of a definition, by the ids that headers give them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm};

use super::schema::Schema;
use super::walk::Step;
use crate::{AvroFormat, AvroFraming};

/// Writers' schemas. Ids are numbers of at most 128 bits: Confluent's, Glue's UUIDs, fingerprints; 0 where there is but one schema.
#[derive(Debug)]
pub(crate) struct Writers {
    pub(crate) by_id: HashMap<u128, Arc<Schema>>,
}

/// The id of the only schema.
pub(super) const ONLY: u128 = 0;

/// The schemas of a format, compiled.
pub(crate) fn compile(format: &AvroFormat) -> Result<Arc<Writers>, String> {
    format.compiled.get_or_try(|| {
        let mut by_id = HashMap::new();
        for (id, text) in &format.schemas {
            let schema = Schema::parse(text).map_err(|error| match id.is_empty() {
                true => error,
                false => format!("schema {id}: {error}"),
            })?;
            let key = key(format.framing, id, text)?;
            if by_id.insert(key, Arc::new(schema)).is_some() && format.framing != AvroFraming::SingleObject {
                return Err(format!("schema {id} is given twice"));
            }
        }
        Ok(Writers { by_id })
    })
}

/// The id by which a header names a schema.
pub(crate) fn key(framing: AvroFraming, id: &str, text: &str) -> Result<u128, String> {
    Ok(match framing {
        AvroFraming::Datum | AvroFraming::Container => ONLY,
        AvroFraming::SingleObject => u128::from(fingerprint(text)?),
        AvroFraming::Confluent => u128::from(
            id.trim()
                .parse::<u32>()
                .map_err(|_| format!("`{id}` is not the number of a schema"))?,
        ),
        AvroFraming::Glue => uuid::Uuid::try_parse(id.trim())
            .map_err(|_| format!("`{id}` is not the UUID of a schema version"))?
            .as_u128(),
    })
}

/// The CRC-64-AVRO fingerprint of a schema's parsing canonical form.
fn fingerprint(text: &str) -> Result<u64, String> {
    let schema = AvroSchema::new(text.to_owned());
    match schema.fingerprint(FingerprintAlgorithm::Rabin) {
        Ok(Fingerprint::Rabin(fingerprint)) => Ok(fingerprint),
        Ok(other) => Err(format!("{other:?} is not the fingerprint of a single object's schema")),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether any writer writes what a column asks for. A column that none writes would be NULL in every row; which writers containers have is not known.
pub(crate) fn check_path(format: &AvroFormat, path: &[String]) -> Result<(), String> {
    let writers = compile(format)?;
    if format.framing == AvroFraming::Container {
        return Ok(());
    }
    let written = |schema: &Arc<Schema>| Step::bind(schema, schema.root, &[(0, path)]).is_some();
    match writers.by_id.is_empty() || writers.by_id.values().any(written) {
        true => Ok(()),
        false => Err(format!("no schema has a value at `{}`", path.join("/"))),
    }
}
