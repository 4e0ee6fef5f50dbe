//! TLS: certificates from files, read again when they change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How often the files are looked at.
const LOOKED_AT: Duration = Duration::from_secs(5);
/// A certificate that ends sooner than this is warned of.
const SOON: Duration = Duration::from_secs(14 * 86_400);
/// And how often.
const WARNED_AGAIN: Duration = Duration::from_secs(86_400);

/// Where certificates are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate, and those that lead to its CA.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// CAs of clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without certificate may come in.
    pub client_cert_optional: bool,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no {what} in PEM", .path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The certificate's time is over.
    #[error("the certificate in {} expired", .path.display())]
    Expired {
        /// Which.
        path: PathBuf,
    },
    /// They do not go together.
    #[error("certificate and key cannot be used together")]
    Pair(#[source] rustls::Error),
    /// Clients cannot be verified by it.
    #[error("{} cannot be used to verify clients", .path.display())]
    ClientCa {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

struct Current {
    contents: Contents,
    config: Arc<ServerConfig>,
    expires: SystemTime,
}

/// Certificates in use.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Current>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl TlsFiles {
    async fn read(&self) -> Result<Contents, TlsError> {
        Ok(Contents {
            cert: read(&self.cert).await?,
            key: read(&self.key).await?,
            client_ca: match &self.client_ca {
                Some(path) => Some(read(path).await?),
                None => None,
            },
        })
    }

    fn current(&self, contents: Contents) -> Result<Current, TlsError> {
        let chain = certificates(&self.cert, &contents.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|_| TlsError::Pem {
            path: self.key.clone(),
            what: "private key",
        })?;
        let expires = chain.first().and_then(|leaf| expiry(leaf)).ok_or_else(|| TlsError::Pem {
            path: self.cert.clone(),
            what: "certificate",
        })?;
        if expires <= SystemTime::now() {
            return Err(TlsError::Expired { path: self.cert.clone() });
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?;
        let builder = match self.client_ca.as_ref().zip(contents.client_ca.as_ref()) {
            None => builder.with_no_client_auth(),
            Some((path, pem)) => {
                let refused = |source: Box<dyn std::error::Error + Send + Sync>| TlsError::ClientCa {
                    path: path.clone(),
                    source,
                };
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, pem)? {
                    roots.add(certificate).map_err(|error| refused(Box::new(error)))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = if self.client_cert_optional {
                    verifier.allow_unauthenticated()
                } else {
                    verifier
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| refused(Box::new(error)))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Current {
            contents,
            config: Arc::new(config),
            expires,
        })
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`], with the file that is to be looked at.
    pub async fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let current = files.current(files.read().await?)?;
        tracing::info!(cert = %files.cert.display(), expires = %shown(current.expires), "certificate loaded");
        Ok(Arc::new(Self {
            files,
            current: RwLock::new(current),
        }))
    }

    /// For a connection that comes now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().config))
    }

    /// Reads the files, and uses what is in them if that is new. Whether it is.
    ///
    /// # Errors
    /// What is new cannot be used; what was in use still is.
    pub async fn reload(&self) -> Result<bool, TlsError> {
        let contents = self.files.read().await?;
        if contents == self.current.read().contents {
            return Ok(false);
        }
        let new = self.files.current(contents)?;
        tracing::info!(cert = %self.files.cert.display(), expires = %shown(new.expires), "certificate changed");
        *self.current.write() = new;
        Ok(true)
    }

    /// Looks at the files until the end. What cannot be used is logged, once for as long as it stays so.
    pub async fn keep_fresh(&self, stop: &CancellationToken) {
        let mut looked = tokio::time::interval(LOOKED_AT);
        looked.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = None;
        let mut warned: Option<tokio::time::Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looked.tick() => {}
            }
            match self.reload().await {
                Ok(_) => failing = None,
                Err(error) => {
                    let text = error.to_string();
                    if failing.as_ref() != Some(&text) {
                        let error: &(dyn std::error::Error + 'static) = &error;
                        tracing::error!(error, "the changed certificate cannot be used; the one before stays in use");
                        failing = Some(text);
                    }
                }
            }
            let expires = self.current.read().expires;
            let left = expires.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
            if left < SOON && warned.is_none_or(|warned| warned.elapsed() >= WARNED_AGAIN) {
                warned = Some(tokio::time::Instant::now());
                tracing::warn!(cert = %self.files.cert.display(), expires = %shown(expires), "the certificate expires soon");
            }
        }
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(path).await.map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = || TlsError::Pem {
        path: path.to_owned(),
        what: "certificate",
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(refused()),
    }
}

fn expiry(certificate: &[u8]) -> Option<SystemTime> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn shown(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Whom a certificate that was verified names: its first URI, DNS name or mail address, else its common name.
pub(crate) fn name_in(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let first = |pick: fn(&GeneralName<'_>) -> Option<String>| names.iter().find_map(pick);
    let uri = first(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    let dns = || {
        first(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
    };
    let mail = || {
        first(|name| match name {
            GeneralName::RFC822Name(name) => Some((*name).to_owned()),
            _ => None,
        })
    };
    let common = || {
        let mut names = certificate.subject().iter_common_name();
        names.next().and_then(|name| name.as_str().ok().map(str::to_owned))
    };
    let name = uri.or_else(dns).or_else(mail).or_else(common)?;
    (!name.is_empty() && name.len() <= 256 && !name.chars().any(char::is_control)).then_some(name)
}
