//! Where the server is.

use std::fmt;
use std::str::FromStr;

/// `grpc://host:port`, or with TLS `grpc+tls://host:port`; `grpc+tcp` and `grpcs` are other spellings of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    authority: String,
    tls: bool,
}

impl ServerUrl {
    /// Of a server at this address.
    pub(crate) fn at(address: std::net::SocketAddr) -> Self {
        Self {
            authority: address.to_string(),
            tls: false,
        }
    }

    /// Whether it is reached by TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    /// The form that an HTTP/2 client takes.
    pub(crate) fn http(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "grpc+tls" } else { "grpc" }, self.authority)
    }
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let example = "expected grpc://HOST:PORT, or grpc+tls://HOST:PORT";
        let (scheme, rest) = text.split_once("://").ok_or(example)?;
        let tls = match scheme {
            "grpc" | "grpc+tcp" => false,
            "grpc+tls" | "grpcs" => true,
            _ => return Err(format!("unknown scheme `{scheme}`; {example}")),
        };
        let authority: http::uri::Authority = rest.trim_end_matches('/').parse().map_err(|error| format!("{error}; {example}"))?;
        if authority.host().is_empty() || authority.port_u16().is_none() || authority.as_str().contains('@') {
            return Err(example.to_owned());
        }
        Ok(Self {
            authority: authority.to_string(),
            tls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, shown) in [
            ("grpc://127.0.0.1:32010", "grpc://127.0.0.1:32010"),
            ("grpc+tcp://host:1/", "grpc://host:1"),
            ("grpc://[::1]:2", "grpc://[::1]:2"),
            ("grpc+tls://host:1", "grpc+tls://host:1"),
            ("grpcs://host:1", "grpc+tls://host:1"),
        ] {
            assert_eq!(text.parse::<ServerUrl>().unwrap().to_string(), shown);
        }
        let url: ServerUrl = "grpcs://host:1".parse().unwrap();
        assert!(url.is_tls());
        assert_eq!(url.http(), "https://host:1");
        for text in [
            "host:1",
            "ftp://host:1",
            "grpc://host",
            "grpc://:1",
            "grpc://u@host:1",
            "grpc://host:1/path",
            "",
        ] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text}");
        }
    }
}
