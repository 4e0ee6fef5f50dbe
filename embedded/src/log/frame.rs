//! The bytes of a frame and of a segment's header. All integers are little-endian.
//!
//! Segment header: magic (8), floor (8: no counter in this or a later segment is at or below it), CRC-32 of both (4), zero (4).
//!
//! Frame: CRC-32 of the rest of the header (4), CRC-32 of the body (4), body length (4), records (4), arrival in ms (8), counter of the first
//! record (8); the others follow without gaps. Body: per record key length (2), data length (4), key, data.

pub(super) const SEGMENT_HEADER: usize = 24;
pub(super) const FRAME_HEADER: usize = 32;
pub(super) const RECORD_HEADER: usize = 6;
const MAGIC: &[u8; 8] = b"SFSHLOG1";

pub(super) fn segment_header(floor: u64) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&floor.to_le_bytes());
    let crc = crc32fast::hash(&header[..16]);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The floor in a segment's header; `None` if these are not the bytes of one.
pub(super) fn parse_segment_header(bytes: &[u8; SEGMENT_HEADER]) -> Option<u64> {
    let whole = &bytes[..8] == MAGIC && u32_at(bytes, 16) == crc32fast::hash(&bytes[..16]);
    whole.then(|| u64_at(bytes, 8))
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FrameHeader {
    pub(super) body_crc: u32,
    pub(super) body_len: u32,
    pub(super) records: u32,
    pub(super) arrival_ms: i64,
    pub(super) first_counter: u64,
}

impl FrameHeader {
    pub(super) fn encode(self) -> [u8; FRAME_HEADER] {
        let mut header = [0; FRAME_HEADER];
        header[4..8].copy_from_slice(&self.body_crc.to_le_bytes());
        header[8..12].copy_from_slice(&self.body_len.to_le_bytes());
        header[12..16].copy_from_slice(&self.records.to_le_bytes());
        header[16..24].copy_from_slice(&self.arrival_ms.to_le_bytes());
        header[24..32].copy_from_slice(&self.first_counter.to_le_bytes());
        let crc = crc32fast::hash(&header[4..]);
        header[..4].copy_from_slice(&crc.to_le_bytes());
        header
    }

    pub(super) fn parse(bytes: &[u8; FRAME_HEADER]) -> Option<Self> {
        if u32_at(bytes, 0) != crc32fast::hash(&bytes[4..]) {
            return None;
        }
        Some(Self {
            body_crc: u32_at(bytes, 4),
            body_len: u32_at(bytes, 8),
            records: u32_at(bytes, 12),
            arrival_ms: u64_at(bytes, 16).cast_signed(),
            first_counter: u64_at(bytes, 24),
        })
    }
}

/// Lengths of the key and the data of the record that begins at `at`, if it lies within `body`.
pub(super) fn record_lengths(body: &[u8], at: usize) -> Option<(usize, usize)> {
    let header = body.get(at..at.checked_add(RECORD_HEADER)?)?;
    let key = usize::from(u16::from_le_bytes([header[0], header[1]]));
    let data = usize::try_from(u32_at(header, 2)).ok()?;
    let end = at.checked_add(RECORD_HEADER)?.checked_add(key)?.checked_add(data)?;
    (end <= body.len()).then_some((key, data))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}
