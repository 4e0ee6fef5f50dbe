//! Columns that a schema declares, whatever the sample holds.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::propose::{self, InferredColumn};
use crate::compression::Inflater;
use crate::decode::{declared_by_avro, declared_by_protobuf};
use crate::{ColumnType, Format, TableDefinition};

/// Name of the column of data that have no fields.
const WHOLE: &str = "value";

/// The columns of a format with schemas; `None` of any other. The error is a sentence.
pub(super) fn columns(records: &[&[u8]], definition: &TableDefinition) -> Option<Result<Vec<InferredColumn>, String>> {
    let declared = match &definition.format {
        Format::Avro(avro) => {
            let mut inflater = Inflater::new(definition.compression.clone());
            let contents: Vec<Cow<'_, [u8]>> = records.iter().filter_map(|record| inflater.inflate(record).ok()).collect();
            let contents: Vec<&[u8]> = contents.iter().map(|content| &**content).collect();
            declared_by_avro(avro, &contents).map(|fields| {
                fields
                    .into_iter()
                    .map(|(name, field)| (Some(name).filter(|name| !name.is_empty()).into_iter().collect(), field))
                    .collect::<Vec<(Vec<String>, Option<ColumnType>)>>()
            })
        }
        Format::Protobuf(protobuf) => declared_by_protobuf(protobuf).map(|fields| {
            let known = |(path, field)| (path, Some(field));
            fields.into_iter().map(known).collect()
        }),
        _ => return None,
    };
    let mut names = BTreeSet::new();
    Some(declared.map(|fields| {
        let column = |(path, field): (Vec<String>, Option<ColumnType>)| InferredColumn {
            name: propose::name(path.last().map_or(WHOLE, |name| name), &mut names),
            path,
            index: None,
            unseen: field.is_none(),
            column_type: field.unwrap_or(ColumnType::Varchar).to_string(),
            format: None,
        };
        fields.into_iter().map(column).collect()
    }))
}
