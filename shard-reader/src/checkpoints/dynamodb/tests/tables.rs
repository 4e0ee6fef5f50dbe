//! The table itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveStatus};
use futures::future::try_join_all;

use super::transport::Transport;
use super::*;

fn nobody() -> Consumer {
    Consumer {
        name: "nobody".parse().unwrap(),
        stream: "s".into(),
    }
}

#[tokio::test]
async fn it_is_created_at_the_first_call_by_all_who_want_it() {
    let service = StandIn::start().await;
    let client = client(&service.endpoint);
    let stores: Vec<_> = (0..8).map(|_| store(&service.endpoint)).collect();
    assert!(
        client.list_tables().send().await.unwrap().table_names().is_empty(),
        "created before it was needed"
    );
    let heads = try_join_all(stores.iter().map(|store| async { store.head(&nobody()).await }))
        .await
        .unwrap();
    assert_eq!(heads, vec![None; 8]);
    let table = client
        .describe_table()
        .table_name("shardflight")
        .send()
        .await
        .unwrap()
        .table
        .unwrap();
    let mode = table.billing_mode_summary().and_then(|summary| summary.billing_mode());
    assert_eq!(mode, Some(&BillingMode::PayPerRequest));
    let expiry = client.describe_time_to_live().table_name("shardflight").send().await.unwrap();
    let expiry = expiry.time_to_live_description.unwrap();
    assert!(matches!(
        expiry.time_to_live_status(),
        Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
    ));
    assert_eq!(expiry.attribute_name(), Some("expires"));
}

#[tokio::test]
async fn it_is_looked_for_once() {
    let service = StandIn::start().await;
    let looked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looked);
    let transport = Transport::new(move |operation| {
        count.fetch_add(usize::from(operation.starts_with("Describe")), Ordering::SeqCst);
        None
    });
    store(&service.endpoint).head(&nobody()).await.unwrap();
    let client = Client::from_conf(client(&service.endpoint).config().to_builder().http_client(transport).build());
    let store = DynamoDbCheckpoints::with_client(&client, "shardflight", true, Duration::from_secs(3600), WallClock::default());
    for _ in 0..3 {
        store.head(&nobody()).await.unwrap();
    }
    assert_eq!(looked.load(Ordering::SeqCst), 2, "DescribeTable and DescribeTimeToLive, once each");
}

#[tokio::test]
async fn without_it_and_the_right_to_create_it_the_error_says_what_to_do() {
    let service = StandIn::start().await;
    let store = DynamoDbCheckpoints::with_client(
        &client(&service.endpoint),
        "shardflight",
        false,
        Duration::from_secs(3600),
        WallClock::default(),
    );
    for error in [
        store.head(&nobody()).await.unwrap_err(),
        store.consumers().await.unwrap_err(),
        store.take_over(&nobody(), 1, &OwnerToken("me".into())).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, CheckpointErrorKind::NotFound, "{error}");
        assert!(error.message.contains("DynamoDB table shardflight: "), "{error}");
        assert!(error.message.contains("checkpoints.dynamodb.create: true"), "{error}");
    }
}

#[tokio::test]
async fn a_table_of_something_else_is_refused() {
    let service = StandIn::start().await;
    let client = client(&service.endpoint);
    let attribute = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    client
        .create_table()
        .table_name("shardflight")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute.build().unwrap())
        .key_schema(key.build().unwrap())
        .send()
        .await
        .unwrap();
    let error = store(&service.endpoint).head(&nobody()).await.unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Invalid, "{error}");
    assert!(error.message.contains("has other keys than `consumer`"), "{error}");
}

#[tokio::test]
async fn without_credentials_it_is_denied_at_once() {
    #[derive(Debug)]
    struct None;
    impl aws_credential_types::provider::ProvideCredentials for None {
        fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let none = aws_credential_types::provider::error::CredentialsError::not_loaded("there are none");
            aws_credential_types::provider::future::ProvideCredentials::ready(Err(none))
        }
    }
    let service = StandIn::start().await;
    let client = Client::from_conf(client(&service.endpoint).config().to_builder().credentials_provider(None).build());
    let store = DynamoDbCheckpoints::with_client(&client, "shardflight", false, Duration::from_secs(3600), WallClock::default());
    let error = store.take_over(&nobody(), 1, &OwnerToken("me".into())).await.unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Denied, "{error}");
    assert!(error.message.contains("there are none"), "{error}");
}
