//! Sealing: what the server hands out and takes back unread and unchanged (tickets, prepared handles, session tokens).
//!
//! A sealed message is `version (1) | kind (1) | expiry, seconds since the epoch (8, big endian) | nonce (24) | ciphertext and tag`.
//! The first ten bytes are associated data: they can be read, and not changed. The cipher is XChaCha20-Poly1305, whose nonce is wide
//! enough to be drawn at random for every message.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};

const VERSION: u8 = 1;
const HEAD: usize = 10;
const NONCE: usize = 24;
const KEY: usize = 32;

/// What a sealed message is. One kind never opens as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealKind {
    /// Ticket of an endpoint.
    Ticket,
    /// Handle of a prepared statement.
    Prepared,
    /// Token of a session.
    Session,
    /// Descriptor of the next poll.
    Poll,
    /// Who calls, from one node to another.
    Relayed,
}

impl SealKind {
    fn tag(self) -> u8 {
        match self {
            Self::Ticket => 1,
            Self::Prepared => 2,
            Self::Session => 3,
            Self::Poll => 4,
            Self::Relayed => 5,
        }
    }
}

/// Why a sealed message does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was not sealed with this key for this use, or it was changed.
    #[error("not sealed by this server")]
    Forged,
    /// It was good until its expiry.
    #[error("expired")]
    Expired,
    /// Another version of the server sealed it.
    #[error("sealed by another version of this server")]
    Version,
    /// The cipher refused the payload.
    #[error("cannot be sealed")]
    Refused,
}

/// Seals and opens with one key.
pub struct Sealer {
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// The key in `key_file`, 32 bytes. A missing file is created with a random key, readable by its owner alone; of several processes
    /// that do so at once, one wins and all use its key.
    ///
    /// # Errors
    /// The file cannot be read or created, or is not 32 bytes long.
    pub fn open_or_create(key_file: &Path) -> io::Result<Self> {
        match File::open(key_file) {
            Ok(file) => Self::read(key_file, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::create(key_file)?;
                Self::read(key_file, File::open(key_file)?)
            }
            Err(error) => Err(error),
        }
    }

    /// With a key that is known. For one server's lifetime: a random one.
    pub fn with_key(key: [u8; KEY]) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(&Key::from(key)),
        }
    }

    fn read(path: &Path, file: File) -> io::Result<Self> {
        warn_if_readable_by_others(path, &file)?;
        let mut bytes = Vec::with_capacity(KEY + 1);
        file.take(KEY as u64 + 1).read_to_end(&mut bytes)?;
        let key: [u8; KEY] = bytes.try_into().map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("key file {} is not {KEY} bytes long; delete it to get a new key", path.display()),
            )
        })?;
        Ok(Self::with_key(key))
    }

    /// Written beside the target and linked into place, so that no other process ever sees a part of it.
    fn create(path: &Path) -> io::Result<()> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&rand::random::<[u8; KEY]>())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error.error),
        }
    }

    /// Seals a payload until `expires`.
    ///
    /// # Errors
    /// [`SealError::Refused`] if the cipher refuses the payload (above 256 GiB).
    pub fn seal(&self, kind: SealKind, payload: &[u8], expires: SystemTime) -> Result<Bytes, SealError> {
        let expires = expires.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let mut sealed = Vec::with_capacity(HEAD + NONCE + payload.len() + 16);
        sealed.push(VERSION);
        sealed.push(kind.tag());
        sealed.extend_from_slice(&expires.to_be_bytes());
        let nonce = rand::random::<[u8; NONCE]>();
        let message = Payload {
            msg: payload,
            aad: &sealed,
        };
        let ciphertext = self.cipher.encrypt(&XNonce::from(nonce), message).map_err(|_| SealError::Refused)?;
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed.into())
    }

    /// Opens what [`Self::seal`] gave.
    ///
    /// # Errors
    /// [`SealError::Forged`], [`SealError::Expired`] or [`SealError::Version`].
    pub fn open(&self, kind: SealKind, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.open_at(kind, sealed, SystemTime::now())
    }

    fn open_at(&self, kind: SealKind, sealed: &[u8], now: SystemTime) -> Result<Vec<u8>, SealError> {
        let (head, rest) = sealed.split_at_checked(HEAD).ok_or(SealError::Forged)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE).ok_or(SealError::Forged)?;
        if head[0] != VERSION {
            return Err(SealError::Version);
        }
        if head[1] != kind.tag() {
            return Err(SealError::Forged);
        }
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| SealError::Forged)?;
        let message = Payload {
            msg: ciphertext,
            aad: head,
        };
        let payload = self.cipher.decrypt(&XNonce::from(nonce), message).map_err(|_| SealError::Forged)?;
        let expires: [u8; 8] = head[2..].try_into().map_err(|_| SealError::Forged)?;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        if now >= u64::from_be_bytes(expires) {
            return Err(SealError::Expired);
        }
        Ok(payload)
    }
}

#[cfg(unix)]
fn warn_if_readable_by_others(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "the ticket key can be read by others");
    }
    Ok(())
}

#[cfg(not(unix))]
fn warn_if_readable_by_others(_path: &Path, _file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(seconds: u64) -> SystemTime {
        SystemTime::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn opens_what_it_sealed_and_only_as_that_kind() {
        let sealer = Sealer::with_key([7; 32]);
        let sealed = sealer.seal(SealKind::Ticket, b"select 1", later(60)).unwrap();
        assert_eq!(sealer.open(SealKind::Ticket, &sealed).unwrap(), b"select 1");
        assert_eq!(sealer.open(SealKind::Prepared, &sealed), Err(SealError::Forged));
        assert!(!sealed.windows(6).any(|window| window == b"select"));
        assert_ne!(sealed, sealer.seal(SealKind::Ticket, b"select 1", later(60)).unwrap());
    }

    #[test]
    fn any_changed_bit_is_found() {
        let sealer = Sealer::with_key([7; 32]);
        let sealed = sealer.seal(SealKind::Ticket, b"payload", later(60)).unwrap();
        for byte in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.to_vec();
                changed[byte] ^= 1 << bit;
                let expected = if byte == 0 { SealError::Version } else { SealError::Forged };
                assert_eq!(sealer.open(SealKind::Ticket, &changed), Err(expected), "byte {byte} bit {bit}");
            }
        }
        for length in 0..sealed.len() {
            assert_eq!(sealer.open(SealKind::Ticket, &sealed[..length]), Err(SealError::Forged));
        }
        assert_eq!(Sealer::with_key([8; 32]).open(SealKind::Ticket, &sealed), Err(SealError::Forged));
    }

    #[test]
    fn expires_to_the_second() {
        let sealer = Sealer::with_key([7; 32]);
        let expires = UNIX_EPOCH + Duration::from_secs(1_000);
        let sealed = sealer.seal(SealKind::Session, b"x", expires).unwrap();
        assert!(sealer.open_at(SealKind::Session, &sealed, expires - Duration::from_secs(1)).is_ok());
        assert_eq!(sealer.open_at(SealKind::Session, &sealed, expires), Err(SealError::Expired));
    }

    #[test]
    fn the_key_file_is_created_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/ticket.key");
        let sealed = Sealer::open_or_create(&path)
            .unwrap()
            .seal(SealKind::Ticket, b"x", later(60))
            .unwrap();
        assert_eq!(
            Sealer::open_or_create(&path).unwrap().open(SealKind::Ticket, &sealed).unwrap(),
            b"x"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        std::fs::write(&path, b"short").unwrap();
        assert_eq!(Sealer::open_or_create(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn racing_creators_agree_on_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ticket.key");
        let sealers: Vec<Sealer> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Sealer::open_or_create(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let sealed = sealers[0].seal(SealKind::Ticket, b"x", later(60)).unwrap();
        for sealer in &sealers {
            assert_eq!(sealer.open(SealKind::Ticket, &sealed).unwrap(), b"x");
        }
    }
}
