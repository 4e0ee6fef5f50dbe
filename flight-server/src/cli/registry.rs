//! Schema registries, over HTTP.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use catalog::FetchSchemas;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

/// A registry answers within this time.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the largest answer.
const MOST_BYTES: usize = 16 << 20;

/// Gets what is at a URL; a name and password in it are sent as basic authentication.
#[derive(Debug)]
pub(super) struct HttpRegistries(reqwest::Client);

impl HttpRegistries {
    pub(super) fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).user_agent("shardflight");
        Ok(Self(client.build().context("a client of schema registries")?))
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, reqwest::Error> {
        let mut response = self.0.get(url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BYTES {
                break;
            }
        }
        Ok(body)
    }
}

/// Asks each URL once: many definitions may name one registry, and it may be out of reach.
#[derive(Debug)]
pub(super) struct OnceEach {
    registries: HttpRegistries,
    known: Mutex<HashMap<String, Result<Vec<u8>, String>>>,
}

impl OnceEach {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            registries: HttpRegistries::new()?,
            known: Mutex::default(),
        })
    }
}

impl FetchSchemas for OnceEach {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, String>> {
        async move {
            if let Some(known) = self.known.lock().get(url) {
                return known.clone();
            }
            let outcome = self.registries.fetch(url).await;
            self.known.lock().insert(url.to_owned(), outcome.clone());
            outcome
        }
        .boxed()
    }
}

impl FetchSchemas for HttpRegistries {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, String>> {
        async move {
            match self.get(url).await {
                Ok(body) if body.len() > MOST_BYTES => Err(format!("the answer is larger than {} MiB", MOST_BYTES >> 20)),
                Ok(body) => Ok(body),
                // the URL may hold a password
                Err(error) => Err(format!("{:#}", anyhow::Error::new(error.without_url()))),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::routing::get;
    use catalog::DirectoryCatalog;

    use super::*;

    const LISTED: &str = r#"[{"subject":"clicks-value","version":1,"id":7,"schema":"{\"type\":\"record\",\"name\":\"Click\",\"fields\":[{\"name\":\"url\",\"type\":\"string\"}]}"}]"#;

    async fn registry() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let large = get(|| async { vec![b' '; MOST_BYTES + 1] });
        let router = Router::new().route("/schemas", get(|| async { LISTED })).route("/large", large);
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        // as long as the test's runtime
        serving.detach_all();
        format!("http://{address}")
    }

    #[tokio::test]
    async fn what_cannot_be_got_is_said_without_secrets() {
        let url = registry().await;
        let fetch = async |path: &str| HttpRegistries::new().unwrap().fetch(&format!("{url}/{path}")).await;
        assert_eq!(fetch("schemas").await.unwrap(), LISTED.as_bytes());
        assert!(fetch("nothing").await.unwrap_err().contains("404"));
        assert!(fetch("large").await.unwrap_err().contains("16 MiB"));
        let hushed = HttpRegistries::new()
            .unwrap()
            .fetch("http://me:hush@127.0.0.1:1/")
            .await
            .unwrap_err();
        assert!(!hushed.contains("hush"), "{hushed}");
    }

    #[tokio::test]
    async fn a_definition_that_names_a_registry_is_there_once_that_was_read() {
        let url = registry().await;
        let directory = tempfile::tempdir().unwrap();
        let definition = format!(
            "table: clicks\nstream: clicks\nformat: {{ avro: {{ framing: confluent, registry: '{url}' }} }}\n\
             columns:\n  - {{ name: url, type: varchar }}\n"
        );
        std::fs::write(directory.path().join("clicks.yaml"), &definition).unwrap();
        let alone = DirectoryCatalog::new(directory.path(), "default");
        assert!(alone.refreshed().await.tables.is_empty());
        let catalog = DirectoryCatalog::new(directory.path(), "default").with_registries(Arc::new(HttpRegistries::new().unwrap()));
        let snapshot = catalog.refreshed().await;
        assert!(snapshot.errors.is_empty(), "{:?}", snapshot.errors);
        assert_eq!(snapshot.tables.len(), 1);
    }
}
