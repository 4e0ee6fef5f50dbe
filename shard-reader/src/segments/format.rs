//! A segment as a Parquet file: user records after de-aggregation, payloads as they came.
//!
//! Row groups are small, so that a part can be read. Where each of them ends stands in the file's metadata. A record that fans out lies in one of them: a
//! range may end after it, and whoever reads to there must have all of it.

use std::sync::Arc;

use arrow::array::Array;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::ChunkReader;
use parquet::schema::types::ColumnPath;

use super::name::{Checksum, FORMAT, SegmentName};
use crate::{Position, Records};

/// A part of a file that is read at once becomes a segment in memory: about as much as a page of GetRecords.
const GROUP_BYTES: usize = 4 << 20;
const GROUP_ROWS: usize = 16_384;
const VERSION_KEY: &str = "shardflight.format";
const NAME_KEY: &str = "shardflight.name";
const ENDS_KEY: &str = "shardflight.group_ends";

/// A file that is not what its name says.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damage(String);

impl From<ParquetError> for Damage {
    fn from(error: ParquetError) -> Self {
        Self(format!("not readable as Parquet: {error}"))
    }
}

/// Where each row group ends.
pub(crate) type Groups = Arc<[Position]>;

/// A run of records that a file is to hold.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) name: SegmentName,
    pub(crate) bytes: Bytes,
    pub(crate) groups: Groups,
}

/// Whether a file can hold these: a record without an arrival time is never known to be within retention.
pub(crate) fn is_storable(records: &Records) -> bool {
    records.arrivals().null_count() == 0
}

/// A file of records that follow each other, all there are between two points. `None`: a name cannot say it.
pub(crate) fn encode(from: Position, to: Position, parts: &[Records]) -> Result<Option<Encoded>, ParquetError> {
    let pieces = cut(parts);
    let ends: Vec<Position> = ends(&pieces, to);
    let rows: usize = parts.iter().map(Records::len).sum();
    let arrivals = parts.iter().filter_map(|part| {
        let (least, greatest) = (arrow::compute::min(part.arrivals())?, arrow::compute::max(part.arrivals())?);
        Some((least, greatest))
    });
    let arrivals = arrivals.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
    let (Some(arrivals), Ok(rows)) = (arrivals, u32::try_from(rows)) else {
        return Ok(None);
    };
    let mut name = SegmentName {
        from,
        to,
        rows,
        wire_bytes: parts.iter().map(|part| part.wire_bytes(0..part.len())).sum(),
        arrivals,
        checksum: Checksum::default(),
    };
    if !name.is_sayable() || !parts.iter().all(is_storable) {
        return Ok(None);
    }
    let raw = usize::try_from(name.wire_bytes).unwrap_or_default();
    let mut writer = ArrowWriter::try_new(Vec::with_capacity(raw / 4), Records::schema(), Some(properties(&name, &ends)))?;
    for group in pieces {
        for piece in group {
            writer.write(&piece.to_batch()?)?;
        }
        writer.flush()?;
    }
    let bytes = Bytes::from(writer.into_inner()?);
    name.checksum = Checksum::of(&bytes);
    Ok(Some(Encoded {
        name,
        bytes,
        groups: ends.into(),
    }))
}

/// Row groups, each a list of slices. None but the first begins inside a record that fans out.
fn cut(parts: &[Records]) -> Vec<Vec<Records>> {
    let mut groups: Vec<Vec<Records>> = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    for part in parts {
        let mut from = 0;
        while from < part.len() {
            let full = rows >= GROUP_ROWS || bytes >= GROUP_BYTES;
            if groups.is_empty() || (full && part.subs().value(from) == 0) {
                groups.push(Vec::new());
                (rows, bytes) = (0, 0);
            }
            let most = part.len().min(from + GROUP_ROWS.saturating_sub(rows));
            // one record at least, so that this ends
            let mut to = from + 1;
            bytes += part.data_bytes(from..to);
            while to < most && bytes < GROUP_BYTES {
                bytes += part.data_bytes(to..to + 1);
                to += 1;
            }
            while to < part.len() && part.subs().value(to) > 0 {
                bytes += part.data_bytes(to..to + 1);
                to += 1;
            }
            rows += to - from;
            if let Some(group) = groups.last_mut() {
                group.push(part.slice(from, to - from));
            }
            from = to;
        }
    }
    groups
}

fn ends(groups: &[Vec<Records>], to: Position) -> Vec<Position> {
    let last = groups.len().saturating_sub(1);
    let of = |(index, group): (usize, &Vec<Records>)| match group.last() {
        Some(piece) if index < last => piece.end_of(piece.len() - 1),
        _ => to,
    };
    groups.iter().enumerate().map(of).collect()
}

fn properties(name: &SegmentName, ends: &[Position]) -> WriterProperties {
    let column = |name: &str| ColumnPath::from(name);
    let ends: Vec<String> = ends.iter().map(Position::to_string).collect();
    WriterProperties::builder()
        .set_created_by("shardflight".into())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None)
        .set_column_dictionary_enabled(column("sequence"), false)
        .set_column_encoding(column("sequence"), Encoding::DELTA_BYTE_ARRAY)
        .set_column_dictionary_enabled(column("arrival_ms"), false)
        .set_column_encoding(column("arrival_ms"), Encoding::DELTA_BINARY_PACKED)
        .set_column_dictionary_enabled(column("hash_key"), false)
        .set_column_dictionary_enabled(column("data"), false)
        .set_key_value_metadata(Some(vec![
            KeyValue::new(VERSION_KEY.into(), FORMAT.to_owned()),
            KeyValue::new(NAME_KEY.into(), unchecked(name)),
            KeyValue::new(ENDS_KEY.into(), ends.join(" ")),
        ]))
        .build()
}

/// All that a name says but for the checksum, which is not known while the file is made.
fn unchecked(name: &SegmentName) -> String {
    let checksum = Checksum::default();
    SegmentName { checksum, ..*name }.to_string()
}

/// Checks a whole file against its name, but for the records themselves; says where its row groups end.
pub(crate) fn verify(name: &SegmentName, bytes: &Bytes) -> Result<Groups, Damage> {
    let found = Checksum::of(bytes);
    if found != name.checksum {
        return Err(Damage(format!("its checksum is {found:?}")));
    }
    let metadata = ArrowReaderMetadata::load(bytes, ArrowReaderOptions::new())?;
    let file = metadata.metadata().file_metadata();
    let facts = file.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let fact = |key: &str| facts.iter().find(|fact| fact.key == key).and_then(|fact| fact.value.as_deref());
    if fact(VERSION_KEY) != Some(FORMAT) {
        return Err(Damage(format!("its format is {:?}", fact(VERSION_KEY))));
    }
    if fact(NAME_KEY) != Some(&unchecked(name)) {
        return Err(Damage(format!("it was written as {:?}", fact(NAME_KEY))));
    }
    let ends: Result<Vec<Position>, _> = fact(ENDS_KEY).unwrap_or_default().split(' ').map(str::parse).collect();
    let ends = ends.map_err(|error| Damage(error.to_string()))?;
    let ascending = ends.first().is_some_and(|first| *first > name.from) && ends.is_sorted_by(|a, b| a < b);
    if !ascending || ends.last() != Some(&name.to) || ends.len() != metadata.metadata().num_row_groups() {
        return Err(Damage("its row groups do not end where its name says".into()));
    }
    if file.num_rows() != i64::from(name.rows) {
        return Err(Damage(format!("it has {} rows", file.num_rows())));
    }
    Ok(ends.into())
}

/// A part of a file.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) from: Position,
    pub(crate) to: Position,
    pub(crate) records: Records,
}

/// The row group that a point lies in, of a file that is verified.
pub(crate) fn read_at(name: &SegmentName, groups: &Groups, file: impl ChunkReader + 'static, point: Position) -> Result<Part, Damage> {
    let index = groups.partition_point(|end| *end <= point);
    let from = index.checked_sub(1).map_or(name.from, |before| groups[before]);
    let to = *groups.get(index).ok_or_else(|| Damage(format!("it does not reach {point}")))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let rows = usize::try_from(builder.metadata().row_group(index).num_rows()).unwrap_or_default();
    let mut batches = builder.with_batch_size(rows.max(1)).with_row_groups(vec![index]).build()?;
    let batch = batches.next().ok_or_else(|| Damage("a row group is empty".into()))?;
    let batch = batch.map_err(|error| Damage(format!("not readable as Parquet: {error}")))?;
    let records = Records::from_batch(&batch).ok_or_else(|| Damage("its columns are others".into()))?;
    let cut_inside = index > 0 && !records.is_empty() && records.subs().value(0) > 0;
    let whole = records.len() == rows && !cut_inside && batches.next().is_none() && is_storable(&records) && records.is_ascending();
    if !whole || records.is_empty() || records.start_of(0) < from || records.end_of(records.len() - 1) > to {
        return Err(Damage(format!("its records are not those of {from} to {to}")));
    }
    Ok(Part { from, to, records })
}

#[cfg(test)]
mod tests;
