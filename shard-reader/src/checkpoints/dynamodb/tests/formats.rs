//! Items as they lie in tables of all versions.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::checkpoints::dynamodb::items::{self, Attributes};
use crate::checkpoints::dynamodb::keys;
use crate::checkpoints::formats::{HEAD, PACKED, bytes, consumer, head, iteration};
use crate::checkpoints::transitions::Item;
use crate::checkpoints::{CheckpointErrorKind, Run};

const PARTITION: &str = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders#payments";

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(digits: &str) -> AttributeValue {
    AttributeValue::N(digits.to_owned())
}

fn item(attributes: &[(&str, AttributeValue)]) -> Attributes {
    attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn stored_head() -> Attributes {
    item(&[
        ("format", number("1")),
        ("life", number("1")),
        ("version", number("9")),
        ("open", number("4")),
        ("owner", text("owner-1")),
        ("body", text(HEAD)),
    ])
}

#[test]
fn heads_lie_there_as_ever() {
    let written: Attributes = items::of_head(&head())
        .unwrap()
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    assert_eq!(written, stored_head());
    assert_eq!(items::to_head(&consumer(), &stored_head()).unwrap(), head());
    // a table may hold what its owner put there, and a later version what nothing depends on
    let mut more = stored_head();
    more.insert("note".to_owned(), text("ours"));
    assert_eq!(items::to_head(&consumer(), &more).unwrap(), head());
    // what something depends on comes with another number, or in the body
    let mut later = stored_head();
    later.insert("format".to_owned(), number("2"));
    let error = items::to_head(&consumer(), &later).unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Invalid);
    assert!(error.to_string().contains("later version"), "{error}");
    later = stored_head();
    later.insert("body".to_owned(), text(&HEAD.replacen('{', "{\"later\":1,", 1)));
    assert_eq!(items::to_head(&consumer(), &later).unwrap_err().kind, CheckpointErrorKind::Corrupt);
}

#[test]
fn iterations_lie_there_as_ever() {
    let mut written = items::of_item(&consumer(), 1, Item::Iteration(&iteration())).unwrap();
    let keys = [("consumer", text(PARTITION)), ("item", text("iteration#00000000000000000004"))];
    let beside = [("format", number("1")), ("life", number("1"))];
    let mut stored = item(&[&keys[..], &beside[..]].concat());
    let body = written.remove("body").unwrap();
    assert_eq!(written, stored);
    assert!(body.is_b());
    stored.insert("body".to_owned(), AttributeValue::B(Blob::new(bytes(PACKED))));
    assert_eq!(items::to_iteration(&consumer(), &stored, 1, 0).unwrap(), Some(iteration()));
    stored.insert("format".to_owned(), number("2"));
    let error = items::to_iteration(&consumer(), &stored, 1, 0).unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Invalid);
}

#[test]
fn runs_and_the_list_lie_there_as_ever() {
    let run = Run {
        query_id: "query-1".to_owned(),
        sql: "select n from orders".to_owned(),
        parts: 3,
        delivered: BTreeSet::from([0, 2]),
    };
    let owner = crate::checkpoints::OwnerToken("owner-1".into());
    let key = keys::run(&consumer(), crate::checkpoints::IterationNumber(4), &owner, "5d41402a").unwrap();
    let stored = item(&[
        ("consumer", text(PARTITION)),
        ("item", text("runs#00000000000000000004#owner-1#5d41402a")),
        ("format", number("1")),
        ("statement", text("5d41402a")),
        ("query", text("query-1")),
        ("sql", text("select n from orders")),
        ("parts", number("3")),
        ("delivered", AttributeValue::Ns(vec!["0".to_owned(), "2".to_owned()])),
    ]);
    assert_eq!(items::of_run(&key, "5d41402a", &run), stored);
    assert_eq!(items::to_run("it", &stored).unwrap(), ("5d41402a".to_owned(), run));
    let listed = item(&[
        ("consumer", text("consumers")),
        ("item", text(PARTITION)),
        ("format", number("1")),
        ("name", text("payments")),
        ("stream", text("arn:aws:kinesis:eu-central-1:123456789012:stream/orders")),
    ]);
    assert_eq!(items::of_listed(&consumer()).unwrap(), listed);
    assert_eq!(items::to_listed(&listed).unwrap(), consumer());
}
