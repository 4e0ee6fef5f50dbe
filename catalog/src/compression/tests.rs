use std::borrow::Cow;
use std::io::Write;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

const DOCUMENT: &[u8] = br#"{"a":1}"#;

// Made by others from `DOCUMENT`: gzip, two gzip members, and zlib by Python; zstd, and two frames of it, by the zstd program; snappy by hand from its
// `format_description.txt` and `framing_format.txt` (a raw block; a frame with an uncompressed chunk; a frame with a compressed one).
const GZIP: &str = "1f8b0800000000000203ab564a54b232ac0500afac1b5607000000";
const GZIP_MEMBERS: &str = "1f8b0800000000000203ab564a5402000d71350f040000001f8b0800000000000203b332ac050067b3543e03000000";
const ZLIB: [&str; 4] = [
    "7801010700f8ff7b2261223a317d082a0209",
    "7801ab564a54b232ac0500082a0209",
    "785eab564a54b232ac0500082a0209",
    "78daab564a54b232ac0500082a0209",
];
const ZSTD: &str = "28b52ffd04583900007b2261223a317d488bfc32";
const ZSTD_FRAMES: &str = "28b52ffd00582100007b22612228b52ffd04581900003a317dd59c6df3";
const SNAPPY_FRAMES: [&str; 2] = [
    "ff060000734e61507059010b0000c78a584d7b2261223a317d",
    "ff060000734e61507059000d0000c78a584d07187b2261223a317d",
];
const SNAPPY_BLOCK: &str = "07187b2261223a317d";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn inflate(compression: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
    Inflater::new(compression.parse().unwrap()).inflate(payload).map(Cow::into_owned)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 3).unwrap()
}

fn snappy_frames(data: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(data).unwrap();
    encoder.into_inner().unwrap()
}

#[test]
fn names_and_chains() {
    for text in [
        "auto",
        "none",
        "gzip",
        "zlib",
        "zstd",
        "snappy",
        "base64",
        "base64+gzip",
        "base64+base64+auto",
    ] {
        assert_eq!(text.parse::<Compression>().unwrap().to_string(), text);
    }
    assert_eq!(" Base64 + GZIP ".parse(), Ok(Compression::Chain(vec![Codec::Base64, Codec::Gzip])));
    for (text, part) in [
        ("gzib", "unknown value `gzib`: did you mean `gzip`?"),
        ("base64+", "unknown value `base64+`"),
        ("base64+none", "unknown value `base64+none`"),
        ("lz4", "use auto, none, or gzip"),
        ("gzip+gzip+gzip+gzip+gzip", "more than 4 steps"),
    ] {
        let error = text.parse::<Compression>().unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_others_compressed_is_inflated_by_name_and_by_magic() {
    let cases = [("gzip", GZIP), ("gzip", GZIP_MEMBERS), ("zstd", ZSTD), ("zstd", ZSTD_FRAMES)];
    let cases = cases
        .into_iter()
        .chain(ZLIB.map(|hex| ("zlib", hex)))
        .chain(SNAPPY_FRAMES.map(|hex| ("snappy", hex)));
    for (name, hex) in cases {
        let payload = bytes(hex);
        for name in [name, "auto"] {
            assert_eq!(inflate(name, &payload).as_deref(), Ok(DOCUMENT), "{name} {hex}");
        }
        assert_eq!(inflate("none", &payload).as_deref(), Ok(&*payload));
        for (text, chain) in [
            (BASE64_STANDARD.encode(&payload), format!("base64+{name}")),
            (
                format!("\n{} \r\n", BASE64_URL_SAFE_NO_PAD.encode(&payload)),
                "base64+auto".to_owned(),
            ),
        ] {
            assert_eq!(inflate(&chain, text.as_bytes()).as_deref(), Ok(DOCUMENT), "{chain} {text}");
        }
    }
    assert_eq!(inflate("snappy", &bytes(SNAPPY_BLOCK)).as_deref(), Ok(DOCUMENT));
    // a block has no magic
    assert_eq!(inflate("auto", &bytes(SNAPPY_BLOCK)), Ok(bytes(SNAPPY_BLOCK)));
    // `ab` copied three more times
    assert_eq!(inflate("snappy", &bytes("080461620902")).as_deref(), Ok(&b"abababab"[..]));
}

#[test]
fn payloads_without_magic_are_not_touched() {
    let inflater = Inflater::new(Compression::Auto);
    for payload in [
        &b""[..],
        DOCUMENT,
        b"[1]",
        b" {}",
        b"x",
        b"x\x9c",
        b"xylophone",
        &[0x1f, 0x8b],
        b"(a)",
        &[0x28, 0xb5, 0x2f],
    ] {
        assert!(!inflater.touches(payload), "{payload:02x?}");
        let mut inflater = Inflater::new(Compression::Auto);
        assert!(matches!(inflater.inflate(payload), Ok(Cow::Borrowed(same)) if std::ptr::eq(same, payload)));
    }
    assert!(!Inflater::new(Compression::None).touches(&bytes(GZIP)));
}

#[test]
fn text_that_begins_like_zlib_is_taken_as_it_is() {
    // 0x78 0x5e is a multiple of 31, and `2` begins no reserved block
    for text in [
        &b"x^2 + 1"[..],
        b"x^{2}",
        b"x\x01\x00",
        &bytes(ZLIB[3])[..10],
        &[&bytes(ZLIB[3])[..], b"!"].concat(),
    ] {
        assert_eq!(inflate("auto", text).as_deref(), Ok(text));
        let error = inflate("zlib", text).unwrap_err();
        assert!(error.starts_with("zlib: damaged: "), "{error}");
    }
}

#[test]
fn damaged_payloads_say_why() {
    let cut = |hex: &str, bytes_less: usize| {
        let whole = bytes(hex);
        whole[..whole.len() - bytes_less].to_vec()
    };
    let flipped = |hex: &str, at: usize| {
        let mut whole = bytes(hex);
        whole[at] ^= 0x40;
        whole
    };
    for (compression, payload, part) in [
        ("auto", cut(GZIP, 3), "gzip: damaged: "),
        ("auto", flipped(GZIP, 20), "gzip: damaged: "),
        ("auto", [bytes(GZIP), b"tail".to_vec()].concat(), "gzip: damaged: "),
        ("auto", cut(ZSTD, 1), "zstd: damaged: "),
        ("auto", flipped(ZSTD, 12), "zstd: damaged: "),
        ("auto", [bytes(ZSTD), b"tail".to_vec()].concat(), "zstd: damaged: "),
        ("auto", flipped(SNAPPY_FRAMES[0], 22), "snappy: damaged: "),
        ("gzip", DOCUMENT.to_vec(), "gzip: not gzip data"),
        ("zstd", DOCUMENT.to_vec(), "zstd: damaged: "),
        ("zlib", DOCUMENT.to_vec(), "zlib: damaged: "),
        ("gzip", Vec::new(), "gzip: not gzip data"),
        ("zlib", Vec::new(), "zlib: damaged: "),
        ("base64", DOCUMENT.to_vec(), "base64: damaged: "),
        ("base64+gzip", BASE64_STANDARD.encode(DOCUMENT).into_bytes(), "gzip: not gzip data"),
        // a block of 4 GiB in six bytes
        ("snappy", bytes("ffffffff0f00"), "snappy: damaged: it claims a length"),
    ] {
        let error = inflate(compression, &payload).unwrap_err();
        assert!(error.starts_with(part), "{compression}: {error}");
    }
}

#[test]
fn a_bomb_is_refused_at_the_bound_and_not_before() {
    let most = 1 << 20;
    let inflate = |compression: &str, payload: &[u8]| {
        Inflater::with_most(compression.parse().unwrap(), most)
            .inflate(payload)
            .map(|content| content.len())
    };
    let (fits, bomb) = (vec![0u8; most], vec![0u8; most + 1]);
    type Compress = fn(&[u8]) -> Vec<u8>;
    let codecs: [(&str, Compress); 5] = [
        ("gzip", gzip),
        ("zlib", zlib),
        ("zstd", zstd),
        ("snappy", snappy_frames),
        ("snappy", |data| snap::raw::Encoder::new().compress_vec(data).unwrap()),
    ];
    for (name, compress) in codecs {
        assert_eq!(inflate(name, &compress(&fits)), Ok(most), "{name}");
        assert_eq!(inflate(name, &compress(&bomb)), Err(format!("{name}: inflates to more than 1 MiB")));
    }
    assert_eq!(
        inflate("base64", BASE64_STANDARD.encode(&bomb).as_bytes()),
        Err("base64: inflates to more than 1 MiB".into())
    );
    // each step is bounded: a gzip of a gzip of 4 GiB of zeros is a few hundred bytes
    let nested = gzip(&gzip(&bomb));
    assert_eq!(inflate("gzip+gzip", &nested), Err("gzip: inflates to more than 1 MiB".into()));
    // one that claims a window of 2 GiB: frame header descriptor 0, window descriptor of exponent 21
    let error = inflate("zstd", &bytes("28b52ffd00a80000000000")).unwrap_err();
    assert!(error.starts_with("zstd: damaged: "), "{error}");
}

#[test]
fn a_damaged_record_leaves_nothing_behind_for_the_next() {
    let mut inflater = Inflater::new("zstd".parse().unwrap());
    let whole = zstd(&b"0123456789".repeat(1000));
    for _ in 0..3 {
        assert!(inflater.inflate(&whole[..whole.len() / 2]).is_err());
        assert_eq!(inflater.inflate(&whole).unwrap().len(), 10_000);
        assert_eq!(inflater.inflate(&bytes(ZSTD)).as_deref(), Ok(DOCUMENT));
    }
}

proptest! {
    /// What is compressed comes back, by name and by magic.
    #[test]
    fn round_trips(data in proptest::collection::vec(any::<u8>(), 0..3000), repeat in 1usize..20) {
        let data = data.repeat(repeat);
        for (name, payload) in [("gzip", gzip(&data)), ("zlib", zlib(&data)), ("zstd", zstd(&data)), ("snappy", snappy_frames(&data))] {
            // an empty snappy stream has no identifier
            if !payload.is_empty() {
                prop_assert_eq!(inflate(name, &payload), Ok(data.clone()), "{}", name);
                prop_assert_eq!(inflate("auto", &payload), Ok(data.clone()), "auto {}", name);
            }
            let text = BASE64_STANDARD.encode(&payload);
            if !payload.is_empty() {
                prop_assert_eq!(inflate(&format!("base64+{name}"), text.as_bytes()), Ok(data.clone()));
            }
        }
        let block = snap::raw::Encoder::new().compress_vec(&data).unwrap();
        if !block.starts_with(&[0xff, 0x06, 0x00, 0x00]) {
            prop_assert_eq!(inflate("snappy", &block), Ok(data.clone()));
        }
    }

    /// Damaged or random bytes never panic and never grow beyond the bound; whatever `auto` does not recognise stays as it is.
    #[test]
    fn damaged_bytes(
        data in proptest::collection::vec(any::<u8>(), 0..300), which in 0usize..5, at in any::<prop::sample::Index>(), flip: u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut payload = match which {
            0 => gzip(&data),
            1 => zlib(&data),
            2 => zstd(&data),
            3 => snappy_frames(&data),
            _ => data,
        };
        if !payload.is_empty() {
            let at = at.index(payload.len());
            payload[at] ^= flip;
            payload.truncate(cut.index(payload.len()) + 1);
        }
        for compression in ["auto", "gzip", "zlib", "zstd", "snappy", "base64", "base64+auto"] {
            let mut inflater = Inflater::with_most(compression.parse().unwrap(), 1 << 16);
            let touched = inflater.touches(&payload);
            match inflater.inflate(&payload) {
                Ok(content) => {
                    prop_assert!(content.len() <= (1 << 16).max(payload.len()));
                    prop_assert!(touched || *content == *payload);
                }
                Err(reason) => prop_assert!(touched && !reason.is_empty()),
            }
        }
    }
}
