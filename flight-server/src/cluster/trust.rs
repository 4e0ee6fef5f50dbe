//! What nodes know each other by: what derives from `cluster.token`, and TLS.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::ClusterError;
use crate::config::{ClusterConfig, ClusterTls};

/// What the key is for. A changed text is another key.
const SEALS: &[u8] = b"shardflight: what servers seal: 1";

/// See the module.
#[derive(Clone)]
pub(crate) struct Trust {
    seals: [u8; 32],
    credential: HeaderValue,
    tls: Option<ClientTlsConfig>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Trust {
    /// What the configuration says, with the files that it names.
    pub(crate) async fn new(config: &ClusterConfig) -> Result<Self, ClusterError> {
        let tls = match &config.tls {
            Some(tls) => Some(client_tls(tls).await?),
            None => None,
        };
        Self::derived(config.token.0.as_bytes(), tls)
    }

    fn derived(token: &[u8], tls: Option<ClientTlsConfig>) -> Result<Self, ClusterError> {
        let mut credential = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).map_err(|_| ClusterError::Token)?;
        credential.set_sensitive(true);
        Ok(Self {
            seals: key(token, SEALS)?,
            credential,
            tls,
        })
    }

    /// The key of tickets, handles and session tokens, which all nodes share.
    pub(crate) fn seals(&self) -> [u8; 32] {
        self.seals
    }

    /// What a node shows to another one.
    pub(crate) fn credential(&self) -> HeaderValue {
        self.credential.clone()
    }

    /// Whether a request comes from a node.
    pub(crate) fn admits(&self, headers: &http::HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
        shown.ct_eq(self.credential.as_bytes()).into()
    }

    /// TLS to other nodes.
    pub(crate) fn tls(&self) -> Option<ClientTlsConfig> {
        self.tls.clone()
    }
}

fn key(token: &[u8], purpose: &[u8]) -> Result<[u8; 32], ClusterError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token).map_err(|_| ClusterError::Token)?;
    mac.update(purpose);
    Ok(mac.finalize().into_bytes().into())
}

async fn client_tls(files: &ClusterTls) -> Result<ClientTlsConfig, ClusterError> {
    let read = async |path: &std::path::Path| {
        tokio::fs::read(path).await.map_err(|source| ClusterError::File {
            path: path.to_owned(),
            source,
        })
    };
    let identity = Identity::from_pem(read(&files.cert).await?, read(&files.key).await?);
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&files.ca).await?))
        .identity(identity);
    Ok(match &files.name {
        Some(name) => tls.domain_name(name),
        None => tls,
    })
}

#[cfg(test)]
impl Trust {
    pub(crate) fn of_token(token: &str) -> Self {
        Self::derived(token.as_bytes(), None).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Python: `hmac.new(token, purpose, "sha256").hexdigest()`.
    #[test]
    fn the_key_does_not_change_between_versions() {
        let trust = Trust::of_token("0123456789abcdef0123456789abcdef");
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(&trust.seals()),
            "6f8e95d0052a6a5e088a3bb2b61d28be6ef3e6fe604ee115dc70a456578339cf"
        );
    }

    #[test]
    fn only_who_has_the_token_is_let_in_and_it_is_never_shown() {
        let trust = Trust::of_token("0123456789abcdef0123456789abcdef");
        let other = Trust::of_token("0123456789abcdef0123456789abcdeF");
        let shown = |value: Option<HeaderValue>| value.map(|value| (AUTHORIZATION, value)).into_iter().collect::<http::HeaderMap>();
        assert!(trust.admits(&shown(Some(trust.credential()))));
        for wrong in [None, Some(other.credential()), Some(HeaderValue::from_static(""))] {
            assert!(!trust.admits(&shown(wrong)));
        }
        assert_eq!(format!("{trust:?}"), "Trust { tls: false, .. }");
        assert!(!format!("{:?}", shown(Some(trust.credential()))).contains(trust.credential().to_str().unwrap()));
    }
}
