//! Object container files: a header with the schema, then blocks of objects.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use super::super::RowFormat;
use super::super::contents::DecodeError;
use super::super::rows::Rows;
use super::batch::Batch;
use super::cursor::{Broken, Cursor};
use super::schema::Schema;
use super::{Bound, not_a_datum};
use crate::compression::{Inflater, MOST_INFLATED};
use crate::{Codec, Compression};

const MAGIC: &[u8] = b"Obj\x01";
/// A copy of three bytes gives 64 (snappy's `format_description.txt`): no block grows more.
const MOST_SNAPPY_RATIO: usize = 22;
/// Schemas of containers that a decoder keeps.
const MOST_KEPT: usize = 16;

/// A row for each object in a record's container.
#[derive(Debug)]
pub(super) struct Containers {
    paths: Vec<Vec<String>>,
    /// Schemas met, as text and bound; the last one last.
    kept: Vec<(Vec<u8>, Arc<Bound>)>,
    zstd: Inflater,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum BlockCodec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

struct Header<'a> {
    schema: &'a [u8],
    codec: BlockCodec,
    sync: &'a [u8],
}

impl Containers {
    pub(super) fn new(paths: Vec<Vec<String>>) -> Self {
        Self {
            paths,
            kept: Vec::new(),
            zstd: Inflater::new(Compression::Chain(vec![Codec::Zstd])),
        }
    }

    /// Puts the schema of that text last among those kept.
    fn meet(&mut self, text: &[u8]) -> Result<(), String> {
        if let Some(at) = self.kept.iter().position(|(known, _)| known == text) {
            let known = self.kept.remove(at);
            self.kept.push(known);
            return Ok(());
        }
        let json = std::str::from_utf8(text).map_err(|_| "the schema is not UTF-8".to_owned())?;
        let bound = Arc::new(Bound::new(Arc::new(Schema::parse(json)?), &self.paths));
        if self.kept.len() >= MOST_KEPT {
            self.kept.remove(0);
        }
        self.kept.push((text.to_vec(), bound));
        Ok(())
    }

    /// The next block's objects; what is wrong with it ends the record, for nothing tells where another block would begin.
    fn block(&mut self, header: &Header<'_>, cursor: &mut Cursor<'_>, rows: &mut Rows) -> Result<Result<(), String>, DecodeError> {
        let (count, data) = match frame(header, cursor) {
            Ok(block) => block,
            Err(reason) => return Ok(Err(reason)),
        };
        let data = match undo(header.codec, data, &mut self.zstd) {
            Ok(data) => data,
            Err(reason) => return Ok(Err(reason)),
        };
        if let Cow::Owned(inflated) = &data {
            rows.repeat(inflated.len())?;
        }
        let Some((_, bound)) = self.kept.last() else { return Ok(Ok(())) };
        let mut objects = cursor.within(&data);
        if let Err(broken) = objects.expect(count, bound.schema.may_be_empty(bound.schema.root)) {
            return Ok(Err(not_a_datum(&broken)));
        }
        let mut batch = Batch::new(rows.width());
        for index in 0..count {
            if batch.is_full_for(bound) {
                take(&mut batch, rows)?;
            }
            if let Err(broken) = batch.push_next(bound, &data, &mut objects) {
                take(&mut batch, rows)?;
                // The block's end is known, so that the next one can be read; the other objects of this one cannot be told apart.
                rows.bad_row(format!("object {index} of the {count} of a block: {}", not_a_datum(&broken)));
                rows.rows_of(1)?;
                cursor.after(&objects);
                return Ok(Ok(()));
            }
        }
        take(&mut batch, rows)?;
        cursor.after(&objects);
        Ok(match objects.rest() {
            0 => Ok(()),
            rest => Err(format!("a block goes on for {rest} bytes after its {count} objects")),
        })
    }
}

impl RowFormat for Containers {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        for record in records {
            let mut cursor = Cursor::new(record);
            let header = match read_header(&mut cursor).and_then(|header| self.meet(header.schema).map(|()| header)) {
                Ok(header) => header,
                Err(reason) => {
                    rows.bad_record(format!("not an object container file: {reason}"))?;
                    continue;
                }
            };
            while cursor.rest() > 0 {
                if let Err(reason) = self.block(&header, &mut cursor, rows)? {
                    rows.bad_row(format!("in an object container file: {reason}"));
                    rows.rows_of(1)?;
                    break;
                }
            }
            rows.end_record();
        }
        Ok(())
    }
}

/// Adds the rows that wait, all of the open record.
fn take(batch: &mut Batch<'_>, rows: &mut Rows) -> Result<(), DecodeError> {
    let count = batch.columns(rows)?;
    rows.rows_of(count)
}

/// The schema of a container, as text.
pub(super) fn schema_text(content: &[u8]) -> Option<&[u8]> {
    read_header(&mut Cursor::new(content)).ok().map(|header| header.schema)
}

fn read_header<'a>(cursor: &mut Cursor<'a>) -> Result<Header<'a>, String> {
    let broken = |broken: Broken| broken.to_string();
    if cursor.take(MAGIC.len()).map_err(broken)? != MAGIC {
        return Err("it does not begin with `Obj` and a one".to_owned());
    }
    let (mut schema, mut codec) = (None, &b"null"[..]);
    while let Some((count, end)) = cursor.block(false).map_err(broken)? {
        for _ in 0..count {
            let key = cursor.bytes().map_err(broken)?;
            let value = cursor.bytes().map_err(broken)?;
            match key {
                b"avro.schema" => schema = Some(value),
                b"avro.codec" => codec = value,
                _ => {}
            }
        }
        cursor.block_ends(end).map_err(broken)?;
    }
    Ok(Header {
        schema: schema.ok_or("it has no schema")?,
        codec: match codec {
            b"null" | b"" => BlockCodec::Null,
            b"deflate" => BlockCodec::Deflate,
            b"snappy" => BlockCodec::Snappy,
            b"zstandard" => BlockCodec::Zstandard,
            other => {
                return Err(format!(
                    "its codec `{}` is not supported",
                    String::from_utf8_lossy(other).escape_debug()
                ));
            }
        },
        sync: cursor.take(16).map_err(broken)?,
    })
}

/// A block's number of objects and its data, as stored.
fn frame<'a>(header: &Header<'_>, cursor: &mut Cursor<'a>) -> Result<(usize, &'a [u8]), String> {
    let broken = |broken: Broken| broken.to_string();
    let count = cursor.long().map_err(broken)?;
    let count = usize::try_from(count).map_err(|_| Broken::Length(count).to_string())?;
    let data = cursor.bytes().map_err(broken)?;
    if cursor.take(header.sync.len()).map_err(broken)? != header.sync {
        return Err("no sync marker after a block".to_owned());
    }
    Ok((count, data))
}

fn undo<'a>(codec: BlockCodec, data: &'a [u8], zstd: &mut Inflater) -> Result<Cow<'a, [u8]>, String> {
    match codec {
        BlockCodec::Null => Ok(Cow::Borrowed(data)),
        BlockCodec::Zstandard => zstd.inflate(data),
        BlockCodec::Deflate => {
            let mut inflated = Vec::new();
            flate2::bufread::DeflateDecoder::new(data)
                .take(MOST_INFLATED as u64 + 1)
                .read_to_end(&mut inflated)
                .map_err(|error| format!("deflate: damaged: {error}"))?;
            match inflated.len() > MOST_INFLATED {
                true => Err(format!("deflate: inflates to more than {} MiB", MOST_INFLATED >> 20)),
                false => Ok(Cow::Owned(inflated)),
            }
        }
        BlockCodec::Snappy => snappy(data).map(Cow::Owned),
    }
}

/// A raw block and the checksum of what it inflates to.
fn snappy(data: &[u8]) -> Result<Vec<u8>, String> {
    let (block, checksum) = data.split_last_chunk::<4>().ok_or("snappy: damaged: no checksum")?;
    let length = snap::raw::decompress_len(block).map_err(|error| format!("snappy: damaged: {error}"))?;
    if length > MOST_INFLATED || length > block.len().saturating_mul(MOST_SNAPPY_RATIO) {
        return Err(format!("snappy: inflates to {length} bytes, more than it can or may"));
    }
    let inflated = snap::raw::Decoder::new()
        .decompress_vec(block)
        .map_err(|error| format!("snappy: damaged: {error}"))?;
    match crc32fast::hash(&inflated) == u32::from_be_bytes(*checksum) {
        true => Ok(inflated),
        false => Err("snappy: damaged: the checksum is another".to_owned()),
    }
}
