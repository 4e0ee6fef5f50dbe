//! What a request's headers and connection say of its caller.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::{Request, Status};

use super::authentication::Authenticated;
use super::connection::{ConnectionInfo, ConnectionSession};
use super::reply::{COOKIE, Reply};
use super::status;
use crate::engine::{OptionError, OptionValue, OptionValues, Session, parse_option};

/// Headers that proxies add. Behind one, a connection is not a client's.
const OF_PROXIES: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-envoy-external-address"];

/// Options travel as headers of this prefix, with hyphens: `x-shardflight-bad-records`.
const OPTION_PREFIX: &str = "x-shardflight-";

/// Clients that read all endpoints of a result, by the beginning of their user agent.
const READ_ALL_ENDPOINTS: [&str; 3] = ["ADBC Flight SQL Driver", "JDBC Flight SQL Driver", "shardflight"];

/// The caller of one request.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) bearer: Option<String>,
    pub(crate) cookie: Option<String>,
    pub(crate) connection: Arc<ConnectionSession>,
    /// Who it is, if credentials beside a session's token were shown.
    pub(crate) authenticated: Option<Authenticated>,
    /// It came through a proxy, which may spread calls of one client over connections.
    pub(crate) proxied: bool,
    pub(crate) reply: Reply,
    pub(crate) arrived: Instant,
    /// Whoever polls reads all endpoints.
    polls: bool,
    headers: MetadataMap,
}

impl Caller {
    /// Who sent this request.
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        let headers = request.metadata();
        let extensions = request.extensions();
        Self {
            bearer: text(headers, "authorization").and_then(bearer).map(str::to_owned),
            cookie: cookie(headers).map(str::to_owned),
            authenticated: extensions.get::<Authenticated>().cloned(),
            proxied: OF_PROXIES.iter().any(|name| headers.contains_key(*name)),
            connection: extensions.get::<ConnectionInfo>().cloned().unwrap_or_default().session,
            reply: extensions.get::<Reply>().cloned().unwrap_or_default(),
            arrived: Instant::now(),
            polls: false,
            headers: headers.clone(),
        }
    }

    /// Who polls for a plan.
    pub(crate) fn polling<T>(request: &Request<T>) -> Self {
        Self {
            polls: true,
            ..Self::of(request)
        }
    }

    /// Options in the headers.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a name that is none, with the nearest one, and for a value that does not fit.
    pub(crate) fn options(&self) -> Result<OptionValues, Status> {
        let mut options = OptionValues::default();
        for header in self.headers.iter() {
            let key = match header {
                KeyAndValueRef::Ascii(key, _) => key.as_str(),
                KeyAndValueRef::Binary(key, _) => key.as_str(),
            };
            let Some(hyphened) = key.strip_prefix(OPTION_PREFIX) else {
                continue;
            };
            let KeyAndValueRef::Ascii(_, value) = header else {
                return Err(Status::invalid_argument(format!("header `{key}`: options are text")));
            };
            let value = value
                .to_str()
                .map_err(|_| Status::invalid_argument(format!("header `{key}`: not ASCII text")))?;
            let (name, value) = parse_option(&hyphened.replace('-', "_"), value).map_err(|error| in_header(key, &error))?;
            options.insert(name, value);
        }
        Ok(options)
    }

    /// Whether this caller reads several endpoints: header over session over what its user agent is known for.
    pub(crate) fn per_shard(&self, overrides: &OptionValues, session: &Session) -> bool {
        let options = overrides.over(&session.options());
        match options.get("endpoints").map(OptionValue::to_text).as_deref() {
            Some("shard") => true,
            Some("single") => false,
            _ => {
                let agent = text(&self.headers, "user-agent").unwrap_or_default();
                self.polls || READ_ALL_ENDPOINTS.iter().any(|known| agent.starts_with(known))
            }
        }
    }

    /// Whether a driver of Java's calls.
    pub(crate) fn is_java(&self) -> bool {
        let agent = text(&self.headers, "user-agent").unwrap_or_default();
        agent.starts_with("JDBC ") || agent.contains("grpc-java")
    }

    /// When the client gives up, from `grpc-timeout`. tonic ends unary calls by it, and leaves streams to us.
    pub(crate) fn deadline(&self) -> Result<Option<Instant>, Status> {
        let Some(value) = text(&self.headers, "grpc-timeout") else {
            return Ok(None);
        };
        let timeout = timeout(value).ok_or_else(|| Status::invalid_argument(format!("grpc-timeout `{value}` is no timeout")))?;
        Ok(self.arrived.checked_add(timeout))
    }
}

fn in_header(key: &str, error: &OptionError) -> Status {
    match error {
        OptionError::UnknownName { suggestion, .. } => {
            let hint = suggestion.map(|name| format!("; did you mean `{OPTION_PREFIX}{}`?", name.replace('_', "-")));
            Status::invalid_argument(format!("unknown option header `{key}`{}", hint.unwrap_or_default()))
        }
        OptionError::InvalidValue { .. } | OptionError::Retired { .. } => status::option(error),
    }
}

fn text<'a>(headers: &'a MetadataMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The token of `Bearer …`. Other schemes name no session.
pub(crate) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &MetadataMap) -> Option<&str> {
    session_cookie(headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok()))
}

/// The session's cookie among cookie headers.
pub(crate) fn session_cookie<'a>(values: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    values
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == COOKIE && !value.is_empty())
        .map(|(_, value)| value.trim_matches('"'))
}

/// `TimeoutValue TimeoutUnit` of gRPC over HTTP/2: at most eight digits, and one of H M S m u n.
fn timeout(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Principal, SessionId};

    fn caller(headers: &[(&'static str, &str)]) -> Caller {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.metadata_mut().append(*name, value.parse().unwrap());
        }
        Caller::of(&request)
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(timeout("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(timeout("3M"), Some(Duration::from_secs(180)));
        assert_eq!(timeout("100m"), Some(Duration::from_millis(100)));
        assert_eq!(timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "S", "1", "123456789S", "-1S", "1s", "1é"] {
            assert_eq!(timeout(wrong), None, "{wrong}");
        }
        assert_eq!(
            caller(&[("grpc-timeout", "soon")]).deadline().unwrap_err().code(),
            tonic::Code::InvalidArgument
        );
    }

    #[test]
    fn tokens_are_found_in_header_and_cookie() {
        let both = caller(&[("authorization", "bearer abc"), ("cookie", "a=b; shardflight_session=xyz; c=d")]);
        assert_eq!((both.bearer.as_deref(), both.cookie.as_deref()), (Some("abc"), Some("xyz")));
        let basic = caller(&[("authorization", "Basic YTpi"), ("cookie", "shardflight_session=")]);
        assert_eq!((basic.bearer, basic.cookie), (None, None));
    }

    #[test]
    fn options_come_from_headers_with_hyphens() {
        let options = caller(&[("x-shardflight-bad-records", "skip"), ("x-other", "1")])
            .options()
            .unwrap();
        assert_eq!(options.get("bad_records"), Some(&OptionValue::Text("skip".into())));
        let error = caller(&[("x-shardflight-bad-recrds", "skip")]).options().unwrap_err();
        assert_eq!(error.code(), tonic::Code::InvalidArgument);
        assert_eq!(
            error.message(),
            "unknown option header `x-shardflight-bad-recrds`; did you mean `x-shardflight-bad-records`?"
        );
        let error = caller(&[("x-shardflight-endpoints", "many")]).options().unwrap_err();
        assert_eq!(error.code(), tonic::Code::InvalidArgument);
    }

    #[test]
    fn endpoints_follow_header_then_session_then_user_agent() {
        let session = Session::new(SessionId("s".into()), Principal::anonymous());
        let none = OptionValues::default();
        for (agent, expected) in [
            ("ADBC Flight SQL Driver 1.13.0 grpc-go/1.84.0", true),
            ("JDBC Flight SQL Driver 19.0.0", true),
            ("shardflight/0.1.0 tonic/0.14.9", true),
            ("grpc-go/1.58.3", false),
            ("grpc-c++/1.60", false),
        ] {
            assert_eq!(caller(&[("user-agent", agent)]).per_shard(&none, &session), expected, "{agent}");
        }
        let pyarrow = caller(&[("user-agent", "grpc-c++/1.60")]);
        session.set_option("endpoints", Some(&OptionValue::Text("shard".into()))).unwrap();
        assert!(pyarrow.per_shard(&none, &session));
        let header = caller(&[("x-shardflight-endpoints", "single")]);
        assert!(!header.per_shard(&header.options().unwrap(), &session));
        let auto = caller(&[("x-shardflight-endpoints", "auto"), ("user-agent", "shardflight")]);
        assert!(auto.per_shard(&auto.options().unwrap(), &session));
    }
}
