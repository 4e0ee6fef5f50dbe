//! Reading a log back after a start.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::LogPlace;
use super::frame::{FRAME_HEADER, FrameHeader, RECORD_HEADER, SEGMENT_HEADER, parse_segment_header, record_lengths};
use super::segment::SegmentFile;
use super::shard_log::{Entry, Segment};
use crate::options::EmbeddedError;

/// What the files of a shard hold.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) segments: VecDeque<Segment>,
    pub(super) index: VecDeque<Entry>,
    pub(super) last_counter: u64,
    pub(super) last_arrival_ms: i64,
    pub(super) next_segment: u32,
}

/// Rebuilds the index from the segment files, given by their numbers. A torn last frame of the last segment, as left by a process that died
/// while writing, is cut off; anything else that does not check is damage.
pub(super) fn recover(place: &LogPlace, files: BTreeMap<u32, PathBuf>) -> Result<Recovered, EmbeddedError> {
    let mut recovered = Recovered::default();
    let last = files.keys().next_back().copied();
    for (number, path) in files {
        recovered.next_segment = number + 1;
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(EmbeddedError::io(&path))?;
        let whole = scan(&file, number, &path, &mut recovered)?;
        let len = file.metadata().map_err(EmbeddedError::io(&path))?.len();
        if whole < len {
            if Some(number) != last {
                return Err(damaged(&path, whole, "the frame is torn and a later segment follows"));
            }
            tracing::warn!(shard = %place.shard, path = %path.display(), offset = whole, bytes = len - whole, "cutting off a torn frame");
            file.set_len(whole).map_err(EmbeddedError::io(&path))?;
        }
        if whole == 0 {
            // Not even the header was written: nothing was ever acknowledged from this file.
            std::fs::remove_file(&path).map_err(EmbeddedError::io(&path))?;
        } else {
            recovered.segments.push_back(Segment {
                number,
                file: SegmentFile::new(path),
                len: whole,
            });
        }
    }
    Ok(recovered)
}

/// Appends the frames of one segment to the index; the answer is the length of the part that is whole.
fn scan(file: &File, number: u32, path: &Path, recovered: &mut Recovered) -> Result<u64, EmbeddedError> {
    let len = file.metadata().map_err(EmbeddedError::io(path))?.len();
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut header = [0; SEGMENT_HEADER];
    if !fill(&mut reader, &mut header).map_err(EmbeddedError::io(path))? {
        return Ok(0);
    }
    let Some(floor) = parse_segment_header(&header) else {
        if only_zeros(&header, &mut reader).map_err(EmbeddedError::io(path))? {
            return Ok(0);
        }
        return Err(damaged(path, 0, "not the header of a shard log"));
    };
    recovered.last_counter = recovered.last_counter.max(floor);

    let mut at = SEGMENT_HEADER as u64;
    let mut body = Vec::new();
    loop {
        let mut header = [0; FRAME_HEADER];
        if !fill(&mut reader, &mut header).map_err(EmbeddedError::io(path))? {
            return Ok(at);
        }
        let Some(frame) = FrameHeader::parse(&header) else {
            if only_zeros(&header, &mut reader).map_err(EmbeddedError::io(path))? {
                return Ok(at);
            }
            return Err(damaged(path, at, "checksum of a frame header"));
        };
        let body_at = at + FRAME_HEADER as u64;
        let end = body_at + u64::from(frame.body_len);
        if end > len {
            return Ok(at);
        }
        body.resize(frame.body_len as usize, 0);
        reader.read_exact(&mut body).map_err(EmbeddedError::io(path))?;
        if crc32fast::hash(&body) != frame.body_crc {
            if end == len {
                return Ok(at);
            }
            return Err(damaged(path, at, "checksum of a frame"));
        }
        index_frame(&frame, &body, number, body_at, recovered).ok_or_else(|| damaged(path, at, "records of a frame"))?;
        at = end;
    }
}

fn index_frame(frame: &FrameHeader, body: &[u8], segment: u32, body_at: u64, recovered: &mut Recovered) -> Option<()> {
    let increases = frame.records > 0 && frame.first_counter > recovered.last_counter;
    if !increases {
        return None;
    }
    let mut at = 0;
    for record in 0..frame.records {
        let (key, data) = record_lengths(body, at)?;
        recovered.index.push_back(Entry {
            counter: frame.first_counter.checked_add(u64::from(record))?,
            arrival_ms: frame.arrival_ms,
            segment,
            offset: u32::try_from(body_at).ok()?.checked_add(u32::try_from(at).ok()?)?,
            data_len: u32::try_from(data).ok()?,
            key_len: u16::try_from(key).ok()?,
        });
        at += RECORD_HEADER + key + data;
    }
    recovered.last_counter = frame.first_counter + u64::from(frame.records - 1);
    recovered.last_arrival_ms = recovered.last_arrival_ms.max(frame.arrival_ms);
    (at == body.len()).then_some(())
}

/// Whether `bytes` could be filled; false at the end of the file, however far it got.
fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file that grew before its bytes reached the disk, as a power failure leaves it, ends in zeros.
fn only_zeros(begun: &[u8], reader: &mut impl Read) -> io::Result<bool> {
    if begun.iter().any(|byte| *byte != 0) {
        return Ok(false);
    }
    let mut chunk = [0; 4096];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(true),
            read if chunk[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

fn damaged(path: &Path, offset: u64, reason: &str) -> EmbeddedError {
    EmbeddedError::Damaged {
        path: path.to_path_buf(),
        offset,
        reason: reason.to_owned(),
    }
}
