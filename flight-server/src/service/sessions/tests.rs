use tonic::{Code, Request};

use super::*;
use crate::service::connection::ConnectionInfo;

const IDLE: Duration = Duration::from_secs(1800);

fn sessions(max: usize) -> Sessions {
    sealed_by([1; 32], max)
}

fn sealed_by(key: [u8; 32], max: usize) -> Sessions {
    let config = ServiceConfig {
        session_idle: IDLE,
        max_sessions: max,
        ..ServiceConfig::default()
    };
    Sessions::new(Arc::new(Sealer::with_key(key)), &config)
}

impl Sessions {
    /// The token of a session on a server that asks nobody.
    fn token_of(&self, session: &Session) -> String {
        let nobody = Who {
            principal: session.principal().clone(),
            method: Method::None,
            until: None,
            shown: None,
        };
        self.token(session, &nobody).unwrap()
    }
}

fn on(connection: &ConnectionInfo) -> Caller {
    let mut request = Request::new(());
    request.extensions_mut().insert(connection.clone());
    Caller::of(&request)
}

fn with_token(token: &str) -> Caller {
    let mut request = Request::new(());
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    Caller::of(&request)
}

fn with_cookie(token: &str) -> Caller {
    let mut request = Request::new(());
    request
        .metadata_mut()
        .insert("cookie", format!("shardflight_session={token}").parse().unwrap());
    Caller::of(&request)
}

#[tokio::test(start_paused = true)]
async fn token_cookie_and_connection_name_one_session() {
    let sessions = sessions(10);
    let connection = ConnectionInfo::default();
    assert!(sessions.existing(&on(&connection)).unwrap().is_none());
    let opened = sessions.of(&on(&connection), None).unwrap();
    let token = sessions.token_of(&opened);
    for caller in [on(&connection), with_token(&token), with_cookie(&token)] {
        assert_eq!(sessions.of(&caller, None).unwrap().id(), opened.id());
    }
    let other = sessions.of(&on(&ConnectionInfo::default()), None).unwrap();
    assert_ne!(other.id(), opened.id());
    let hinted = sessions.of(&on(&ConnectionInfo::default()), Some(opened.id())).unwrap();
    assert_eq!(hinted.id(), opened.id());
}

#[tokio::test(start_paused = true)]
async fn a_session_outlives_its_idle_time_on_an_open_connection_only() {
    let sessions = sessions(10);
    let connection = ConnectionInfo::default();
    let id = sessions.of(&on(&connection), None).unwrap().id().clone();
    let token = sessions.token_of(&sessions.find(&id).unwrap());
    tokio::time::advance(IDLE * 2).await;
    assert_eq!(sessions.of(&on(&connection), None).unwrap().id(), &id);
    drop(connection);
    tokio::time::advance(IDLE - Duration::from_secs(1)).await;
    assert_eq!(sessions.of(&with_token(&token), None).unwrap().id(), &id);
    tokio::time::advance(IDLE).await;
    let error = sessions.of(&with_token(&token), None).unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    assert!(error.message().starts_with("session expired"), "{}", error.message());
    assert_eq!(sessions.entries.lock().by_id.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn their_number_is_bounded_and_idle_ones_make_room() {
    let sessions = sessions(2);
    let (first, second) = (ConnectionInfo::default(), ConnectionInfo::default());
    sessions.of(&on(&first), None).unwrap();
    sessions.of(&on(&second), None).unwrap();
    let third = ConnectionInfo::default();
    let error = sessions.of(&on(&third), None).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.metadata().contains_key("retry-after-ms"));
    drop(second);
    tokio::time::advance(IDLE).await;
    sessions.of(&on(&third), None).unwrap();
}

#[tokio::test(start_paused = true)]
async fn tokens_of_other_servers_and_restarts_are_refused() {
    let before = sessions(2);
    let token = before.handshake(&on(&ConnectionInfo::default())).unwrap();
    let after = sessions(2);
    assert_eq!(after.of(&with_token(&token), None).unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(after.existing(&with_token(&token)).unwrap_err().code(), Code::Unauthenticated);
    // Who it is can still be told: tickets need no more.
    assert_eq!(after.principal(&with_token(&token)).unwrap(), Principal::anonymous());
    let foreign = sealed_by([2; 32], 2);
    for forged in [token.as_str(), "", "!", "AAAA"] {
        assert_eq!(
            foreign.principal(&with_token(forged)).unwrap_err().code(),
            Code::Unauthenticated,
            "{forged}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_session_is_gone_and_the_connection_gets_a_new_one() {
    let sessions = sessions(2);
    let connection = ConnectionInfo::default();
    assert!(!sessions.close(&on(&connection)).unwrap());
    let opened = sessions.of(&on(&connection), None).unwrap();
    let token = sessions.token_of(&opened);
    assert!(sessions.close(&with_token(&token)).unwrap());
    assert_eq!(sessions.close(&with_token(&token)).unwrap_err().code(), Code::Unauthenticated);
    assert!(sessions.existing(&on(&connection)).unwrap().is_none());
    assert_ne!(sessions.of(&on(&connection), None).unwrap().id(), opened.id());
}

/// As in `service::tests::formats`.
#[test]
fn tokens_are_read_and_written_as_ever_and_may_say_more() {
    use crate::service::tests::formats::{assert_kept, bytes, ignoring};
    let golden = bytes(include_str!("../tests/formats/session.hex"));
    let token: Token = assert_kept(&golden);
    assert_eq!((token.session.as_str(), token.principal.as_str()), ("session-1", "ann"));
    assert_eq!(
        (token.issued, token.until, token.method),
        (1_767_225_600, Some(1_767_229_200), Method::Oidc)
    );
    assert_eq!(token.home.as_deref(), Some("https://10.0.0.1:32011/"));
    // a session outlives a node that is replaced
    assert_eq!(ignoring::<Token>(&golden), [""]);
}
