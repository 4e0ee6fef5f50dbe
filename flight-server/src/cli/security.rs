//! Who may come in and what he may do, as the configuration says.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use crate::config::{AuthSection, ClientCertificates, Config, Secret};
use crate::engine::{Access, AuditLog};
use crate::service::{Authentication, AuthenticationSettings, OidcSettings, Tls, TlsFiles, token_digest};

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Security {
    pub(super) access: Arc<Access>,
    pub(super) audit: Arc<AuditLog>,
    pub(super) authentication: Arc<Authentication>,
    pub(super) tls: Option<Arc<Tls>>,
}

impl Security {
    /// Nobody is asked, and everybody may do everything: for servers that only this machine reaches.
    pub(super) fn none() -> Self {
        Self {
            access: Arc::new(Access::everything()),
            audit: AuditLog::off(),
            authentication: Authentication::nobody(),
            tls: None,
        }
    }

    /// What the configuration says, with the files that it names.
    pub(super) async fn build(config: &Config) -> anyhow::Result<Self> {
        let audit = match (&config.audit.path, &config.auth) {
            (Some(path), _) => {
                AuditLog::to_file(path, config.audit.sql).with_context(|| format!("audit.path: cannot write {}", path.display()))?
            }
            (None, Some(_)) => AuditLog::to_log(config.audit.sql),
            (None, None) => AuditLog::off(),
        };
        let tls = match (&config.tls.cert, &config.tls.key) {
            (Some(cert), Some(key)) => {
                let files = TlsFiles {
                    cert: cert.clone(),
                    key: key.clone(),
                    client_ca: config.tls.client_ca.clone(),
                    client_cert_optional: config.tls.client_cert == ClientCertificates::Optional,
                };
                Some(Tls::load(files).await.context("tls")?)
            }
            _ => None,
        };
        let Some(auth) = &config.auth else {
            return Ok(Self {
                audit,
                tls,
                ..Self::none()
            });
        };
        for name in auth.unknown_principals() {
            tracing::warn!(principal = name, "auth.access has a rule for somebody whom no login gives");
        }
        let rules = auth.access.iter().map(|entry| entry.rule().map_err(anyhow::Error::msg));
        let rules = rules.collect::<anyhow::Result<Vec<_>>>().context("auth.access")?;
        Ok(Self {
            access: Arc::new(Access::new(rules)),
            authentication: Authentication::new(settings(auth)?, Arc::clone(&audit)).context("auth")?,
            audit,
            tls,
        })
    }

    /// The files by their names again, as they are now. What cannot be used stays as it was.
    pub(super) async fn reread(&self) {
        if let Err(error) = self.audit.reopen() {
            tracing::error!(%error, "the audit log cannot be opened again");
        }
        if let Some(tls) = &self.tls
            && let Err(error) = tls.reload().await
        {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(error, "the certificate cannot be used; the one before stays in use");
        }
    }
}

fn settings(auth: &AuthSection) -> anyhow::Result<AuthenticationSettings> {
    let user = |user: &crate::config::UserEntry| {
        let hash = given(user.password_hash.as_ref(), user.password_hash_file.as_deref());
        Ok((user.name.clone(), hash.with_context(|| format!("auth.users: {}", user.name))?))
    };
    let token = |token: &crate::config::TokenEntry| -> anyhow::Result<(String, [u8; 32])> {
        let place = || format!("auth.tokens: {}", token.name);
        let digest = match &token.token_sha256 {
            Some(Secret(hex)) => digest(hex).with_context(place)?,
            None => token_digest(&given(None, token.token_file.as_deref()).with_context(place)?),
        };
        Ok((token.name.clone(), digest))
    };
    Ok(AuthenticationSettings {
        users: auth.users.iter().map(user).collect::<anyhow::Result<_>>()?,
        tokens: auth.tokens.iter().map(token).collect::<anyhow::Result<_>>()?,
        oidc: auth.oidc.as_ref().map(|oidc| OidcSettings {
            issuer: oidc.issuer.clone(),
            audience: oidc.audience.all().to_vec(),
            jwks_url: oidc.jwks_url.clone(),
            principal_claim: oidc.principal_claim.clone().unwrap_or_else(|| "sub".to_owned()),
        }),
        anonymous: auth.anonymous,
        token_ttl: auth.token_ttl,
    })
}

/// A secret as it stands in the configuration, or in a file, without the end of its line.
fn given(secret: Option<&Secret>, file: Option<&Path>) -> anyhow::Result<String> {
    match (secret, file) {
        (Some(Secret(text)), _) => Ok(text.clone()),
        (None, Some(path)) => secret_in(path),
        (None, None) => anyhow::bail!("is given neither here nor in a file"),
    }
}

/// What a file holds, without the end of its line.
pub(super) fn secret_in(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let secret = text.trim_end_matches(['\n', '\r']);
    anyhow::ensure!(!secret.is_empty(), "{} is empty", path.display());
    Ok(secret.to_owned())
}

fn digest(hex: &str) -> anyhow::Result<[u8; 32]> {
    let mut digest = [0; 32];
    anyhow::ensure!(hex.len() == 64 && hex.is_ascii(), "token_sha256 is not 64 hexadecimal digits");
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).context("token_sha256 is not 64 hexadecimal digits")?;
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_sha256sum_writes_them() {
        let hex = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
        assert_eq!(digest(hex).unwrap(), token_digest("one"));
        assert_eq!(digest(&hex.to_uppercase()).unwrap(), token_digest("one"));
        assert!(digest("76").is_err() && digest(&"g".repeat(64)).is_err() && digest(&"é".repeat(32)).is_err());
    }

    #[test]
    fn the_end_of_a_files_line_is_no_part_of_the_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        for text in ["one", "one\n", "one\r\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(secret_in(&path).unwrap(), "one");
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(secret_in(&path).unwrap_err().to_string().contains("is empty"));
    }
}
