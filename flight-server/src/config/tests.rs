use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::engine::ScratchKeep;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn from_file(text: &str) -> Result<Config, String> {
    let file = file(text);
    Config::load(Some(file.path()), []).map_err(|error| error.to_string().replace(&file.path().display().to_string(), "FILE"))
}

fn from_env(variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(None, variables).map_err(|error| error.to_string())
}

/// Every key of this version: YAML, variable, value there, and what must come of both.
type Case = (&'static str, &'static str, &'static str, fn(&mut Config));
const EVERY_KEY: &[Case] = &[
    ("listen: 127.0.0.1:1", "SHARDFLIGHT_LISTEN", "127.0.0.1:1", |c| {
        c.listen = ListenAddr::loopback(1)
    }),
    ("http: localhost:0", "SHARDFLIGHT_HTTP", "localhost:0", |c| {
        c.http = ListenAddr::loopback(0)
    }),
    ("insecure: true", "SHARDFLIGHT_INSECURE", "true", |c| c.insecure = true),
    ("data_dir: /d", "SHARDFLIGHT_DATA_DIR", "/d", |c| c.data_dir = "/d".into()),
    ("kinesis: { region: eu-west-1 }", "SHARDFLIGHT_KINESIS__REGION", "eu-west-1", |c| {
        c.kinesis.region = Some("eu-west-1".into())
    }),
    (
        "kinesis: { endpoint: 'http://h:1' }",
        "SHARDFLIGHT_KINESIS__ENDPOINT",
        "http://h:1",
        |c| c.kinesis.endpoint = Some("http://h:1".into()),
    ),
    ("kinesis: { profile: p }", "SHARDFLIGHT_KINESIS__PROFILE", "p", |c| {
        c.kinesis.profile = Some("p".into())
    }),
    ("kinesis: { role_arn: 'arn:r' }", "SHARDFLIGHT_KINESIS__ROLE_ARN", "arn:r", |c| {
        c.kinesis.role_arn = Some("arn:r".into())
    }),
    (
        "kinesis: { external_id: '0123' }",
        "SHARDFLIGHT_KINESIS__EXTERNAL_ID",
        "0123",
        |c| c.kinesis.external_id = Some("0123".into()),
    ),
    ("kinesis: { session_name: s }", "SHARDFLIGHT_KINESIS__SESSION_NAME", "s", |c| {
        c.kinesis.session_name = Some("s".into())
    }),
    ("catalog: { path: /t }", "SHARDFLIGHT_CATALOG__PATH", "/t", |c| {
        c.catalog.path = "/t".into()
    }),
    ("catalog: { refresh: 1m }", "SHARDFLIGHT_CATALOG__REFRESH", "1m", |c| {
        c.catalog.refresh = Duration::from_secs(60)
    }),
    (
        "catalog: { default_schema: web }",
        "SHARDFLIGHT_CATALOG__DEFAULT_SCHEMA",
        "web",
        |c| c.catalog.default_schema = "web".into(),
    ),
    (
        "catalog: { endpoint: 'http://127.0.0.1:9' }",
        "SHARDFLIGHT_CATALOG__ENDPOINT",
        "http://127.0.0.1:9",
        |c| c.catalog.endpoint = Some("http://127.0.0.1:9".into()),
    ),
    ("catalog: { region: eu-west-1 }", "SHARDFLIGHT_CATALOG__REGION", "eu-west-1", |c| {
        c.catalog.region = Some("eu-west-1".into())
    }),
    ("catalog: { ddl: false }", "SHARDFLIGHT_CATALOG__DDL", "false", |c| {
        c.catalog.ddl = Some(false)
    }),
    (
        "allow: { streams: ['clicks-*', s] }",
        "SHARDFLIGHT_ALLOW__STREAMS",
        r#"["clicks-*", "s"]"#,
        |c| c.allow.streams = vec!["clicks-*".into(), "s".into()],
    ),
    (
        "allow: { read: ['s3://bucket/in'] }",
        "SHARDFLIGHT_ALLOW__READ",
        r#"["s3://bucket/in"]"#,
        |c| c.allow.read = vec!["s3://bucket/in".into()],
    ),
    (
        "allow: { write: ['file:///srv/out'] }",
        "SHARDFLIGHT_ALLOW__WRITE",
        r#"["file:///srv/out"]"#,
        |c| c.allow.write = vec!["file:///srv/out".into()],
    ),
    (
        "lake: { endpoint: 'http://127.0.0.1:9' }",
        "SHARDFLIGHT_LAKE__ENDPOINT",
        "http://127.0.0.1:9",
        |c| c.lake.endpoint = Some("http://127.0.0.1:9".into()),
    ),
    ("lake: { region: eu-west-1 }", "SHARDFLIGHT_LAKE__REGION", "eu-west-1", |c| {
        c.lake.region = Some("eu-west-1".into())
    }),
    ("lake: { role_arn: r }", "SHARDFLIGHT_LAKE__ROLE_ARN", "r", |c| {
        c.lake.role_arn = Some("r".into())
    }),
    ("lake: { external_id: e }", "SHARDFLIGHT_LAKE__EXTERNAL_ID", "e", |c| {
        c.lake.external_id = Some("e".into())
    }),
    ("segments: { path: /s }", "SHARDFLIGHT_SEGMENTS__PATH", "/s", |c| {
        c.segments.path = Some("/s".into())
    }),
    ("segments: { disk: 1GiB }", "SHARDFLIGHT_SEGMENTS__DISK", "1GiB", |c| {
        c.segments.disk = ByteCount(1 << 30)
    }),
    ("segments: { store: 's3://b/p' }", "SHARDFLIGHT_SEGMENTS__STORE", "s3://b/p", |c| {
        c.segments.store = Some("s3://b/p".into())
    }),
    (
        "segments: { store_endpoint: 'http://127.0.0.1:9' }",
        "SHARDFLIGHT_SEGMENTS__STORE_ENDPOINT",
        "http://127.0.0.1:9",
        |c| c.segments.store_endpoint = Some("http://127.0.0.1:9".into()),
    ),
    (
        "segments: { store_region: eu-west-1 }",
        "SHARDFLIGHT_SEGMENTS__STORE_REGION",
        "eu-west-1",
        |c| c.segments.store_region = Some("eu-west-1".into()),
    ),
    ("reader: { memory: 10% }", "SHARDFLIGHT_READER__MEMORY", "10%", |c| {
        c.reader.memory = MemoryShare::Percent(10.0)
    }),
    ("reader: { idle_stop: 90s }", "SHARDFLIGHT_READER__IDLE_STOP", "90s", |c| {
        c.reader.idle_stop = Duration::from_secs(90)
    }),
    (
        "reader: { calls_per_second: 1 }",
        "SHARDFLIGHT_READER__CALLS_PER_SECOND",
        "1",
        |c| c.reader.calls_per_second = 1.0,
    ),
    (
        "reader: { bytes_per_second: 2MB }",
        "SHARDFLIGHT_READER__BYTES_PER_SECOND",
        "2MB",
        |c| c.reader.bytes_per_second = ByteCount(2_000_000),
    ),
    ("reader: { follow_lag: 64MiB }", "SHARDFLIGHT_READER__FOLLOW_LAG", "64MiB", |c| {
        c.reader.follow_lag = ByteCount(64 << 20)
    }),
    (
        "reader: { fan_out: { consumer: one } }",
        "SHARDFLIGHT_READER__FAN_OUT__CONSUMER",
        "one",
        |c| c.reader.fan_out.consumer = Some("one".into()),
    ),
    (
        "reader: { fan_out: { use: off } }",
        "SHARDFLIGHT_READER__FAN_OUT__USE",
        "off",
        |c| c.reader.fan_out.used = FanOutUse::Off,
    ),
    ("checkpoints: { local: /c }", "SHARDFLIGHT_CHECKPOINTS__LOCAL", "/c", |c| {
        c.checkpoints.local = Some("/c".into())
    }),
    ("checkpoints: { keep: 7d }", "SHARDFLIGHT_CHECKPOINTS__KEEP", "7d", |c| {
        c.checkpoints.keep = Duration::from_secs(7 * 86_400)
    }),
    (
        "checkpoints: { dynamodb: { table: tab } }",
        "SHARDFLIGHT_CHECKPOINTS__DYNAMODB__TABLE",
        "tab",
        |c| dynamodb(c, |s| s.table = "tab".into()),
    ),
    (
        "checkpoints: { dynamodb: { create: false } }",
        "SHARDFLIGHT_CHECKPOINTS__DYNAMODB__CREATE",
        "false",
        |c| dynamodb(c, |s| s.create = false),
    ),
    (
        "checkpoints: { dynamodb: { region: eu-west-1 } }",
        "SHARDFLIGHT_CHECKPOINTS__DYNAMODB__REGION",
        "eu-west-1",
        |c| dynamodb(c, |s| s.region = Some("eu-west-1".into())),
    ),
    (
        "checkpoints: { dynamodb: { endpoint: 'http://h:1' } }",
        "SHARDFLIGHT_CHECKPOINTS__DYNAMODB__ENDPOINT",
        "http://h:1",
        |c| dynamodb(c, |s| s.endpoint = Some("http://h:1".into())),
    ),
    (
        "checkpoints: { dynamodb: { profile: p } }",
        "SHARDFLIGHT_CHECKPOINTS__DYNAMODB__PROFILE",
        "p",
        |c| dynamodb(c, |s| s.profile = Some("p".into())),
    ),
    (
        "checkpoints: { dynamodb: { role_arn: 'arn:r' } }",
        "SHARDFLIGHT_CHECKPOINTS__DYNAMODB__ROLE_ARN",
        "arn:r",
        |c| dynamodb(c, |s| s.role_arn = Some("arn:r".into())),
    ),
    ("query: { memory: 1GiB }", "SHARDFLIGHT_QUERY__MEMORY", "1GiB", |c| {
        c.query.memory = MemoryShare::Bytes(ByteCount(1 << 30))
    }),
    ("query: { spill: /s }", "SHARDFLIGHT_QUERY__SPILL", "/s", |c| {
        c.query.spill = Some("/s".into())
    }),
    (
        "query: { spill_disk: 1073741824 }",
        "SHARDFLIGHT_QUERY__SPILL_DISK",
        "1073741824",
        |c| c.query.spill_disk = ByteCount(1 << 30),
    ),
    ("query: { timeout: 1h }", "SHARDFLIGHT_QUERY__TIMEOUT", "1h", |c| {
        c.query.timeout = Duration::from_secs(3600)
    }),
    ("query: { max_bytes: 1KiB }", "SHARDFLIGHT_QUERY__MAX_BYTES", "1KiB", |c| {
        c.query.max_bytes = ByteCount(1024)
    }),
    ("query: { max_concurrent: 3 }", "SHARDFLIGHT_QUERY__MAX_CONCURRENT", "3", |c| {
        c.query.max_concurrent = 3
    }),
    ("query: { queue: 4 }", "SHARDFLIGHT_QUERY__QUEUE", "4", |c| c.query.queue = 4),
    ("query: { queue_timeout: 5s }", "SHARDFLIGHT_QUERY__QUEUE_TIMEOUT", "5s", |c| {
        c.query.queue_timeout = Duration::from_secs(5)
    }),
    ("audit: { path: /a }", "SHARDFLIGHT_AUDIT__PATH", "/a", |c| {
        c.audit.path = Some("/a".into())
    }),
    ("audit: { sql: true }", "SHARDFLIGHT_AUDIT__SQL", "true", |c| c.audit.sql = true),
    (
        "allow: { roles: ['arn:aws:iam::1:role/*'] }",
        "SHARDFLIGHT_ALLOW__ROLES",
        r#"["arn:aws:iam::1:role/*"]"#,
        |c| c.allow.roles = vec!["arn:aws:iam::1:role/*".into()],
    ),
    ("scratch: { keep: principal }", "SHARDFLIGHT_SCRATCH__KEEP", "principal", |c| {
        c.scratch.keep = ScratchKeep::Principal
    }),
    ("scratch: { memory: 1GiB }", "SHARDFLIGHT_SCRATCH__MEMORY", "1GiB", |c| {
        c.scratch.memory = ByteCount(1 << 30)
    }),
    ("scratch: { memory_each: 0 }", "SHARDFLIGHT_SCRATCH__MEMORY_EACH", "0", |c| {
        c.scratch.memory_each = ByteCount(0)
    }),
    ("tickets: { ttl: 5m }", "SHARDFLIGHT_TICKETS__TTL", "5m", |c| {
        c.tickets.ttl = Duration::from_secs(300)
    }),
    ("metrics: { max_shards: 7 }", "SHARDFLIGHT_METRICS__MAX_SHARDS", "7", |c| {
        c.metrics.max_shards = 7
    }),
    ("system: { queries: 10 }", "SHARDFLIGHT_SYSTEM__QUERIES", "10", |c| {
        c.system.queries = 10
    }),
    ("system: { scan_errors: 20 }", "SHARDFLIGHT_SYSTEM__SCAN_ERRORS", "20", |c| {
        c.system.scan_errors = 20
    }),
    (
        "system: { scan_error_bytes: 1MiB }",
        "SHARDFLIGHT_SYSTEM__SCAN_ERROR_BYTES",
        "1MiB",
        |c| c.system.scan_error_bytes = ByteCount(1 << 20),
    ),
    (
        "prices: { on_demand_per_gb: 0.5 }",
        "SHARDFLIGHT_PRICES__ON_DEMAND_PER_GB",
        "0.5",
        |c| c.prices.on_demand_per_gb = 0.5,
    ),
    (
        "prices: { long_term_per_gb: 0.25 }",
        "SHARDFLIGHT_PRICES__LONG_TERM_PER_GB",
        "0.25",
        |c| c.prices.long_term_per_gb = 0.25,
    ),
];

fn dynamodb(config: &mut Config, change: fn(&mut DynamoDbSection)) {
    change(config.checkpoints.dynamodb.get_or_insert_default());
}

/// Keys that mean nothing without another one.
const TOGETHER: usize = 1 + 13 + 11;

#[test]
fn every_key_by_file_and_by_variable() {
    for (yaml, variable, value, change) in EVERY_KEY {
        let mut expected = Config::default();
        change(&mut expected);
        assert_ne!(expected, Config::default(), "{yaml} must differ from the default to show anything");
        assert_eq!(from_file(yaml), Ok(expected.clone()), "{yaml}");
        assert_eq!(from_env(&[(variable, value)]), Ok(expected), "{variable}");
    }
}

#[test]
fn every_supported_key_is_in_the_list_above() {
    fn count(keys: &[(&str, keys::Key)]) -> usize {
        let size = |(_, key): &(&str, keys::Key)| match key {
            keys::Key::Section(below) => count(below),
            keys::Key::Text | keys::Key::Plain | keys::Key::Entries(_) => 1,
            keys::Key::NotYet => 0,
        };
        keys.iter().map(size).sum()
    }
    assert_eq!(count(keys::KEYS), EVERY_KEY.len() + TOGETHER);
}

#[test]
fn nothing_said_is_the_documented_default() {
    for text in ["", "# nothing\n", "kinesis:\nreader:\n"] {
        assert_eq!(from_file(text), Ok(Config::default()), "{text:?}");
    }
    let config = Config::default();
    assert_eq!(config.listen.to_string(), "127.0.0.1:32010");
    assert_eq!(config.http.to_string(), "127.0.0.1:8080");
    assert_eq!(config.catalog.path, Path::new("tables"));
    assert_eq!(config.spill_dir(), Path::new("data/spill"));
    assert_eq!(config.segments_dir().as_deref(), Some(Path::new("data/segments")));
    assert_eq!(config.segments.disk, ByteCount(20 << 30));
    assert_eq!(config.checkpoints_file(), Path::new("data/checkpoints.redb"));
    assert_eq!(config.checkpoints.keep, Duration::from_secs(30 * 86_400));
    assert_eq!(
        (config.reader.calls_per_second, config.reader.bytes_per_second),
        (2.0, ByteCount(1_000_000))
    );
}

#[test]
fn segments_can_be_switched_off() {
    assert_eq!(from_file("segments: { path: none }").unwrap().segments_dir(), None);
    let error = from_file("segments: { path: none, store: 's3://b/p' }").unwrap_err();
    assert!(error.contains("segments.store"), "{error}");
    assert!(from_file("segments: { disk: 0 }").unwrap_err().contains("segments.disk"));
}

#[test]
fn checkpoints_are_kept_for_a_while() {
    assert!(from_file("checkpoints: { keep: 1h }").is_ok());
    assert!(from_file("checkpoints: { keep: 59m }").unwrap_err().contains("checkpoints.keep"));
}

#[test]
fn checkpoints_are_kept_in_one_place() {
    for text in ["checkpoints:\n  dynamodb:\n", "checkpoints: { dynamodb: {} }"] {
        let config = from_file(text).unwrap();
        assert_eq!(config.checkpoints.dynamodb, Some(DynamoDbSection::default()), "{text}");
    }
    let arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/t";
    let config = from_file(&format!(
        "checkpoints: {{ dynamodb: {{ table: '{arn}', role_arn: 'arn:r', external_id: '012' }} }}"
    ));
    let section = config.unwrap().checkpoints.dynamodb.unwrap();
    assert_eq!((section.table.as_str(), section.external_id.as_deref()), (arn, Some("012")));
    for (text, what) in [
        ("{ local: /c, dynamodb: {} }", "not both"),
        ("{ dynamodb: { table: a/b } }", "checkpoints.dynamodb.table: \"a/b\""),
        ("{ dynamodb: { external_id: x } }", "needs role_arn"),
        (
            "{ dynamodb: { tabel: x } }",
            "unknown key `checkpoints.dynamodb.tabel`; did you mean `table`?",
        ),
        ("{ redis: x }", "unknown key `checkpoints.redis`"),
    ] {
        let error = from_file(&format!("checkpoints: {text}")).unwrap_err();
        assert!(error.contains(what), "{text}: {error}");
    }
}

#[test]
fn a_variable_wins_over_the_file_and_leaves_its_neighbours() {
    let file = file("kinesis:\n  region: eu-west-1\n  endpoint: http://file:1\n");
    let variables = [
        ("SHARDFLIGHT_KINESIS__ENDPOINT".to_owned(), "http://env:2".to_owned()),
        ("HOME".to_owned(), "/h".to_owned()),
    ];
    let config = Config::load(Some(file.path()), variables).unwrap();
    assert_eq!(config.kinesis.endpoint.as_deref(), Some("http://env:2"));
    assert_eq!(config.kinesis.region.as_deref(), Some("eu-west-1"));
}

#[test]
fn unknown_keys_are_named_where_they_stand_with_a_suggestion() {
    assert_eq!(
        from_file("listen: 127.0.0.1:1\nlistn: x\n").unwrap_err(),
        "FILE:2:1: unknown key `listn`; did you mean `listen`?"
    );
    assert_eq!(
        from_file("kinesis:\n  region: r\n  endpont: x\n").unwrap_err(),
        "FILE:3:3: unknown key `kinesis.endpont`; did you mean `endpoint`?"
    );
    let error = from_file("zzz: 1").unwrap_err();
    assert!(error.contains("unknown key `zzz`; known here: listen, http"), "{error}");
    let error = from_file("reader:\n  zzz: 1").unwrap_err();
    assert!(!error.contains("warm"), "what is not supported is not offered: {error}");
    let error = from_env(&[("SHARDFLIGHT_LISTN", "x")]).unwrap_err();
    assert_eq!(
        error,
        "environment variable SHARDFLIGHT_LISTN: unknown key `listn`; did you mean `listen`?"
    );
}

#[test]
fn keys_of_later_versions_are_refused_as_such() {
    let error = from_file("reader: { warm: [] }").unwrap_err();
    assert_eq!(error, "FILE:1:11: `reader.warm` is not supported yet in this version; remove it");
    let error = from_file("reader:\n  warm: 1").unwrap_err();
    assert!(error.starts_with("FILE:2:3: "), "{error}");
    assert!(error.contains("`reader.warm` is not supported yet"), "{error}");
    let error = from_env(&[("SHARDFLIGHT_READER__WARM", "x")]).unwrap_err();
    assert!(error.contains("`reader.warm` is not supported yet"), "{error}");
}

#[test]
fn statements_change_definitions_where_only_this_machine_reaches_the_server() {
    assert!(Config::default().ddl());
    let open = "listen: 0.0.0.0:1\nhttp: 127.0.0.1:1\ninsecure: true\n";
    assert!(!from_file(open).unwrap().ddl());
    assert!(from_file(&format!("{open}catalog: {{ ddl: true }}")).unwrap().ddl());
    assert!(!from_file("catalog: { ddl: false }").unwrap().ddl());
}

#[test]
fn bad_values_are_named_where_they_stand() {
    let error = from_file("reader: { fan_out: { consumer: a/b } }").unwrap_err();
    assert!(error.contains("reader.fan_out.consumer") && error.contains("\"a/b\""), "{error}");
    for (text, place, what) in [
        ("catalog:\n  refresh: 10\n", "FILE:2:12: ", "is not a duration"),
        ("catalog:\n  refresh: soon\n", "FILE:2:12: ", "`soon` is not a duration"),
        ("reader:\n  memory: lots\n", "FILE:2:11: ", "`lots` is not an amount of memory"),
        ("listen: nowhere\n", "FILE:1:9: ", "`nowhere` is not an address and port"),
        ("insecure: maybe\n", "FILE:1:11: ", "boolean"),
        ("kinesis: x\n", "FILE:1:10: ", "a section of `key: value` lines"),
        ("listen: [\n", "FILE:", "did not find"),
    ] {
        let error = from_file(text).unwrap_err();
        assert!(error.starts_with(place) && error.contains(what), "{text:?}: {error}");
    }
    assert_eq!(
        from_env(&[("SHARDFLIGHT_READER__CALLS_PER_SECOND", "0")]).unwrap_err(),
        "configuration: reader.calls_per_second: 0 is not a number above 0"
    );
    assert!(
        from_env(&[("SHARDFLIGHT_INSECURE", "maybe")])
            .unwrap_err()
            .starts_with("environment variable SHARDFLIGHT_INSECURE: ")
    );
}

#[test]
fn variables_that_are_no_keys() {
    let error = from_env(&[("SHARDFLIGHT_KINESIS", "x")]).unwrap_err();
    assert!(error.contains("is a section; set one of SHARDFLIGHT_KINESIS__REGION"), "{error}");
    let error = from_env(&[("SHARDFLIGHT_LISTEN__PORT", "x")]).unwrap_err();
    assert!(error.contains("`listen` has no keys below it"), "{error}");
    let kubernetes = [
        ("SHARDFLIGHT_SERVICE_HOST", "10.0.0.1"),
        ("SHARDFLIGHT_SERVICE_PORT_GRPC", "32010"),
        ("SHARDFLIGHT_PORT", "tcp://10.0.0.1:32010"),
        ("SHARDFLIGHT_PORT_32010_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(from_env(&kubernetes), Ok(Config::default()));
}

#[test]
fn beyond_loopback_needs_the_word_insecure() {
    for key in ["listen", "http"] {
        for address in ["0.0.0.0:1", "'[::]:1'", "192.0.2.1:1"] {
            let error = from_file(&format!("{key}: {address}")).unwrap_err();
            assert!(error.contains(&format!("{key}: ")) && error.contains("insecure: true"), "{error}");
            assert!(from_file(&format!("insecure: true\n{key}: {address}")).is_ok());
        }
        assert!(from_file(&format!("{key}: '[::1]:1'")).is_ok());
    }
}
