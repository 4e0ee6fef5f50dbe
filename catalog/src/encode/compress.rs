//! Compression of a record, by its definition.

use std::io::{self, Write};

use base64::Engine;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::{Codec, Compression};

/// Does what a definition's compression undoes: its steps in reverse. `auto` reads what is not compressed too, and so nothing is done for it.
#[derive(Debug)]
pub(super) struct Compressor {
    steps: Vec<Codec>,
}

impl Compressor {
    pub(super) fn new(compression: &Compression) -> Self {
        let steps = match compression {
            Compression::Auto | Compression::None => Vec::new(),
            Compression::Chain(codecs) => codecs.iter().rev().copied().filter(|codec| *codec != Codec::Auto).collect(),
        };
        Self { steps }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) fn compress(&self, record: &[u8]) -> Result<Vec<u8>, String> {
        let mut bytes = record.to_vec();
        for codec in &self.steps {
            bytes = step(*codec, &bytes).map_err(|error| format!("compressing: {error}"))?;
        }
        Ok(bytes)
    }
}

fn step(codec: Codec, bytes: &[u8]) -> io::Result<Vec<u8>> {
    match codec {
        Codec::Auto => Ok(bytes.to_vec()),
        Codec::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Codec::Zlib => {
            let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Codec::Zstd => zstd::bulk::compress(bytes, 0),
        Codec::Snappy => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes)?;
            encoder.into_inner().map_err(|error| io::Error::other(error.to_string()))
        }
        Codec::Base64 => Ok(base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes()),
    }
}
