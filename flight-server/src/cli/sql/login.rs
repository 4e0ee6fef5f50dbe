//! Who the client is, and whom it trusts.

use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{ArgGroup, Args};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::cli::password;
use crate::cli::security::secret_in;

/// Where a password is looked for that is not on the command line; and a token.
const PASSWORD: &str = "SHARDFLIGHT_PASSWORD";
const TOKEN: &str = "SHARDFLIGHT_TOKEN";

/// Credentials and certificates for a server.
#[derive(Debug, Clone, Default, Args)]
#[command(group = ArgGroup::new("secret").args(["password", "password_file"]).requires("user"))]
pub(crate) struct LoginArgs {
    /// User; without a password one is asked for.
    #[arg(long, value_name = "NAME", conflicts_with = "token")]
    pub(crate) user: Option<String>,
    /// Its password; others on this machine can see it, so better SHARDFLIGHT_PASSWORD, a file, or the prompt.
    #[arg(long, value_name = "TEXT", conflicts_with = "password_file")]
    pub(crate) password: Option<Hidden>,
    /// A file that holds its password.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// A static token or one of the identity provider; better SHARDFLIGHT_TOKEN.
    #[arg(long, value_name = "TEXT")]
    pub(crate) token: Option<Hidden>,
    /// CAs that the server's certificate is verified by, PEM [default: the system's].
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Certificate to show, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
}

/// A secret of the command line: never shown.
#[derive(Clone)]
pub(crate) struct Hidden(pub(crate) String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl std::str::FromStr for Hidden {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// What is shown to a server. Without anything: nothing.
#[derive(Debug, Default)]
pub(crate) struct Login {
    /// Sensitive: not shown.
    pub(super) authorization: Option<MetadataValue<Ascii>>,
    /// How TLS is done, if not as usual.
    pub(super) tls: Option<ClientTlsConfig>,
}

impl Login {
    /// As the command line, the environment and, for a password, the terminal say.
    pub(crate) fn of(args: &LoginArgs) -> anyhow::Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let header = match (&args.user, &args.token) {
            (Some(user), _) => {
                anyhow::ensure!(!user.contains(':'), "--user: a name has no `:`");
                let password = match (&args.password, &args.password_file, variable(PASSWORD)) {
                    (Some(password), ..) => password.0.clone(),
                    (None, Some(file), _) => secret_in(file)?,
                    (None, None, Some(password)) => password,
                    (None, None, None) => password::ask(&format!("password of {user}: "))?,
                };
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            (None, Some(token)) => Some(format!("Bearer {}", token.0)),
            (None, None) => variable(TOKEN).map(|token| format!("Bearer {token}")),
        };
        let authorization = header.map(|header| {
            let value: Result<MetadataValue<Ascii>, _> = header.parse();
            value.map(|mut value| {
                value.set_sensitive(true);
                value
            })
        });
        Ok(Self {
            authorization: authorization
                .transpose()
                .map_err(|_| anyhow::anyhow!("the token is not plain text"))?,
            tls: tls(args)?,
        })
    }
}

fn tls(args: &LoginArgs) -> anyhow::Result<Option<ClientTlsConfig>> {
    if args.tls_ca.is_none() && args.tls_cert.is_none() {
        return Ok(None);
    }
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let config = match &args.tls_ca {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    Ok(Some(match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => config.identity(Identity::from_pem(read(cert)?, read(key)?)),
        _ => config,
    }))
}
