//! What lies in the table.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::*;
use crate::checkpoints::{Ends, ShardEnd};
use crate::{Position, SequenceNumber, ShardId};

fn consumer() -> Consumer {
    Consumer {
        name: "dash#board".parse().unwrap(),
        stream: "arn:aws:kinesis:eu-central-1:123456789012:stream/s".into(),
    }
}

const PARTITION: &str = "arn:aws:kinesis:eu-central-1:123456789012:stream/s#dash#board";

fn stream() -> StreamIdentity {
    StreamIdentity {
        arn: consumer().stream,
        created_ms: 1,
    }
}

/// Positions as various as the service's can be: 56 digits, of which all but the first two are of chance.
fn base(shards: u64) -> Base {
    let end = |shard: u64| {
        let digits: String = (0..54).map(|_| char::from(b'0' + rand::random::<u8>() % 10)).collect();
        let position = Position::after_record(format!("49{digits}").parse::<SequenceNumber>().unwrap());
        (
            ShardId::from(format!("shardId-{shard:012}")),
            ShardEnd { position, closed_ms: None },
        )
    };
    Base {
        ends: Ends {
            as_of_ms: Some(1),
            retention_ms: 86_400_000,
            shards: (0..shards).map(end).collect(),
        },
        stated: "latest".to_owned(),
        at_ms: 2,
    }
}

fn key(item: &str) -> Option<HashMap<String, AttributeValue>> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    Some([("consumer".to_owned(), text(PARTITION)), ("item".to_owned(), text(item))].into())
}

async fn set(client: &Client, item: &str, attribute: &str, value: AttributeValue) {
    client
        .update_item()
        .table_name("shardflight")
        .set_key(key(item))
        .update_expression("SET #a = :v")
        .expression_attribute_names("#a", attribute)
        .expression_attribute_values(":v", value)
        .send()
        .await
        .unwrap();
}

async fn item(client: &Client, item: &str) -> Option<HashMap<String, AttributeValue>> {
    let read = client.get_item().table_name("shardflight").set_key(key(item));
    read.send().await.unwrap().item
}

#[tokio::test]
async fn items_lie_where_the_documentation_says() {
    let service = StandIn::start().await;
    let (client, store) = (client(&service.endpoint), store(&service.endpoint));
    let head = store.set_base(&consumer(), &stream(), None, &base(2), "test").await.unwrap();
    let stored = item(&client, "head").await.unwrap();
    assert_eq!(stored["version"], AttributeValue::N(head.version.to_string()));
    assert_eq!(stored["format"], AttributeValue::N("1".to_owned()));
    assert!(!stored.contains_key("open") && !stored.contains_key("owner") && !stored.contains_key("expires"));
    assert!(item(&client, "base#00000000000000000000").await.unwrap()["body"].is_b());
    let iteration = Iteration {
        number: head.next,
        start: head.start,
        created_ms: 1,
        opened_ms: 3,
        starts: Default::default(),
        ends: base(3).ends,
    };
    let me = OwnerToken("me#1".into());
    store.open(&consumer(), head.version, &iteration, &me).await.unwrap();
    let stored = item(&client, "head").await.unwrap();
    assert_eq!(stored["open"], AttributeValue::N("0".to_owned()));
    assert_eq!(stored["owner"], AttributeValue::S("me#1".to_owned()));
    let run = Run {
        query_id: "q".to_owned(),
        sql: "select 1".to_owned(),
        parts: 1,
        delivered: Default::default(),
    };
    store.begin_run(&consumer(), head.next, &me, "hash", &run).await.unwrap();
    store.delivered(&consumer(), head.next, &me, "hash", "q", 0).await.unwrap();
    let stored = item(&client, "runs#00000000000000000000#me%231#hash").await.unwrap();
    assert_eq!(stored["delivered"], AttributeValue::Ns(vec!["0".to_owned()]));
    assert!(!stored.contains_key("expires"), "a run of an open iteration expires");
    let commit = |number| Commit {
        consumer: consumer(),
        number,
        owner: me.clone(),
    };
    let mut head = store.commit(&[commit(head.next)]).await.unwrap().remove(0);
    for _ in 0..2 {
        let next = Iteration {
            number: head.next,
            start: head.start,
            ..iteration.clone()
        };
        store.open(&consumer(), head.version, &next, &me).await.unwrap();
        head = store.commit(&[commit(next.number)]).await.unwrap().remove(0);
    }
    // number 2 is committed and starts after number 1: that stays, and what is older goes in 30 days
    let now = WallClock::default().now_ms() / 1000;
    for (name, expires) in [
        ("base#00000000000000000000", true),
        ("iteration#00000000000000000000", true),
        ("runs#00000000000000000000#me%231#hash", true),
        ("iteration#00000000000000000001", false),
        ("iteration#00000000000000000002", false),
        ("head", false),
    ] {
        let stored = item(&client, name).await.unwrap();
        let found = stored
            .get("expires")
            .map(|value| value.as_n().unwrap().parse::<i64>().unwrap() - now);
        assert_eq!(
            found.is_some_and(|seconds| (30 * 86_400 - 60..=30 * 86_400).contains(&seconds)),
            expires,
            "{name}"
        );
        assert_eq!(found.is_some(), expires, "{name}");
    }
}

#[tokio::test]
async fn what_a_later_version_wrote_is_refused() {
    let service = StandIn::start().await;
    let (client, store) = (client(&service.endpoint), store(&service.endpoint));
    let head = store.set_base(&consumer(), &stream(), None, &base(1), "test").await.unwrap();
    let later = AttributeValue::N("2".to_owned());
    set(&client, "base#00000000000000000000", "format", later.clone()).await;
    let error = store.base(&consumer(), IterationNumber::FIRST).await.unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Invalid);
    assert!(error.message.contains("later version"), "{error}");
    assert_eq!(store.head(&consumer()).await.unwrap(), Some(head.clone()));
    set(&client, "head", "format", later).await;
    for error in [
        store.head(&consumer()).await.unwrap_err(),
        store.abandon(&consumer(), head.version, "test").await.unwrap_err(),
        store.consumers().await.unwrap_err(),
    ] {
        assert_eq!(error.kind, CheckpointErrorKind::Invalid);
        assert!(error.message.contains("later version"), "{error}");
    }
}

#[tokio::test]
async fn what_contradicts_itself_is_corrupt() {
    let service = StandIn::start().await;
    let (client, store) = (client(&service.endpoint), store(&service.endpoint));
    for (attribute, value) in [
        ("version", AttributeValue::N("7".to_owned())),
        ("owner", AttributeValue::S("somebody".to_owned())),
        ("life", AttributeValue::S("long".to_owned())),
        ("body", AttributeValue::S("{".to_owned())),
        ("body", AttributeValue::Bool(true)),
        ("format", AttributeValue::Bool(true)),
    ] {
        store.delete(&consumer()).await.ok();
        client
            .delete_item()
            .table_name("shardflight")
            .set_key(key("head"))
            .send()
            .await
            .unwrap();
        let head = store.set_base(&consumer(), &stream(), None, &base(1), "test").await.unwrap();
        set(&client, "head", attribute, value).await;
        let error = store.head(&consumer()).await.unwrap_err();
        assert_eq!(error.kind, CheckpointErrorKind::Corrupt, "{attribute}: {error}");
        let error = store
            .take_over(&consumer(), head.version, &OwnerToken("me".into()))
            .await
            .unwrap_err();
        assert_eq!(error.kind, CheckpointErrorKind::Corrupt, "{attribute}: {error}");
    }
    client
        .delete_item()
        .table_name("shardflight")
        .set_key(key("head"))
        .send()
        .await
        .unwrap();
    store.set_base(&consumer(), &stream(), None, &base(1), "test").await.unwrap();
    set(
        &client,
        "base#00000000000000000000",
        "body",
        AttributeValue::B(vec![1, 2, 3].into()),
    )
    .await;
    let error = store.base(&consumer(), IterationNumber::FIRST).await.unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn ten_thousand_shards_fit_and_what_does_not_is_refused_with_its_size() {
    let service = StandIn::start().await;
    let (client, store) = (client(&service.endpoint), store(&service.endpoint));
    let many = base(10_000);
    let head = store.set_base(&consumer(), &stream(), None, &many, "test").await.unwrap();
    assert_eq!(store.base(&consumer(), IterationNumber::FIRST).await.unwrap().as_ref(), Some(&many));
    let stored = item(&client, "base#00000000000000000000").await.unwrap();
    let bytes = stored["body"].as_b().unwrap().as_ref().len();
    // 54 digits of chance are 22.4 bytes that nothing packs
    assert!((224_000..260_000).contains(&bytes), "10,000 shards take {bytes} bytes");
    let error = store
        .set_base(&consumer(), &stream(), Some(head.version), &base(20_000), "test")
        .await
        .unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Invalid);
    assert!(
        error.message.contains("20000 shards take ") && error.message.contains("409600"),
        "{error}"
    );
    assert_eq!(store.head(&consumer()).await.unwrap(), Some(head));
}

/// What a deletion left that broke off is not the next consumer's past, and goes with the next deletion.
#[tokio::test]
async fn what_a_broken_deletion_left_counts_for_nothing() {
    let service = StandIn::start().await;
    let (client, store) = (client(&service.endpoint), store(&service.endpoint));
    store.set_base(&consumer(), &stream(), None, &base(1), "test").await.unwrap();
    client
        .delete_item()
        .table_name("shardflight")
        .set_key(key("head"))
        .send()
        .await
        .unwrap();
    assert_eq!(store.base(&consumer(), IterationNumber::FIRST).await.unwrap(), None);
    assert!(!store.delete(&consumer()).await.unwrap());
    assert_eq!(item(&client, "base#00000000000000000000").await, None);
}
