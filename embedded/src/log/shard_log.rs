//! Appending to and reading from the log of one shard.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::LogPlace;
use super::frame::{FRAME_HEADER, FrameHeader, RECORD_HEADER, SEGMENT_HEADER, segment_header};
use super::recover::recover;
use super::segment::{SegmentFile, read_exact_at, write_all_at};
use crate::options::EmbeddedError;

/// Where a record lies, and what is needed to choose a page without reading it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) counter: u64,
    pub(crate) arrival_ms: i64,
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) data_len: u32,
    pub(super) key_len: u16,
}

const _: () = assert!(size_of::<Entry>() == 32);

impl Entry {
    /// Bytes of key and data.
    pub(crate) fn payload(&self) -> u64 {
        u64::from(self.data_len) + u64::from(self.key_len)
    }

    fn end(&self) -> u64 {
        u64::from(self.offset) + RECORD_HEADER as u64 + self.payload()
    }
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) file: Arc<SegmentFile>,
    pub(super) len: u64,
}

#[derive(Debug, Default)]
struct State {
    segments: VecDeque<Segment>,
    next_segment: u32,
    index: VecDeque<Entry>,
    last_counter: u64,
    last_arrival_ms: i64,
    frame: Vec<u8>,
}

/// The log of one shard. Under its one lock an append gets its counters and becomes readable, so that no reader ever passes a hole.
#[derive(Debug)]
pub(crate) struct ShardLog {
    place: LogPlace,
    state: Mutex<State>,
    /// Changes after each append, and when something else happened that whoever waits for records should see.
    changed: watch::Sender<()>,
}

/// What a page may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageRequest {
    /// The smallest counter wanted.
    pub(crate) next: u64,
    /// Records that arrived before are gone.
    pub(crate) horizon_ms: i64,
    pub(crate) records: usize,
    /// Bytes of keys and data; the first record is given whatever its size.
    pub(crate) bytes: u64,
}

/// A page, chosen but not read yet. What it points to stays readable whatever happens to the log.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) entries: Vec<Entry>,
    files: Vec<(u32, Arc<File>)>,
    /// The smallest counter that the next page may hold.
    pub(crate) next: u64,
    /// Arrival of the record after this page, if there is one.
    pub(crate) waiting_since_ms: Option<i64>,
    /// Whether one more record would have made the page too large.
    pub(crate) cut_by_size: bool,
}

/// A record as read from the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordBytes<'a> {
    pub(crate) entry: &'a Entry,
    pub(crate) key: &'a [u8],
    pub(crate) data: &'a [u8],
}

impl Selection {
    /// Reads the page and hands its records over one by one, in order.
    pub(crate) fn read(&self, mut each: impl FnMut(RecordBytes<'_>)) -> io::Result<()> {
        let mut bytes = Vec::new();
        for run in self.entries.chunk_by(|left, right| left.segment == right.segment) {
            read_run(self, run, &mut bytes, &mut each)?;
        }
        Ok(())
    }
}

impl ShardLog {
    /// Opens the log from its segment files (by number; none for a new shard). `floor` is the counter that all records lie above.
    pub(crate) fn open(place: LogPlace, files: BTreeMap<u32, PathBuf>, floor: u64) -> Result<Self, EmbeddedError> {
        let recovered = recover(&place, files)?;
        let state = State {
            segments: recovered.segments,
            next_segment: recovered.next_segment,
            index: recovered.index,
            last_counter: recovered.last_counter.max(floor),
            last_arrival_ms: recovered.last_arrival_ms,
            frame: Vec::new(),
        };
        Ok(Self {
            place,
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
        })
    }

    /// Appends records, given as key and data, in one write; the answer is the counter of the first, the others follow without gaps.
    pub(crate) fn append<'a>(&self, now_ms: i64, horizon_ms: i64, records: impl Iterator<Item = (&'a str, &'a [u8])>) -> io::Result<u64> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let arrival_ms = now_ms.max(state.last_arrival_ms);
        let first_counter = next_counter(state.last_counter, arrival_ms);

        state.frame.clear();
        state.frame.resize(FRAME_HEADER, 0);
        let indexed = state.index.len();
        let written = encode(records, &mut state.frame, &mut state.index, |record, offset, key_len, data_len| {
            Entry {
                counter: first_counter + record,
                arrival_ms,
                segment: 0,
                offset,
                data_len,
                key_len,
            }
        })
        .and_then(|()| {
            let body = &state.frame[FRAME_HEADER..];
            let header = FrameHeader {
                body_crc: crc32fast::hash(body),
                body_len: u32::try_from(body.len()).map_err(io::Error::other)?,
                records: u32::try_from(state.index.len() - indexed).map_err(io::Error::other)?,
                arrival_ms,
                first_counter,
            };
            state.frame[..FRAME_HEADER].copy_from_slice(&header.encode());
            write(
                &self.place,
                &mut state.segments,
                &mut state.next_segment,
                &state.frame,
                state.last_counter,
                indexed == 0,
            )
        });
        let (segment, base) = match written {
            Ok(place) => place,
            Err(error) => {
                state.index.truncate(indexed);
                return Err(error);
            }
        };
        for entry in state.index.range_mut(indexed..) {
            entry.segment = segment;
            entry.offset += base;
            state.last_counter = entry.counter;
        }
        state.last_arrival_ms = arrival_ms;
        if state.frame.capacity() > 1 << 20 {
            state.frame = Vec::new();
        }
        trim(state, horizon_ms);
        self.changed.send_replace(());
        Ok(first_counter)
    }

    /// Learns of appends, and of what [`signal`](Self::signal) is called for.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Lets those who wait for records look again: the shard was closed, or its stream deleted.
    pub(crate) fn signal(&self) {
        self.changed.send_replace(());
    }

    /// How far one has read by now who waits at `next`: all records to come lie above. `None` if there are records from `next` on.
    pub(crate) fn read_through(&self, next: u64, now_ms: i64) -> Option<u64> {
        let mut state = self.state.lock();
        if state.index.back().is_some_and(|last| last.counter >= next) {
            return None;
        }
        state.last_counter = state.last_counter.max(next_counter(0, now_ms) - 1);
        Some(state.last_counter)
    }

    /// Chooses a page.
    pub(crate) fn select(&self, page: PageRequest) -> io::Result<Selection> {
        let mut state = self.state.lock();
        trim(&mut state, page.horizon_ms);
        let start = state.index.partition_point(|entry| entry.counter < page.next);
        let mut bytes = 0;
        let mut count = 0;
        let mut cut_by_size = false;
        for entry in state.index.range(start..).take(page.records) {
            bytes += entry.payload();
            if bytes > page.bytes && count > 0 {
                cut_by_size = true;
                break;
            }
            count += 1;
        }
        let entries: Vec<Entry> = state.index.range(start..start + count).copied().collect();
        let files = match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => {
                let wanted = first.segment..=last.segment;
                let touched = state.segments.iter().filter(|segment| wanted.contains(&segment.number));
                touched
                    .map(|segment| Ok((segment.number, segment.file.file(&self.place.pool)?)))
                    .collect::<io::Result<_>>()?
            }
            _ => Vec::new(),
        };
        Ok(Selection {
            next: entries.last().map_or(page.next, |last| last.counter + 1),
            waiting_since_ms: state.index.get(start + count).map(|entry| entry.arrival_ms),
            entries,
            files,
            cut_by_size,
        })
    }

    /// The smallest counter above all records.
    pub(crate) fn tip(&self) -> u64 {
        self.state.lock().last_counter + 1
    }

    /// The counter of the first record that arrived at or after `arrival_ms`; the tip if there is none.
    pub(crate) fn first_since(&self, arrival_ms: i64) -> u64 {
        let state = self.state.lock();
        let at = state.index.partition_point(|entry| entry.arrival_ms < arrival_ms);
        state.index.get(at).map_or(state.last_counter + 1, |entry| entry.counter)
    }

    /// A counter above all records that have been and would have been appended up to `now_ms`: where the shard ends when it closes.
    pub(crate) fn end(&self, now_ms: i64) -> u64 {
        let state = self.state.lock();
        next_counter(state.last_counter, now_ms.max(state.last_arrival_ms))
    }

    /// Deletes the files.
    pub(crate) fn delete(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.index.clear();
        while let Some(segment) = state.segments.pop_front() {
            std::fs::remove_file(segment.file.path())?;
        }
        Ok(())
    }
}

/// Counters carry the millisecond in their upper 44 bits, so that they increase over restarts even when everything before has expired, and
/// have gaps as on AWS; the lower 20 bits count within a millisecond (and run over into the next if they must).
pub(crate) fn next_counter(last: u64, now_ms: i64) -> u64 {
    let by_time = u64::try_from(now_ms).unwrap_or(0).min((1 << 44) - 1) << 20;
    by_time.max(last + 1)
}

fn encode<'a>(
    records: impl Iterator<Item = (&'a str, &'a [u8])>,
    frame: &mut Vec<u8>,
    index: &mut VecDeque<Entry>,
    entry: impl Fn(u64, u32, u16, u32) -> Entry,
) -> io::Result<()> {
    for (number, (key, data)) in records.enumerate() {
        let offset = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let key_len = u16::try_from(key.len()).map_err(io::Error::other)?;
        let data_len = u32::try_from(data.len()).map_err(io::Error::other)?;
        frame.extend_from_slice(&key_len.to_le_bytes());
        frame.extend_from_slice(&data_len.to_le_bytes());
        frame.extend_from_slice(key.as_bytes());
        frame.extend_from_slice(data);
        index.push_back(entry(number as u64, offset, key_len, data_len));
    }
    Ok(())
}

/// Writes a frame at the end of the last segment, or of a new one if that is full or holds only expired records. The answer is where.
fn write(
    place: &LogPlace,
    segments: &mut VecDeque<Segment>,
    next_segment: &mut u32,
    frame: &[u8],
    floor: u64,
    all_expired: bool,
) -> io::Result<(u32, u32)> {
    let full = segments.back().is_none_or(|last| {
        let begun = last.len > SEGMENT_HEADER as u64;
        begun && (all_expired || last.len + frame.len() as u64 > place.segment_bytes)
    });
    if full {
        let number = *next_segment;
        let path = place.dir.join(segment_name(&place.shard, number));
        let file = SegmentFile::create(path, &segment_header(floor), &place.pool)?;
        segments.push_back(Segment {
            number,
            file,
            len: SEGMENT_HEADER as u64,
        });
        *next_segment += 1;
    }
    let Some(last) = segments.back_mut() else {
        return Err(io::Error::other("a log without a segment"));
    };
    let file = last.file.file(&place.pool)?;
    let written = write_all_at(&file, frame, last.len).and_then(|()| if place.fsync { file.sync_data() } else { Ok(()) });
    if let Err(error) = written {
        // Bytes beyond the last whole frame would read as damage once a shorter frame is written over them.
        if let Err(uncut) = file.set_len(last.len) {
            tracing::error!(shard = %place.shard, %uncut, "a failed append could not be cut off");
        }
        return Err(error);
    }
    let at = u32::try_from(last.len).map_err(io::Error::other)?;
    last.len += frame.len() as u64;
    Ok((last.number, at))
}

pub(crate) fn segment_name(shard: &str, number: u32) -> String {
    format!("{shard}.{number:08}.log")
}

/// Shard id and number of a segment's file name.
pub(crate) fn parse_segment_name(name: &str) -> Option<(&str, u32)> {
    let (shard, number) = name.strip_suffix(".log")?.rsplit_once('.')?;
    Some((shard, number.parse().ok()?))
}

fn trim(state: &mut State, horizon_ms: i64) {
    if state.index.front().is_none_or(|oldest| oldest.arrival_ms >= horizon_ms) {
        return;
    }
    let expired = state.index.partition_point(|entry| entry.arrival_ms < horizon_ms);
    state.index.drain(..expired);
    let oldest = state.index.front().map(|entry| entry.segment);
    while let [first, _, ..] = state.segments.make_contiguous() {
        if oldest.is_some_and(|oldest| first.number >= oldest) {
            break;
        }
        if let Err(error) = std::fs::remove_file(first.file.path()) {
            tracing::warn!(path = %first.file.path().display(), %error, "an expired segment could not be deleted");
        }
        state.segments.pop_front();
    }
}

fn read_run(selection: &Selection, run: &[Entry], bytes: &mut Vec<u8>, each: &mut impl FnMut(RecordBytes<'_>)) -> io::Result<()> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return Ok(());
    };
    let file = selection.files.iter().find(|(number, _)| *number == first.segment);
    let (_, file) = file.ok_or_else(|| io::Error::other("a page without its segment"))?;
    let base = u64::from(first.offset);
    bytes.resize(usize::try_from(last.end() - base).map_err(io::Error::other)?, 0);
    read_exact_at(file, bytes, base)?;
    for entry in run {
        let key_at = (entry.offset - first.offset) as usize + RECORD_HEADER;
        let data_at = key_at + usize::from(entry.key_len);
        let data_end = data_at + entry.data_len as usize;
        each(RecordBytes {
            entry,
            key: &bytes[key_at..data_at],
            data: &bytes[data_at..data_end],
        });
    }
    Ok(())
}
