//! The codecs: how each is told, and how it is undone.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use serde::{Deserialize, Serialize};
use zstd::zstd_safe::{DCtx, DParameter, ResetDirective};

use crate::definition::did_you_mean;

/// One step of a compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// Whatever the magic bytes say, or nothing: `auto` within a chain.
    Auto,
    /// One or more gzip members.
    Gzip,
    /// A zlib stream.
    Zlib,
    /// One or more zstd frames.
    Zstd,
    /// Framed snappy if it begins with the stream identifier, else one raw block.
    Snappy,
    /// Base64 text, standard or URL-safe, padded or not, blanks at its ends.
    Base64,
}

const NAMES: [(&str, Codec); 6] = [
    ("auto", Codec::Auto),
    ("gzip", Codec::Gzip),
    ("zlib", Codec::Zlib),
    ("zstd", Codec::Zstd),
    ("snappy", Codec::Snappy),
    ("base64", Codec::Base64),
];

/// RFC 1952, with the only compression method there is (deflate).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b, 0x08];
/// RFC 8878, section 3.1.1.
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Stream identifier chunk of snappy's framing format.
const SNAPPY_MAGIC: &[u8] = &[0xff, 0x06, 0x00, 0x00, b's', b'N', b'a', b'P', b'p', b'Y'];
/// A copy element of three bytes gives 64 (snappy's `format_description.txt`): no block grows more.
const MOST_SNAPPY_RATIO: usize = 22;
/// A frame that needs a window greater than 64 MiB is refused.
const ZSTD_WINDOW_LOG: u32 = 26;

impl Codec {
    /// The codec of that name; `all` is shown in an error.
    pub(super) fn parse(name: &str, all: &str) -> Result<Self, String> {
        if let Some((_, codec)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(*codec);
        }
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).chain(["none"]).collect();
        let suggestion = match did_you_mean(name, &names) {
            none if none.is_empty() => {
                ": use auto, none, or gzip, zlib, zstd, snappy, base64, or several of these joined by `+`".to_owned()
            }
            near => near,
        };
        Err(format!("unknown value `{all}`{suggestion}"))
    }

    /// The compression that a payload's first bytes are those of.
    pub(super) fn of_magic(payload: &[u8]) -> Option<Self> {
        match *payload.first()? {
            0x1f if payload.starts_with(GZIP_MAGIC) => Some(Self::Gzip),
            0x28 if payload.starts_with(ZSTD_MAGIC) => Some(Self::Zstd),
            0xff if payload.starts_with(SNAPPY_MAGIC) => Some(Self::Snappy),
            0x78 if is_zlib(payload) => Some(Self::Zlib),
            _ => None,
        }
    }

    /// Whether other bytes than its own may begin like it.
    pub(super) fn is_weakly_marked(self) -> bool {
        self == Self::Zlib
    }

    /// Undoes it, to at most `most` bytes.
    pub(super) fn undo<'a>(self, input: Cow<'a, [u8]>, context: &mut Contexts, most: usize) -> Result<Cow<'a, [u8]>, String> {
        let output = match self {
            Self::Auto => return automatic(input, context, most),
            Self::Gzip if !input.starts_with(&GZIP_MAGIC[..2]) => return Err("gzip: not gzip data".into()),
            Self::Gzip => drain(MultiGzDecoder::new(&*input), most),
            Self::Zlib => {
                let mut decoder = ZlibDecoder::new(&*input);
                drain(&mut decoder, most).and_then(|output| match decoder.total_in() {
                    read if read == input.len() as u64 => Ok(output),
                    read => Err(Failure::Damaged(format!("{} bytes follow its end", input.len() as u64 - read))),
                })
            }
            Self::Zstd => match context.zstd() {
                Ok(context) => drain(zstd::stream::read::Decoder::with_context(&*input, context), most),
                Err(error) => Err(error),
            },
            Self::Snappy if input.starts_with(SNAPPY_MAGIC) => drain(snap::read::FrameDecoder::new(&*input), most),
            Self::Snappy => snappy_block(&input, most),
            Self::Base64 => base64_text(&input, most),
        };
        output.map(Cow::Owned).map_err(|failure| match failure {
            Failure::Damaged(reason) => format!("{self}: damaged: {reason}"),
            Failure::TooLong => format!("{self}: inflates to more than {} MiB", most >> 20),
        })
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, codec)| codec == self).map_or("", |(name, _)| *name);
        f.pad(name)
    }
}

/// What is used again from record to record.
#[derive(Default)]
pub(super) struct Contexts {
    zstd: Option<DCtx<'static>>,
}

impl Contexts {
    fn zstd(&mut self) -> Result<&mut DCtx<'static>, Failure> {
        let context = self.zstd.get_or_insert_with(DCtx::create);
        let failed = |code| Failure::Damaged(zstd::zstd_safe::get_error_name(code).to_owned());
        // what an earlier record left behind
        context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).map_err(failed)?;
        Ok(context)
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contexts").finish_non_exhaustive()
    }
}

enum Failure {
    Damaged(String),
    TooLong,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

fn automatic<'a>(input: Cow<'a, [u8]>, context: &mut Contexts, most: usize) -> Result<Cow<'a, [u8]>, String> {
    let Some(codec) = Codec::of_magic(&input) else { return Ok(input) };
    match codec.undo(Cow::Borrowed(&*input), context, most) {
        Ok(output) => Ok(Cow::Owned(output.into_owned())),
        Err(_) if codec.is_weakly_marked() => Ok(input),
        Err(reason) => Err(reason),
    }
}

fn drain(reader: impl Read, most: usize) -> Result<Vec<u8>, Failure> {
    let mut output = Vec::new();
    reader.take(most as u64 + 1).read_to_end(&mut output)?;
    if output.len() > most { Err(Failure::TooLong) } else { Ok(output) }
}

fn snappy_block(input: &[u8], most: usize) -> Result<Vec<u8>, Failure> {
    let damaged = |error: snap::Error| Failure::Damaged(error.to_string());
    let length = snap::raw::decompress_len(input).map_err(damaged)?;
    if length > input.len().saturating_mul(MOST_SNAPPY_RATIO) {
        return Err(Failure::Damaged("it claims a length that its bytes cannot give".into()));
    }
    if length > most {
        return Err(Failure::TooLong);
    }
    snap::raw::Decoder::new().decompress_vec(input).map_err(damaged)
}

fn base64_text(input: &[u8], most: usize) -> Result<Vec<u8>, Failure> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = input.trim_ascii();
    if text.len() / 4 * 3 > most {
        return Err(Failure::TooLong);
    }
    let alphabet = if text.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        &alphabet::URL_SAFE
    } else {
        &alphabet::STANDARD
    };
    let engine = GeneralPurpose::new(alphabet, config);
    engine.decode(text).map_err(|error| Failure::Damaged(error.to_string()))
}

/// RFC 1950: deflate with a window of 32 KiB, no preset dictionary, and a header whose two bytes as a number are a multiple of 31; and RFC 1951
/// reserves block type 3.
fn is_zlib(payload: &[u8]) -> bool {
    let [cmf @ 0x78, flg, first_block, ..] = *payload else {
        return false;
    };
    (u16::from(cmf) * 256 + u16::from(flg)).is_multiple_of(31) && flg & 0x20 == 0 && (first_block >> 1) & 0b11 != 0b11
}
