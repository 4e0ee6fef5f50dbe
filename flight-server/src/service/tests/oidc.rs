//! Tokens of an identity provider, over sockets.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tonic::Code;

use super::authentication::{basic, bearer, principal, server, settings};
use super::provider::{Provider, RSA_ISSUER, RSA_KEY, RSA_TOKEN, Signer};
use super::*;
use crate::service::{AuthenticationSettings, OidcSettings};

/// Claims that are good, with one changed.
fn claims(issuer: &str, change: (&str, Value)) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({ "iss": issuer, "aud": ["other", "shardflight"], "sub": "olga", "exp": now + 600, "nbf": now - 600 });
    match change.1 {
        Value::Null => claims.as_object_mut().unwrap().remove(change.0),
        value => claims.as_object_mut().unwrap().insert(change.0.to_owned(), value),
    };
    claims
}

/// Why a token does not let in.
async fn refused(server: &TestServer, token: &str) -> Code {
    principal(server, &bearer(token)).await.unwrap_err().code()
}

fn with_provider(issuer: &str, jwks_url: Option<String>) -> AuthenticationSettings {
    AuthenticationSettings {
        oidc: Some(OidcSettings {
            issuer: issuer.to_owned(),
            audience: vec!["shardflight".into()],
            jwks_url,
            principal_claim: "sub".into(),
        }),
        ..settings()
    }
}

#[tokio::test]
async fn tokens_of_the_identity_provider_are_good_as_long_as_everything_in_them_is() {
    let provider = Provider::start().await;
    let (signer, foreign) = (Signer::new("one"), Signer::new("one"));
    provider.publish(signer.published());
    let server = server(with_provider(&provider.issuer, None)).await;
    let good = signer.sign(&claims(&provider.issuer, ("sub", json!("olga"))));
    assert_eq!(principal(&server, &bearer(&good)).await.unwrap(), "oidc:olga");
    assert_eq!(principal(&server, &basic("token", &good)).await.unwrap(), "oidc:olga");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for change in [
        ("exp", json!(now - 61)),
        ("exp", Value::Null),
        ("nbf", json!(now + 120)),
        ("aud", json!("another")),
        ("aud", Value::Null),
        ("iss", json!("https://another.example")),
        ("iss", Value::Null),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!("two\nlines")),
        ("sub", json!(7)),
    ] {
        let token = signer.sign(&claims(&provider.issuer, change.clone()));
        assert_eq!(refused(&server, &token).await, Code::Unauthenticated, "{change:?}");
    }
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let of_root = part(claims(&provider.issuer, ("sub", json!("root"))));
    let key = signer.published().to_string();
    let symmetric = jsonwebtoken::encode(
        &jsonwebtoken::Header {
            kid: Some("one".into()),
            ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256)
        },
        &claims(&provider.issuer, ("sub", json!("olga"))),
        &jsonwebtoken::EncodingKey::from_secret(key.as_bytes()),
    )
    .unwrap();
    for (what, token) in [
        (
            "another key of that name",
            foreign.sign(&claims(&provider.issuer, ("sub", json!("olga")))),
        ),
        ("other claims", format!("{header}.{of_root}.{signature}")),
        ("alg none", format!("{}.{payload}.", part(json!({ "alg": "none", "typ": "JWT" })))),
        (
            "alg none, signed",
            format!("{}.{payload}.{signature}", part(json!({ "alg": "none", "kid": "one" }))),
        ),
        ("alg HS256 by what is public", symmetric),
        ("no header", format!(".{payload}.{signature}")),
        ("no signature", format!("{header}.{payload}.")),
    ] {
        assert_eq!(refused(&server, &token).await, Code::Unauthenticated, "{what}");
    }
}

#[tokio::test]
async fn keys_that_are_not_known_are_fetched_but_not_at_every_call() {
    let provider = Provider::start().await;
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    provider.publish(old.published());
    let server = server(with_provider(&provider.issuer, None)).await;
    let token = |signer: &Signer| bearer(&signer.sign(&claims(&provider.issuer, ("sub", json!("olga")))));
    for _ in 0..3 {
        assert_eq!(principal(&server, &token(&old)).await.unwrap(), "oidc:olga");
    }
    assert_eq!(provider.fetched.load(Ordering::Relaxed), 1);
    provider.publish(new.published());
    for _ in 0..3 {
        assert_eq!(
            principal(&server, &token(&new)).await.unwrap_err().code(),
            Code::Unauthenticated,
            "too soon to ask again"
        );
    }
    assert_eq!(provider.fetched.load(Ordering::Relaxed), 1);
    // Who cannot be asked at all is no reason to call the token wrong.
    let silent = super::authentication::server(with_provider("http://127.0.0.1:9", None)).await;
    assert_eq!(principal(&silent, &token(&old)).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn tokens_that_another_program_signed_by_rsa_are_read() {
    let provider = Provider::start().await;
    provider.publish(json!({ "kty": "RSA", "alg": "RS256", "kid": "rsa", "n": RSA_KEY, "e": "AQAB" }));
    let server = server(with_provider(RSA_ISSUER, Some(format!("{}/keys", provider.issuer)))).await;
    assert_eq!(principal(&server, &bearer(RSA_TOKEN)).await.unwrap(), "oidc:rita");
    let (signed, signature) = RSA_TOKEN.rsplit_once('.').unwrap();
    let mut other = signature.to_owned();
    other.replace_range(0..1, if signature.starts_with('A') { "B" } else { "A" });
    assert_eq!(
        principal(&server, &bearer(&format!("{signed}.{other}"))).await.unwrap_err().code(),
        Code::Unauthenticated
    );
}
