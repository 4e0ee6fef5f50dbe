//! Who comes in, over sockets: by which credentials, as whom, and what a session's token is worth.

use std::collections::HashMap;
use std::time::SystemTime;

use arrow_flight::{BasicAuth, HandshakeRequest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream;
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::*;
use crate::engine::{Access, AccessRule, AuditLog, PrincipalLimits, Right};
use crate::service::{Authentication, AuthenticationSettings, hash_password, token_digest};

const TTL: Duration = Duration::from_secs(3600);

pub(super) fn settings() -> AuthenticationSettings {
    AuthenticationSettings {
        users: vec![("ann".into(), hash_password("right:one").unwrap())],
        tokens: vec![("grafana".into(), token_digest("s3cr3t-token"))],
        oidc: None,
        anonymous: false,
        token_ttl: TTL,
    }
}

pub(super) fn asking(settings: AuthenticationSettings) -> ServiceConfig {
    ServiceConfig {
        authentication: Authentication::new(settings, AuditLog::off()).unwrap(),
        ..ServiceConfig::default()
    }
}

pub(super) async fn server(settings: AuthenticationSettings) -> TestServer {
    TestServer::with(KEY, asking(settings), PATIENCE).await
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub(super) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The principal that a call with this header is from.
pub(super) async fn principal(server: &TestServer, authorization: &str) -> Result<String, Status> {
    let mut client = server.client().await;
    let headers: &[_] = if authorization.is_empty() {
        &[]
    } else {
        &[("authorization", authorization)]
    };
    client.get_flight_info(with_headers(query("numbers"), headers)).await?;
    Ok(server.backend.seen.lock().last().unwrap().principal.clone())
}

fn given(metadata: &MetadataMap) -> Option<String> {
    metadata.get("authorization").map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn credentials_that_are_good_say_who_it_is_and_others_are_refused_in_the_same_words() {
    let server = server(settings()).await;
    for (header, expected) in [
        (basic("ann", "right:one"), "ann"),
        (bearer("s3cr3t-token"), "grafana"),
        (basic("token", "s3cr3t-token"), "grafana"),
    ] {
        assert_eq!(principal(&server, &header).await.unwrap(), expected, "{header}");
    }
    let mut messages = Vec::new();
    for header in [
        basic("ann", "wrong"),
        basic("bob", "right:one"),
        basic("grafana", "s3cr3t-token"),
        basic("token", "right:one"),
        bearer("s3cr3t-toke"),
        bearer("a.b.c"),
        bearer(""),
    ] {
        let error = principal(&server, &header).await.unwrap_err();
        assert_eq!(error.code(), Code::Unauthenticated, "{header}");
        messages.push(error.message().to_owned());
    }
    messages.dedup();
    assert_eq!(messages, ["the credentials are not valid"]);
    for header in ["", "Digest x", "Basic !"] {
        assert_eq!(
            principal(&server, header).await.unwrap_err().code(),
            Code::Unauthenticated,
            "{header}"
        );
    }
}

#[tokio::test]
async fn every_call_asks_who_it_is() {
    let server = server(settings()).await;
    let mut client = server.client().await;
    let session = client
        .get_flight_info(with_headers(query("numbers"), &[("authorization", &bearer("s3cr3t-token"))]))
        .await
        .unwrap();
    let ticket = tickets(session.get_ref()).remove(0);
    let code = |status: Status| status.code();
    let tables = descriptor(&arrow_flight::sql::CommandGetTables::default());
    assert_eq!(
        client.get_flight_info(query("numbers")).await.map_err(code).unwrap_err(),
        Code::Unauthenticated
    );
    assert_eq!(
        client.get_flight_info(tables.clone()).await.map_err(code).unwrap_err(),
        Code::Unauthenticated
    );
    assert_eq!(
        client.get_schema(tables.clone()).await.map_err(code).unwrap_err(),
        Code::Unauthenticated
    );
    assert_eq!(
        client.get_schema(query("numbers")).await.map_err(code).unwrap_err(),
        Code::Unauthenticated
    );
    assert_eq!(
        client.poll_flight_info(query("numbers")).await.map_err(code).unwrap_err(),
        Code::Unauthenticated
    );
    assert_eq!(
        client.do_get(ticket.clone()).await.map(drop).map_err(code).unwrap_err(),
        Code::Unauthenticated
    );
    assert_eq!(
        client.do_get(Ticket::new(tables.cmd)).await.map(drop).map_err(code).unwrap_err(),
        Code::Unauthenticated
    );
    for action in ["BeginTransaction", "CloseSession", "GetSessionOptions", "SetSessionOptions"] {
        let error = act(&mut client, action, vec![]).await.map(drop).unwrap_err();
        assert!(
            [Code::Unauthenticated, Code::InvalidArgument].contains(&error.code()),
            "{action}: {error}"
        );
    }
    let update = arrow_flight::sql::CommandStatementUpdate {
        query: "set start latest".into(),
        transaction_id: None,
    };
    let message = arrow_flight::FlightData::new().with_descriptor(descriptor(&update));
    assert_eq!(
        client.do_put(stream::iter([message])).await.map(drop).map_err(code).unwrap_err(),
        Code::Unauthenticated
    );
    assert_eq!(
        client.handshake(stream::empty()).await.map(drop).map_err(code).unwrap_err(),
        Code::Unauthenticated
    );
    // Another principal's ticket is no use.
    let headers = [("authorization", basic("ann", "right:one"))].map(|(name, value)| (name, value));
    let request = with_headers(ticket, &[(headers[0].0, headers[0].1.as_str())]);
    assert_eq!(
        fetch(&mut client, request).await.map(drop).map_err(code).unwrap_err(),
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn a_handshake_by_header_or_message_gives_a_token_that_names_session_and_principal() {
    let server = server(settings()).await;
    let mut client = server.client().await;
    let by_header = with_headers(stream::empty(), &[("authorization", &basic("ann", "right:one"))]);
    let reply = client.handshake(by_header).await.unwrap();
    let from_header = given(reply.metadata()).unwrap();
    let message = |password: &str| {
        let sent = BasicAuth {
            username: "ann".into(),
            password: password.into(),
        };
        stream::iter([HandshakeRequest {
            protocol_version: 0,
            payload: sent.encode_to_vec().into(),
        }])
    };
    let mut elsewhere = server.client().await;
    let reply = elsewhere.handshake(message("right:one")).await.unwrap();
    let from_message = given(reply.metadata()).unwrap();
    assert_ne!(from_header, from_message, "a session each");
    for token in [&from_header, &from_message] {
        assert_eq!(principal(&server, token).await.unwrap(), "ann");
    }
    let error = elsewhere.handshake(message("wrong")).await.map(drop).unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let unreadable = stream::iter([HandshakeRequest {
        protocol_version: 0,
        payload: vec![0xff; 9].into(),
    }]);
    assert_eq!(
        elsewhere.handshake(unreadable).await.map(drop).unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn a_sessions_token_is_good_on_any_connection_and_no_longer_than_its_login() {
    let before = server(settings()).await;
    let mut client = before.client().await;
    let reply = client
        .get_flight_info(with_headers(
            query("set start latest"),
            &[("authorization", &basic("ann", "right:one"))],
        ))
        .await;
    let token = given(reply.unwrap().metadata()).unwrap();
    let mut elsewhere = before.client().await;
    let shown = elsewhere
        .get_flight_info(with_headers(query("show start"), &[("authorization", &token)]))
        .await
        .unwrap();
    let rows = fetch(
        &mut elsewhere,
        with_headers(tickets(shown.get_ref()).remove(0), &[("authorization", &token)]),
    )
    .await
    .unwrap();
    assert_eq!(rows.batches[0].column(0).as_string::<i32>().value(0), "latest");
    // As a cookie, too; beside credentials of the same principal, and not of another.
    let cookie = format!("shardflight_session={}", token.trim_start_matches("Bearer "));
    let session = |server: &TestServer| server.backend.seen.lock().last().unwrap().session.clone();
    elsewhere
        .get_flight_info(with_headers(query("numbers"), &[("cookie", &cookie)]))
        .await
        .unwrap();
    let own = session(&before);
    for (credentials, same) in [(basic("ann", "right:one"), true), (bearer("s3cr3t-token"), false)] {
        let headers = [("cookie", cookie.as_str()), ("authorization", credentials.as_str())];
        let mut fresh = before.client().await;
        fresh.get_flight_info(with_headers(query("numbers"), &headers)).await.unwrap();
        assert_eq!(session(&before) == own, same, "{credentials}");
    }
    // After a restart the session is gone, and says so; the login is known.
    let after = server(settings()).await;
    let error = principal(&after, &token).await.unwrap_err();
    assert!(error.message().starts_with("session expired"), "{}", error.message());
    // A user who was removed is not known.
    let removed = AuthenticationSettings {
        users: vec![],
        ..settings()
    };
    let error = principal(&server(removed).await, &token).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::Unauthenticated, "the login is good no more; log in again")
    );
    // Nor does a server that asks nobody give anybody's rights to who once was somebody.
    let open = TestServer::start().await;
    assert_eq!(principal(&open, &token).await.unwrap_err().code(), Code::Unauthenticated);
    // And what was got from nobody is no login.
    let mut client = open.client().await;
    let anonymous = given(plan_reply(&mut client).await.metadata()).unwrap();
    assert_eq!(principal(&before, &anonymous).await.unwrap_err().code(), Code::Unauthenticated);
    let middle = token.len() / 2;
    let other = if token[middle..].starts_with('A') { "B" } else { "A" };
    let tampered = format!("{}{other}{}", &token[..middle], &token[middle + 1..]);
    assert_eq!(principal(&before, &tampered).await.unwrap_err().code(), Code::Unauthenticated);
}

async fn plan_reply(client: &mut Client) -> Response<FlightInfo> {
    client.get_flight_info(query("numbers")).await.unwrap()
}

#[tokio::test]
async fn a_token_expires_and_is_followed_by_a_new_one_in_time() {
    let short = AuthenticationSettings {
        token_ttl: Duration::from_secs(2),
        ..settings()
    };
    let server = server(short).await;
    let mut client = server.client().await;
    let reply = client
        .get_flight_info(with_headers(query("numbers"), &[("authorization", &bearer("s3cr3t-token"))]))
        .await
        .unwrap();
    let first = given(reply.metadata()).unwrap();
    let mut token = first.clone();
    let started = SystemTime::now();
    // Used all the time it lives on; the first one does not.
    while started.elapsed().unwrap() < Duration::from_secs(3) {
        let reply = client
            .get_flight_info(with_headers(query("numbers"), &[("authorization", &token)]))
            .await
            .unwrap();
        token = given(reply.metadata()).unwrap_or(token);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_ne!(first, token);
    let error = principal(&server, &first).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    assert!(error.message().starts_with("session expired"), "{}", error.message());
    assert_eq!(principal(&server, &token).await.unwrap(), "grafana");
}

#[tokio::test]
async fn behind_a_proxy_a_connection_is_nobodys_and_nothing_is_forgotten() {
    let server = server(settings()).await;
    let mut client = server.client().await;
    let credentials = bearer("s3cr3t-token");
    let proxied = [("authorization", credentials.as_str()), ("x-forwarded-for", "192.0.2.7")];
    let reply = client.get_flight_info(with_headers(query("numbers"), &proxied)).await.unwrap();
    let token = given(reply.metadata()).unwrap();
    let again = client.get_flight_info(with_headers(query("numbers"), &proxied)).await.unwrap();
    assert!(given(again.metadata()).is_some());
    let sessions: Vec<String> = server.backend.seen.lock().iter().map(|seen| seen.session.clone()).collect();
    assert_ne!(sessions[0], sessions[1], "two calls, perhaps of two clients");
    let set = crate::service::wire::SetSessionOptionsRequest::default().encode_to_vec();
    let error = act_with(&mut client, "SetSessionOptions", set.clone(), &proxied)
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    // Whoever names the session can set what he likes, over any connection.
    let named = [("authorization", token.as_str()), ("x-forwarded-for", "192.0.2.7")];
    let mut elsewhere = server.client().await;
    act_with(&mut elsewhere, "SetSessionOptions", set, &named).await.unwrap();
    client.get_flight_info(with_headers(query("numbers"), &named)).await.unwrap();
    assert_eq!(server.backend.seen.lock().last().unwrap().session, sessions[0]);
}

#[tokio::test]
async fn principals_on_one_connection_have_a_session_each() {
    let server = server(settings()).await;
    let mut client = server.client().await;
    let mut sessions: HashMap<String, Vec<String>> = HashMap::new();
    for header in [
        basic("ann", "right:one"),
        bearer("s3cr3t-token"),
        basic("ann", "right:one"),
        bearer("s3cr3t-token"),
    ] {
        client
            .get_flight_info(with_headers(query("numbers"), &[("authorization", &header)]))
            .await
            .unwrap();
        let seen = server.backend.seen.lock().last().unwrap().clone();
        sessions.entry(seen.principal).or_default().push(seen.session);
    }
    assert_eq!(sessions.len(), 2);
    for (principal, own) in &sessions {
        assert!(own.len() == 2 && own[0] == own[1], "{principal}: {own:?}");
    }
}

#[tokio::test]
async fn who_shows_nothing_may_come_in_where_that_is_allowed() {
    let open = AuthenticationSettings {
        anonymous: true,
        ..settings()
    };
    let server = server(open).await;
    assert_eq!(principal(&server, "").await.unwrap(), "anonymous");
    assert_eq!(principal(&server, &basic("ann", "right:one")).await.unwrap(), "ann");
    assert_eq!(
        principal(&server, &basic("ann", "wrong")).await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn failed_logins_make_the_next_wait_and_sessions_are_limited() {
    let access = AccessRule::new("grafana", [Right::Read]).unwrap().within(PrincipalLimits {
        max_sessions: Some(2),
        ..PrincipalLimits::default()
    });
    let config = ServiceConfig {
        access: Arc::new(Access::new(vec![access])),
        ..asking(settings())
    };
    let server = TestServer::with(KEY, config, PATIENCE).await;
    for _ in 0..2 {
        principal(&server, &bearer("s3cr3t-token")).await.unwrap();
    }
    let mut clients = Vec::new();
    let mut refused = None;
    for _ in 0..3 {
        let mut client = server.client().await;
        let request = with_headers(query("numbers"), &[("authorization", &bearer("s3cr3t-token"))]);
        refused = client.get_flight_info(request).await.err().map(|status| status.code());
        clients.push(client);
    }
    assert_eq!(refused, Some(Code::ResourceExhausted));
    let mut codes = Vec::new();
    for _ in 0..7 {
        codes.push(principal(&server, &basic("ann", "wrong")).await.unwrap_err().code());
    }
    assert_eq!((codes[0], codes[6]), (Code::Unauthenticated, Code::ResourceExhausted), "{codes:?}");
}
