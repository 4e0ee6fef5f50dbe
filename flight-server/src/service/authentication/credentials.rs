//! What a request shows of who sends it.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tonic::Status;

/// Clients pad, or do not.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Longest name or password. What is longer is none.
const LONGEST: usize = 1024;

/// See the module. Not to be shown.
pub(crate) enum Credentials<'a> {
    /// Nothing.
    None,
    Password {
        user: String,
        password: String,
    },
    /// A bearer token that is not a session's.
    Token(&'a str),
    /// The name in a certificate that was verified.
    Certificate(&'a str),
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
            Self::Certificate(_) => "Certificate",
        })
    }
}

impl<'a> Credentials<'a> {
    /// Of an `authorization` header.
    ///
    /// # Errors
    /// UNAUTHENTICATED for what is neither `Basic` nor `Bearer`, or cannot be read.
    pub(crate) fn of_header(header: &'a str) -> Result<Self, Status> {
        let unreadable = || Status::unauthenticated("the header `authorization` is neither `Basic` nor `Bearer` with credentials");
        let (scheme, rest) = header.split_once(' ').ok_or_else(unreadable)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Self::Token(rest));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(unreadable());
        }
        let bytes = BASIC.decode(rest).map_err(|_| unreadable())?;
        let text = String::from_utf8(bytes).map_err(|_| unreadable())?;
        let (user, password) = text.split_once(':').ok_or_else(unreadable)?;
        Self::of_password(user, password).ok_or_else(unreadable)
    }

    /// Of a name and a password, unless they are too long to be any.
    pub(crate) fn of_password(user: &str, password: &str) -> Option<Self> {
        // A token may be long; a hash's input may not.
        let longest = if user == super::TOKEN_USER { 16 << 10 } else { LONGEST };
        (user.len() <= LONGEST && password.len() <= longest).then(|| Self::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_and_bearer_are_read_and_others_refused() {
        // base64 of `ann:a:b`, with and without padding
        for header in ["Basic YW5uOmE6Yg==", "basic YW5uOmE6Yg"] {
            let Ok(Credentials::Password { user, password }) = Credentials::of_header(header) else {
                panic!("{header}")
            };
            assert_eq!((user.as_str(), password.as_str()), ("ann", "a:b"));
        }
        assert!(matches!(Credentials::of_header("Bearer  x.y.z "), Ok(Credentials::Token("x.y.z"))));
        for header in ["", "Basic", "Basic !", "Basic YW5u", "Digest x", "Basic //8="] {
            let error = Credentials::of_header(header).unwrap_err();
            assert_eq!(error.code(), tonic::Code::Unauthenticated, "{header}");
        }
        assert!(Credentials::of_password("a", &"x".repeat(2000)).is_none());
    }

    #[test]
    fn they_are_not_shown() {
        let shown = format!(
            "{:?} {:?}",
            Credentials::of_header("Basic YW5uOmE6Yg"),
            Credentials::Token("s3cr3t")
        );
        assert!(!shown.contains("a:b") && !shown.contains("s3cr3t"), "{shown}");
    }
}
