//! The directory: `STREAM/SHARD/FILE`, and `STREAM/about.json`, which says what the stream is and, by its age, when it was last used.
//!
//! A file is there whole or not at all: it is written under a temporary name, and renamed once it is on the disk. All of this blocks.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::name::{FileName, TEMPORARY};
use crate::{ShardId, StreamIdentity};

const ABOUT: &str = "about.json";
/// Of a stream's name in the name of its directory, which is for people: the hash after it is what tells streams apart.
const READABLE: usize = 60;

/// Which stream a directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// Where it is read from: two endpoints can have streams of the same ARN.
    pub(super) source: String,
    pub(super) stream: StreamIdentity,
    /// How long its records are kept, as last described.
    pub(super) retention_ms: u64,
}

impl About {
    /// `NAME-HASH`: the same for all processes that read the stream with the same settings.
    pub(super) fn directory_name(&self) -> String {
        let name = self.stream.arn.rsplit('/').next().unwrap_or_default();
        let readable: String = name
            .chars()
            .take(READABLE)
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' })
            .collect();
        let identity = format!("{}\0{}\0{}", self.source, self.stream.arn, self.stream.created_ms);
        let digest = Sha256::digest(identity);
        let hash: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{readable}-{hash}")
    }
}

/// Whether we name directories so: what is not ours is left alone.
fn is_directory_name(text: &str) -> bool {
    let is_hash = |hash: &str| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    text.rsplit_once('-').is_some_and(|(_, hash)| is_hash(hash))
}

/// A shard's directory: its id, with what a file system may not take written as `%HH`.
pub(super) fn shard_name(shard: &ShardId) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let escape = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02x}")
        }
    };
    shard.as_str().bytes().map(escape).collect()
}

fn parse_shard_name(text: &str) -> Option<ShardId> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let shard = ShardId::from(String::from_utf8(bytes).ok()?);
    (shard_name(&shard) == text && !text.is_empty()).then_some(shard)
}

/// A stream's directory, as it was found.
#[derive(Debug)]
pub(super) struct FoundStream {
    pub(super) name: String,
    /// `None`: what it belongs to cannot be told.
    pub(super) about: Option<About>,
    /// When it was last used, ms since the epoch.
    pub(super) used_ms: i64,
    pub(super) shards: Vec<(ShardId, Vec<FoundFile>)>,
    /// Files that have no business there.
    pub(super) strange: Vec<PathBuf>,
}

#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) name: FileName,
    pub(super) bytes: u64,
    pub(super) used_ms: i64,
}

/// All streams' directories. Temporary files of a process that did not end by itself are removed.
pub(super) fn scan(root: &Path) -> io::Result<Vec<FoundStream>> {
    let mut streams = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_directory_name(&name) && entry.file_type()?.is_dir() {
            streams.push(scan_stream(&entry.path(), name)?);
        }
    }
    Ok(streams)
}

fn scan_stream(directory: &Path, name: String) -> io::Result<FoundStream> {
    let path = directory.join(ABOUT);
    let about: Option<About> = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let mut found = FoundStream {
        about: about.filter(|about| about.directory_name() == name),
        used_ms: std::fs::metadata(&path).map_or(0, |metadata| modified_ms(&metadata)),
        name,
        shards: Vec::new(),
        strange: Vec::new(),
    };
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if name.starts_with(TEMPORARY) {
            std::fs::remove_file(entry.path())?;
        } else if let Some(shard) = parse_shard_name(&name).filter(|_| name != ABOUT)
            && entry.file_type()?.is_dir()
        {
            let files = scan_shard(&entry.path(), &mut found.strange)?;
            found.shards.push((shard, files));
        }
    }
    Ok(found)
}

fn scan_shard(directory: &Path, strange: &mut Vec<PathBuf>) -> io::Result<Vec<FoundFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        let metadata = entry.metadata()?;
        if name.starts_with(TEMPORARY) {
            std::fs::remove_file(entry.path())?;
        } else if let Some(name) = FileName::parse(&name).filter(|_| metadata.is_file()) {
            files.push(FoundFile {
                name,
                bytes: metadata.len(),
                used_ms: modified_ms(&metadata),
            });
        } else if metadata.is_file() {
            strange.push(entry.path());
        }
    }
    Ok(files)
}

fn modified_ms(metadata: &std::fs::Metadata) -> i64 {
    metadata.modified().map_or(0, millis)
}

pub(super) fn millis(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Makes a stream's directory, or says that it is used again.
pub(super) fn use_stream(root: &Path, about: &About) -> io::Result<PathBuf> {
    let directory = root.join(about.directory_name());
    std::fs::create_dir_all(&directory)?;
    write(&directory, ABOUT, &serde_json::to_vec_pretty(about)?)?;
    sync(root)?;
    Ok(directory)
}

/// Writes a file of a shard. The stream's directory must be there: nothing is written to a stream that was deleted.
pub(super) fn write_in_shard(directory: &Path, name: &FileName, bytes: &[u8]) -> io::Result<()> {
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    write(directory, &name.to_string(), bytes)
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(directory.join(name))?;
    sync(directory)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Notes that a file was used.
pub(super) fn touch(file: &File) {
    // only the order of deletion depends on it
    let _ = file.set_modified(SystemTime::now());
}

/// Whether the file is gone now.
pub(super) fn remove(path: &Path) -> bool {
    match std::fs::remove_file(path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a stored segment cannot be deleted");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shards_directory_is_its_id_whatever_that_is() {
        for id in ["shardId-000000000000", "a/b", "..", "%41", "A.b c", "\u{e9}"] {
            let shard = ShardId::from(id);
            let name = shard_name(&shard);
            assert!(
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_%".contains(&byte)),
                "{name}"
            );
            assert_eq!(parse_shard_name(&name), Some(shard));
        }
        assert_eq!(shard_name(&"shardId-000000000000".into()), "shardId-000000000000");
        for foreign in ["", "a.b", "%4", "%zz", "%41", "lost+found"] {
            assert_eq!(parse_shard_name(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn what_tells_streams_apart_is_in_their_directories_names() {
        let about = |source: &str, arn: &str, created_ms| About {
            source: source.into(),
            stream: StreamIdentity {
                arn: arn.into(),
                created_ms,
            },
            retention_ms: 0,
        };
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/nasa.http";
        let names = [
            about("a", arn, 1).directory_name(),
            about("b", arn, 1).directory_name(),
            about("a", arn, 2).directory_name(),
            about("a", "arn:aws:kinesis:us-east-1:000000000001:stream/nasa.http", 1).directory_name(),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(name.starts_with("nasa_http-") && is_directory_name(name), "{name}");
            assert!(!names[..index].contains(name));
        }
        assert!(!is_directory_name("spill") && !is_directory_name("a-b"));
    }
}
