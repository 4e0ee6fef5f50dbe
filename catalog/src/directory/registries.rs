//! Schemas that definitions name by URL, as they were fetched last.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join_all};

use crate::definition::Beside;
use crate::{Definition, DefinitionError, TableDefinition};

/// What was fetched is fetched again when it is older.
const AGE: Duration = Duration::from_secs(60);

/// Fetches what is at a URL. The catalog knows no HTTP client.
pub trait FetchSchemas: fmt::Debug + Send + Sync {
    /// The body of a GET. The error is a sentence that holds no secrets; a call takes its time within bounds of its own.
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, String>>;
}

impl Definition {
    /// As [`Self::from_yaml_file`], with what is now at the URLs of registries that the definition names.
    ///
    /// # Errors
    /// As there; and a registry that cannot be read, at the place where it is named.
    pub async fn from_yaml_fetched(
        text: &str,
        default_schema: &str,
        directory: &Path,
        fetcher: &dyn FetchSchemas,
    ) -> Result<Self, DefinitionError> {
        fetched(directory, fetcher, |beside| Self::from_yaml_beside(text, default_schema, beside)).await
    }
}

impl TableDefinition {
    /// As [`Self::from_yaml_file`], with what is now at the URLs of registries that the definition names.
    ///
    /// # Errors
    /// As there; and a registry that cannot be read, at the place where it is named.
    pub async fn from_yaml_fetched(
        text: &str,
        default_schema: &str,
        directory: &Path,
        fetcher: &dyn FetchSchemas,
    ) -> Result<Arc<Self>, DefinitionError> {
        fetched(directory, fetcher, |beside| Self::from_yaml_beside(text, default_schema, beside)).await
    }
}

/// Reads once to learn which URLs are named, and once more with what is there.
async fn fetched<T>(
    directory: &Path,
    fetcher: &dyn FetchSchemas,
    parse: impl Fn(&Beside) -> Result<T, DefinitionError>,
) -> Result<T, DefinitionError> {
    let (read, urls) = {
        let beside = Beside::new(Some(directory));
        let read = parse(&beside);
        (read, beside.into_named().1)
    };
    if urls.is_empty() {
        return read;
    }
    let contents = join_all(urls.iter().map(|url| fetcher.fetch(url))).await;
    let contents = contents.into_iter().map(|content| content.map(Arc::from));
    let fetched: Fetched = urls.into_iter().zip(contents).collect();
    parse(&Beside::new(Some(directory)).with(fetched))
}

/// What is at each URL.
pub(crate) type Fetched = BTreeMap<String, Result<Arc<[u8]>, String>>;

/// All registries that definitions name.
#[derive(Debug, Default)]
pub(super) struct Registries {
    pub(super) fetcher: Option<Arc<dyn FetchSchemas>>,
    known: BTreeMap<String, Known>,
    versions: u64,
}

#[derive(Debug)]
struct Known {
    content: Result<Arc<[u8]>, String>,
    /// Another one for every other content.
    version: u64,
    looked: Instant,
}

impl Registries {
    /// What definitions are parsed with.
    pub(super) fn fetched(&self) -> Fetched {
        let known = self.known.iter().map(|(url, known)| (url.clone(), known.content.clone()));
        known.collect()
    }

    /// Of what is at the URL; 0 as long as nobody has looked.
    pub(super) fn version(&self, url: &str) -> u64 {
        self.known.get(url).map_or(0, |known| known.version)
    }

    /// URLs to look at now, of those that are named; others are forgotten.
    pub(super) fn due(&mut self, named: &BTreeSet<String>, now: Instant) -> Vec<String> {
        self.known.retain(|url, _| named.contains(url));
        if self.fetcher.is_none() {
            return Vec::new();
        }
        let is_due = |url: &&String| {
            let known = self.known.get(*url);
            known.is_none_or(|known| now.saturating_duration_since(known.looked) >= AGE)
        };
        named.iter().filter(is_due).cloned().collect()
    }

    /// Takes what was fetched; says whether it is other than before. What was good stays while a registry cannot be reached.
    pub(super) fn learn(&mut self, url: String, outcome: Result<Vec<u8>, String>, now: Instant) -> bool {
        let known = self.known.get_mut(&url);
        if let (Some(known), Err(error)) = (known, &outcome)
            && known.content.is_ok()
        {
            tracing::warn!(error, "a schema registry cannot be read; what it held before stays");
            known.looked = now;
            return false;
        }
        let content = outcome.map(Arc::from);
        let same = self
            .known
            .get(&url)
            .filter(|known| known.content == content)
            .map(|known| known.version);
        if same.is_none() {
            self.versions += 1;
        }
        let known = Known {
            content,
            version: same.unwrap_or(self.versions),
            looked: now,
        };
        self.known.insert(url, known);
        same.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Nobody;

    impl FetchSchemas for Nobody {
        fn fetch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<u8>, String>> {
            Box::pin(async { Err("nobody is there".to_owned()) })
        }
    }

    #[test]
    fn it_is_looked_at_in_time_and_what_was_good_stays() {
        let mut registries = Registries {
            fetcher: Some(Arc::new(Nobody)),
            ..Registries::default()
        };
        let url = || "http://registry/schemas".to_owned();
        let named = BTreeSet::from([url()]);
        let now = Instant::now();
        assert_eq!(registries.due(&named, now), [url()]);
        assert!(registries.learn(url(), Err("refused".into()), now));
        assert_eq!(registries.due(&named, now), [""; 0]);
        let later = now + AGE;
        assert_eq!(registries.due(&named, later), [url()]);
        assert!(registries.learn(url(), Ok(b"{}".to_vec()), later));
        let version = registries.version(&url());
        assert!(!registries.learn(url(), Ok(b"{}".to_vec()), later));
        assert!(!registries.learn(url(), Err("refused".into()), later));
        assert_eq!((registries.version(&url()), registries.fetched()[&url()].is_ok()), (version, true));
        assert!(registries.learn(url(), Ok(b"[]".to_vec()), later));
        assert!(registries.version(&url()) > version);
        assert_eq!(registries.due(&BTreeSet::new(), later), [""; 0]);
        assert_eq!(registries.version(&url()), 0);
    }
}
