//! Encodings that are recognised, so that a record in one of them is never taken for a bad record or a wrong row.

use std::fmt;

use md5::{Digest, Md5};

use crate::Compression;

/// An encoding that this version recognises but does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// KPL aggregate (magic and MD5).
    KplAggregate,
    /// gzip
    Gzip,
    /// zlib
    Zlib,
    /// zstd
    Zstd,
    /// snappy (framed)
    Snappy,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KplAggregate => "KPL aggregation",
            Self::Gzip => "gzip compression",
            Self::Zlib => "zlib compression",
            Self::Zstd => "zstd compression",
            Self::Snappy => "snappy compression",
        })
    }
}

/// Magic of a KPL aggregate (Amazon Kinesis Producer Library, `aggregation-format.md`): magic, protobuf message, MD5 of the message.
const KPL_MAGIC: &[u8] = &[0xF3, 0x89, 0x9A, 0xC2];
/// Bytes of the MD5 at the end of a KPL aggregate.
const KPL_DIGEST: usize = 16;
/// RFC 1952, with the only compression method there is (deflate).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b, 0x08];
/// RFC 8878, section 3.1.1.
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Stream identifier chunk of snappy's framing format.
const SNAPPY_MAGIC: &[u8] = &[0xff, 0x06, 0x00, 0x00, b's', b'N', b'a', b'P', b'p', b'Y'];

/// The encoding of a payload that must fail a statement with "not supported yet", if any. KPL is looked for always, compression under `auto`.
pub fn unsupported_encoding(payload: &[u8], compression: Compression) -> Option<Encoding> {
    match *payload.first()? {
        0xF3 if is_kpl_aggregate(payload) => Some(Encoding::KplAggregate),
        _ if compression == Compression::None => None,
        0x1f if payload.starts_with(GZIP_MAGIC) => Some(Encoding::Gzip),
        0x28 if payload.starts_with(ZSTD_MAGIC) => Some(Encoding::Zstd),
        0xff if payload.starts_with(SNAPPY_MAGIC) => Some(Encoding::Snappy),
        0x78 if is_zlib(payload) => Some(Encoding::Zlib),
        _ => None,
    }
}

fn is_kpl_aggregate(payload: &[u8]) -> bool {
    let Some(rest) = payload.strip_prefix(KPL_MAGIC) else {
        return false;
    };
    let Some(body) = rest.len().checked_sub(KPL_DIGEST) else {
        return false;
    };
    let (message, digest) = rest.split_at(body);
    Md5::digest(message).as_slice() == digest
}

/// RFC 1950 header with a 32 KiB window and no preset dictionary; RFC 1951 reserves block type 3.
fn is_zlib(payload: &[u8]) -> bool {
    let [cmf, flg @ (0x01 | 0x5e | 0x9c | 0xda), first_block, ..] = *payload else {
        return false;
    };
    (u16::from(cmf) * 256 + u16::from(flg)).is_multiple_of(31) && (first_block >> 1) & 0b11 != 0b11
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Magic, `hello`, and MD5 of `hello` as RFC 1321 tools print it.
    fn kpl() -> Vec<u8> {
        let mut bytes = KPL_MAGIC.to_vec();
        bytes.extend(b"hello");
        bytes.extend([
            0x5d, 0x41, 0x40, 0x2a, 0xbc, 0x4b, 0x2a, 0x76, 0xb9, 0x71, 0x9d, 0x91, 0x10, 0x17, 0xc5, 0x92,
        ]);
        bytes
    }

    #[test]
    fn kpl_needs_magic_and_digest_and_is_looked_for_always() {
        for compression in [Compression::Auto, Compression::None] {
            assert_eq!(unsupported_encoding(&kpl(), compression), Some(Encoding::KplAggregate));
            let mut broken = kpl();
            broken[5] ^= 1;
            assert_eq!(unsupported_encoding(&broken, compression), None);
            assert_eq!(unsupported_encoding(&kpl()[..12], compression), None);
            assert_eq!(unsupported_encoding(b"", compression), None);
        }
    }

    #[test]
    fn compression_is_recognised_under_auto_only() {
        // Python: gzip.compress(b'{}'), zlib.compress(b'{}') at levels 0, 1, 6, 9; the others are their formats' magic.
        let cases: [(&[u8], Encoding); 7] = [
            (
                &[0x1f, 0x8b, 0x08, 0x00, 0, 0, 0, 0, 2, 0xff, 0xab, 0xae, 0x05, 0x00],
                Encoding::Gzip,
            ),
            (&[0x78, 0x01, 0x01, 0x02, 0x00, 0xfd, 0xff, 0x7b, 0x7d], Encoding::Zlib),
            (&[0x78, 0x5e, 0xab, 0xae, 0x05, 0x00], Encoding::Zlib),
            (&[0x78, 0x9c, 0xab, 0xae, 0x05, 0x00], Encoding::Zlib),
            (&[0x78, 0xda, 0xab, 0xae, 0x05, 0x00], Encoding::Zlib),
            (&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x02], Encoding::Zstd),
            (
                &[0xff, 0x06, 0x00, 0x00, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59, 0x01],
                Encoding::Snappy,
            ),
        ];
        for (payload, encoding) in cases {
            assert_eq!(unsupported_encoding(payload, Compression::Auto), Some(encoding), "{payload:02x?}");
            assert_eq!(unsupported_encoding(payload, Compression::None), None);
        }
    }

    #[test]
    fn text_that_begins_alike_is_not_compressed() {
        for payload in [&b"x^2"[..], b"x\x9c", b"{\"a\":1}", &[0x1f, 0x8b], &[0x78, 0x9c, 0x07], b"(a)"] {
            // `x^2`: 0x32 has block type 1, so only text with a reserved type or another second byte can be told apart.
            let expected = (payload == b"x^2").then_some(Encoding::Zlib);
            assert_eq!(unsupported_encoding(payload, Compression::Auto), expected, "{payload:02x?}");
        }
    }
}
