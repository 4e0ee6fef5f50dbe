use std::collections::HashMap;

use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{Empty, HandshakeRequest};
use futures::stream;
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::*;
use crate::service::wire::{
    CloseSessionRequest, CloseSessionResult, CloseSessionStatus, GetSessionOptionsRequest, GetSessionOptionsResult, SessionOption,
    SessionOptionErrorValue, SessionOptionValue, SetSessionOptionsRequest, SetSessionOptionsResult, StringList,
};

type Headers<'a> = &'a [(&'static str, &'a str)];

fn text(value: &str) -> Option<SessionOption> {
    Some(SessionOption::Text(value.into()))
}

async fn set(client: &mut Client, options: &[(&str, Option<SessionOption>)], headers: Headers<'_>) -> HashMap<String, i32> {
    let session_options = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), SessionOptionValue { value: value.clone() }))
        .collect();
    let body = SetSessionOptionsRequest { session_options }.encode_to_vec();
    let bodies = act_with(client, "SetSessionOptions", body, headers).await.unwrap().into_inner();
    let result = SetSessionOptionsResult::decode(&*bodies[0]).unwrap();
    result.errors.into_iter().map(|(name, error)| (name, error.value)).collect()
}

async fn get(client: &mut Client, headers: Headers<'_>) -> Result<Response<HashMap<String, SessionOption>>, Status> {
    let body = GetSessionOptionsRequest {}.encode_to_vec();
    let response = act_with(client, "GetSessionOptions", body, headers).await?;
    Ok(response.map(|bodies| {
        let result = GetSessionOptionsResult::decode(&*bodies[0]).unwrap();
        let options = result.session_options.into_iter();
        options.map(|(name, value)| (name, value.value.unwrap())).collect()
    }))
}

async fn option(client: &mut Client, name: &str, headers: Headers<'_>) -> Option<SessionOption> {
    get(client, headers).await.unwrap().into_inner().remove(name)
}

async fn close(client: &mut Client, headers: Headers<'_>) -> Result<i32, Status> {
    let body = CloseSessionRequest {}.encode_to_vec();
    let bodies = act_with(client, "CloseSession", body, headers).await?.into_inner();
    Ok(CloseSessionResult::decode(&*bodies[0]).unwrap().status)
}

fn given(metadata: &MetadataMap) -> Option<(String, String)> {
    let text = |name: &str| metadata.get(name).map(|value| value.to_str().unwrap().to_owned());
    let cookie = text("set-cookie").map(|cookie| cookie.split(';').next().unwrap().to_owned());
    text("authorization").zip(cookie)
}

/// The scenario of Arrow's integration tests, with options that there are.
#[tokio::test]
async fn session_options_are_set_typed_replaced_and_erased() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let errors = set(
        &mut client,
        &[
            ("max_seconds", Some(SessionOption::Int(123))),
            ("start", text("-1h")),
            ("string_views", Some(SessionOption::Bool(true))),
            ("lol_invalid", text("this won't get set")),
            ("freshness", text("lol_invalid")),
            (
                "endpoints",
                Some(SessionOption::List(StringList {
                    values: vec!["shard".into()],
                })),
            ),
        ],
        &[],
    )
    .await;
    let (name, value) = (
        SessionOptionErrorValue::InvalidName.into(),
        SessionOptionErrorValue::InvalidValue.into(),
    );
    let expected: HashMap<String, i32> = [("lol_invalid", name), ("freshness", value), ("endpoints", value)]
        .map(|(name, error)| (name.to_owned(), error))
        .into();
    assert_eq!(errors, expected);
    let options = get(&mut client, &[]).await.unwrap().into_inner();
    let expected: HashMap<String, SessionOption> = [
        ("max_seconds", SessionOption::Int(123)),
        ("start", text("-1h").unwrap()),
        ("string_views", SessionOption::Bool(true)),
        ("catalog", text("kinesis").unwrap()),
        ("schema", text("default").unwrap()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    assert_eq!(options, expected);
    // A value as text, another one, and none.
    assert!(
        set(
            &mut client,
            &[("max_seconds", text("7")), ("start", text("latest")), ("string_views", None)],
            &[]
        )
        .await
        .is_empty()
    );
    assert_eq!(option(&mut client, "max_seconds", &[]).await, Some(SessionOption::Int(7)));
    assert_eq!(option(&mut client, "start", &[]).await, text("latest"));
    assert_eq!(option(&mut client, "string_views", &[]).await, None);
    assert!(set(&mut client, &[("schema", text("system"))], &[]).await.is_empty());
    assert_eq!(option(&mut client, "schema", &[]).await, text("system"));
    assert!(set(&mut client, &[("schema", None)], &[]).await.is_empty());
    assert_eq!(option(&mut client, "schema", &[]).await, text("default"));
}

#[tokio::test]
async fn the_first_reply_gives_token_and_cookie_and_both_find_the_session() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    assert!(
        given(get(&mut client, &[]).await.unwrap().metadata()).is_none(),
        "asking opens no session"
    );
    let (bearer, cookie) = given(client.get_flight_info(query("set start latest")).await.unwrap().metadata()).unwrap();
    assert!(bearer.starts_with("Bearer ") && cookie.starts_with("shardflight_session="));
    assert!(given(client.get_flight_info(query("show start")).await.unwrap().metadata()).is_none());
    let mut elsewhere = server.client().await;
    for headers in [[("authorization", bearer.as_str())], [("cookie", cookie.as_str())]] {
        assert_eq!(option(&mut elsewhere, "start", &headers).await, text("latest"));
        let reply = elsewhere
            .get_flight_info(with_headers(query("show start"), &headers))
            .await
            .unwrap();
        assert!(given(reply.metadata()).is_none());
    }
    // The same connection without either has the session it opened; another one has none.
    assert_eq!(option(&mut client, "start", &[]).await, text("latest"));
    assert_eq!(option(&mut elsewhere, "start", &[]).await, None);
    let sessions: Vec<String> = server.backend.seen.lock().iter().map(|seen| seen.session.clone()).collect();
    assert_eq!(sessions.len(), 4);
    assert!(sessions.iter().all(|session| *session == sessions[0]));
}

#[tokio::test]
async fn do_put_and_do_action_give_the_token_too_and_do_get_opens_none() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let body = SetSessionOptionsRequest::default().encode_to_vec();
    assert!(given(act(&mut client, "SetSessionOptions", body).await.unwrap().metadata()).is_some());
    let update = arrow_flight::sql::CommandStatementUpdate {
        query: "set start latest".into(),
        transaction_id: None,
    };
    let message = arrow_flight::FlightData::new().with_descriptor(descriptor(&update));
    let mut other = server.client().await;
    assert!(given(other.do_put(stream::iter([message])).await.unwrap().metadata()).is_some());
    let info = plan(&mut other, "numbers").await.unwrap();
    let mut third = server.client().await;
    assert!(given(third.do_get(tickets(&info).remove(0)).await.unwrap().metadata()).is_none());
}

#[tokio::test]
async fn a_handshake_gives_a_session_with_any_number_of_messages() {
    let server = TestServer::start().await;
    let mut raw = server.client().await;
    for messages in [0, 1, 2] {
        let requests = stream::iter((0..messages).map(|_| HandshakeRequest::default()));
        let response = raw
            .handshake(with_headers(requests, &[("authorization", "Basic dXNlcjpwdw==")]))
            .await
            .unwrap();
        let (bearer, _) = given(response.metadata()).unwrap();
        let replies: Vec<_> = response.into_inner().try_collect().await.unwrap();
        assert_eq!(replies.len(), 1);
        assert_eq!(bearer.as_bytes()[7..], replies[0].payload[..]);
        assert!(get(&mut raw, &[("authorization", &bearer)]).await.is_ok());
    }
    let mut client = FlightSqlServiceClient::new_from_inner(server.client().await);
    client.handshake("user", "pw").await.unwrap();
    assert!(client.token().is_some());
    client.execute("set start latest".into(), None).await.unwrap();
    let bearer = format!("Bearer {}", client.token().unwrap());
    assert_eq!(option(&mut raw, "start", &[("authorization", &bearer)]).await, text("latest"));
    // A token shown at a handshake keeps its session.
    let again = raw
        .handshake(with_headers(
            stream::iter([HandshakeRequest::default()]),
            &[("authorization", &bearer)],
        ))
        .await
        .unwrap();
    let (renewed, _) = given(again.metadata()).unwrap();
    assert_eq!(option(&mut raw, "start", &[("authorization", &renewed)]).await, text("latest"));
    let error = raw
        .handshake(with_headers(stream::empty(), &[("authorization", "Bearer nonsense")]))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_closed_session_is_refused_and_its_cookie_taken_back() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    assert_eq!(close(&mut client, &[]).await.unwrap(), CloseSessionStatus::NotCloseable as i32);
    let (bearer, cookie) = given(client.get_flight_info(query("set start latest")).await.unwrap().metadata()).unwrap();
    assert_eq!(
        close(&mut client, &[("authorization", &bearer)]).await.unwrap(),
        CloseSessionStatus::Closed as i32
    );
    assert_eq!(
        get(&mut client, &[("authorization", &bearer)]).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let error = client
        .get_flight_info(with_headers(query("numbers"), &[("cookie", &cookie)]))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let taken_back = error.metadata().get("set-cookie").unwrap().to_str().unwrap();
    assert!(
        taken_back.starts_with("shardflight_session=;") && taken_back.contains("Max-Age=0"),
        "{taken_back}"
    );
    // Without them the connection gets a new one.
    assert_eq!(option(&mut client, "start", &[]).await, None);
    assert!(given(client.get_flight_info(query("numbers")).await.unwrap().metadata()).is_some());
}

#[tokio::test]
async fn the_actions_listed_are_those_there_are() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let listed: Vec<_> = client
        .list_actions(Empty {})
        .await
        .unwrap()
        .into_inner()
        .try_collect()
        .await
        .unwrap();
    let names: Vec<&str> = listed.iter().map(|action| action.r#type.as_str()).collect();
    assert_eq!(
        names,
        [
            "CreatePreparedStatement",
            "ClosePreparedStatement",
            "SetSessionOptions",
            "GetSessionOptions",
            "CloseSession",
            "BeginTransaction",
            "EndTransaction",
            "CancelFlightInfo",
            "CancelQuery",
            "RenewFlightEndpoint"
        ]
    );
    for name in names {
        // A body that is no message: known, and refused for what it is.
        let error = act(&mut client, name, vec![0xff]).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{name}");
    }
    for name in ["EndSavepoint", "BeginSavepoint", "CreatePreparedSubstraitPlan", "Nonsense", ""] {
        let error = act(&mut client, name, vec![]).await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented, "{name}");
        assert!(error.message().len() > 20, "{name}: {}", error.message());
    }
}
