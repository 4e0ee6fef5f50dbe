use std::io::Write;

use super::super::Config;
use super::*;

const USER: &str = "users: [{ name: ann, password_hash: '$argon2id$x' }]";
const RULE: &str = "access: [{ principal: ann, tables: ['*'], may: [read] }]";

fn from_file(text: &str) -> Result<Config, String> {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Config::load(Some(file.path()), []).map_err(|error| error.to_string().replace(&file.path().display().to_string(), "FILE"))
}

#[test]
fn every_key_of_logins_and_rules() {
    let text = "
tls: { cert: /c, key: /k, client_ca: /ca, client_cert: optional }
auth:
  users:
    - { name: ann, password_hash: h }
    - { name: bob, password_hash_file: /h }
  tokens:
    - { name: grafana, token_sha256: 0000000000000000000000000000000000000000000000000000000000000000 }
    - { name: job, token_file: /t }
  oidc: { issuer: 'https://i', audience: a, jwks_url: 'https://i/keys', principal_claim: email }
  access:
    - principal: 'oidc:*@example.org'
      tables: ['sales.*']
      checkpoints: [job]
      streams: [s]
      locations: ['s3://bucket/x/*']
      may: [read, consume, write, offload, admin]
      limits: { max_concurrent: 1, max_bytes: 1MB, max_time: 1m, max_sessions: 2 }
  anonymous: true
  token_ttl: 1h
";
    let config = from_file(text).unwrap();
    assert_eq!(config.tls.client_cert, ClientCertificates::Optional);
    assert_eq!(
        (config.tls.cert.as_deref(), config.tls.key.as_deref()),
        (Some(Path::new("/c")), Some(Path::new("/k")))
    );
    let auth = config.auth.unwrap();
    assert_eq!(auth.users.len() + auth.tokens.len(), 4);
    assert_eq!(auth.users[1].password_hash_file.as_deref(), Some(Path::new("/h")));
    let oidc = auth.oidc.unwrap();
    assert_eq!(
        (oidc.audience.all(), oidc.principal_claim.as_deref()),
        (&["a".to_owned()][..], Some("email"))
    );
    let rule = &auth.access[0];
    assert_eq!(rule.may.len(), 5);
    assert_eq!(rule.limits.max_time, Some(Duration::from_secs(60)));
    assert_eq!(rule.limits.max_bytes, Some(ByteCount(1_000_000)));
    assert_eq!((auth.anonymous, auth.token_ttl), (true, Duration::from_secs(3600)));
    let variables = [
        ("SHARDFLIGHT_AUTH__ANONYMOUS".to_owned(), "true".to_owned()),
        (
            "SHARDFLIGHT_AUTH__ACCESS".to_owned(),
            r#"[{"principal": "anonymous", "tables": ["*"], "may": ["read"]}]"#.to_owned(),
        ),
    ];
    let auth = Config::load(None, variables).unwrap().auth.unwrap();
    assert_eq!((auth.anonymous, auth.access.len()), (true, 1));
}

#[test]
fn what_lets_nobody_in_or_everybody_is_refused() {
    for (text, what) in [
        ("auth:\n", "nobody could log in"),
        (&format!("auth: {{ {USER} }}"), "without a rule nobody may do anything"),
        (&format!("auth: {{ {RULE} }}"), "nobody could log in"),
        (
            &format!("auth: {{ users: [{{ name: ann }}], {RULE} }}"),
            "needs `password_hash` or `password_hash_file`",
        ),
        (
            &format!("auth: {{ users: [{{ name: 'oidc:x', password_hash: h }}], {RULE} }}"),
            "is not a name",
        ),
        (
            &format!("auth: {{ users: [{{ name: anonymous, password_hash: h }}], {RULE} }}"),
            "shows no credentials",
        ),
        (
            &format!("auth: {{ users: [{{ name: token, password_hash: h }}], {RULE} }}"),
            "gives a token as password",
        ),
        (
            &format!("auth: {{ {USER}, tokens: [{{ name: ann, token_file: /t }}], {RULE} }}"),
            "is given twice",
        ),
        (
            &format!("auth: {{ tokens: [{{ name: t, token_sha256: abc }}], {RULE} }}"),
            "not 64 hexadecimal digits",
        ),
        (
            &format!("auth: {{ oidc: {{ issuer: 'http://i', audience: a }}, {RULE} }}"),
            "does not begin with https://",
        ),
        (
            &format!("auth: {{ oidc: {{ issuer: 'https://i', audience: [] }}, {RULE} }}"),
            "a token for anybody is no login",
        ),
        (
            &format!("auth: {{ {USER}, access: [{{ principal: ann, may: [read] }}] }}"),
            "names no tables",
        ),
        (
            &format!("auth: {{ {USER}, access: [{{ principal: ann, tables: [t], may: [] }}] }}"),
            "names no right",
        ),
        ("tls: { cert: /c }", "tls.cert: needs key"),
        ("tls: { client_ca: /c }", "tls.client_ca: needs cert and key"),
        ("query: { max_concurrent: 0 }", "query.max_concurrent"),
    ] {
        let error = from_file(text).unwrap_err();
        assert!(error.contains(what), "{text}: {error}");
    }
}

#[test]
fn unknown_keys_in_lists_are_named_where_they_stand() {
    let error = from_file("auth:\n  users:\n    - name: ann\n      pasword_hash: x\n").unwrap_err();
    assert_eq!(
        error,
        "FILE:4:7: unknown key `auth.users.pasword_hash`; did you mean `password_hash`?"
    );
    let error = from_file("auth:\n  access:\n    - { principal: a, may: [read], limits: { max_byte: 1 } }\n").unwrap_err();
    assert!(
        error.contains("unknown key `auth.access.limits.max_byte`; did you mean `max_bytes`?"),
        "{error}"
    );
    let error = from_file(&format!(
        "auth: {{ {USER}, access: [{{ principal: ann, tables: [t], may: [raed] }}] }}"
    ))
    .unwrap_err();
    assert!(error.contains("unknown variant `raed`"), "{error}");
}

#[test]
fn secrets_are_in_no_error_and_not_shown() {
    let variables = [("SHARDFLIGHT_AUTH__TOKENS".to_owned(), "[{name: t, token: s3cr3t".to_owned())];
    let error = Config::load(None, variables).unwrap_err().to_string();
    assert!(!error.contains("s3cr3t"), "{error}");
    let config = from_file(&format!("auth: {{ users: [{{ name: ann, password_hash: s3cr3t }}], {RULE} }}")).unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

#[test]
fn beyond_loopback_needs_tls_and_auth_together() {
    let tls = "tls: { cert: /c, key: /k }\n";
    let auth = format!("auth: {{ {USER}, {RULE} }}\n");
    let open = "listen: 0.0.0.0:1\nhttp: 0.0.0.0:2\n";
    assert!(from_file(&format!("{open}{tls}{auth}")).is_ok());
    for half in [tls, &auth] {
        let error = from_file(&format!("{open}{half}")).unwrap_err();
        assert!(error.contains("configure `tls` and `auth`"), "{error}");
        assert!(from_file(&format!("insecure: true\n{open}{half}")).is_ok());
    }
}

#[test]
fn names_that_no_login_gives_are_found() {
    let text = "auth: { users: [{ name: ann, password_hash: h }], access: [{ principal: ann, tables: [t], may: [read] }, { principal: an, tables: [t], may: [read] }, { principal: 'oidc:x', tables: [t], may: [read] }] }";
    assert_eq!(from_file(text).unwrap().auth.unwrap().unknown_principals(), ["an"]);
}
