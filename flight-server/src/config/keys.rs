//! Which keys there are, and the check of a document's keys where they stand, with line and column.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A key of the configuration.
#[derive(Debug)]
pub(super) enum Key {
    /// Has keys below it.
    Section(&'static [(&'static str, Key)]),
    /// A list of things that have keys.
    Entries(&'static [(&'static str, Key)]),
    /// Text, kept as text even if it looks like a number.
    Text,
    /// Anything else: as YAML reads it.
    Plain,
    /// Planned; this version does not have it.
    NotYet,
}

use Key::{Entries, NotYet, Plain, Section, Text};

/// All keys.
pub(super) const KEYS: &[(&str, Key)] = &[
    ("listen", Text),
    ("http", Text),
    ("insecure", Plain),
    ("data_dir", Text),
    (
        "kinesis",
        Section(&[
            ("region", Text),
            ("endpoint", Text),
            ("profile", Text),
            ("role_arn", Text),
            ("external_id", Text),
            ("session_name", Text),
        ]),
    ),
    (
        "allow",
        Section(&[("streams", Plain), ("roles", Plain), ("read", Plain), ("write", Plain)]),
    ),
    (
        "catalog",
        Section(&[
            ("path", Text),
            ("endpoint", Text),
            ("region", Text),
            ("ddl", Plain),
            ("refresh", Text),
            ("default_schema", Text),
        ]),
    ),
    (
        "reader",
        Section(&[
            ("memory", Text),
            ("idle_stop", Text),
            ("calls_per_second", Plain),
            ("bytes_per_second", Text),
            ("follow_lag", Text),
            ("warm", NotYet),
            ("fan_out", Section(&[("consumer", Text), ("use", Text)])),
        ]),
    ),
    (
        "segments",
        Section(&[
            ("path", Text),
            ("disk", Text),
            ("store", Text),
            ("store_endpoint", Text),
            ("store_region", Text),
        ]),
    ),
    (
        "checkpoints",
        Section(&[
            ("local", Text),
            (
                "dynamodb",
                Section(&[
                    ("table", Text),
                    ("create", Plain),
                    ("region", Text),
                    ("endpoint", Text),
                    ("profile", Text),
                    ("role_arn", Text),
                    ("external_id", Text),
                ]),
            ),
            ("keep", Text),
        ]),
    ),
    (
        "query",
        Section(&[
            ("memory", Text),
            ("spill", Text),
            ("spill_disk", Text),
            ("timeout", Text),
            ("max_bytes", Text),
            ("max_concurrent", Plain),
            ("queue", Plain),
            ("queue_timeout", Text),
        ]),
    ),
    (
        "lake",
        Section(&[("endpoint", Text), ("region", Text), ("role_arn", Text), ("external_id", Text)]),
    ),
    ("tickets", Section(&[("ttl", Text)])),
    ("scratch", Section(&[("keep", Text), ("memory", Text), ("memory_each", Text)])),
    ("metrics", Section(&[("max_shards", Plain)])),
    (
        "system",
        Section(&[("queries", Plain), ("scan_errors", Plain), ("scan_error_bytes", Text)]),
    ),
    ("prices", Section(&[("on_demand_per_gb", Plain), ("long_term_per_gb", Plain)])),
    (
        "tls",
        Section(&[("cert", Text), ("key", Text), ("client_ca", Text), ("client_cert", Text)]),
    ),
    (
        "auth",
        Section(&[
            (
                "users",
                Entries(&[("name", Text), ("password_hash", Text), ("password_hash_file", Text)]),
            ),
            ("tokens", Entries(&[("name", Text), ("token_sha256", Text), ("token_file", Text)])),
            (
                "oidc",
                Section(&[("issuer", Text), ("audience", Plain), ("jwks_url", Text), ("principal_claim", Text)]),
            ),
            (
                "access",
                Entries(&[
                    ("principal", Text),
                    ("tables", Plain),
                    ("checkpoints", Plain),
                    ("streams", Plain),
                    ("locations", Plain),
                    ("may", Plain),
                    (
                        "limits",
                        Section(&[
                            ("max_concurrent", Plain),
                            ("max_bytes", Text),
                            ("max_time", Text),
                            ("max_sessions", Plain),
                        ]),
                    ),
                ]),
            ),
            ("anonymous", Plain),
            ("token_ttl", Text),
        ]),
    ),
    ("audit", Section(&[("path", Text), ("sql", Plain)])),
    (
        "cluster",
        Section(&[
            ("listen", Text),
            ("address", Text),
            ("advertise", Text),
            ("token", Text),
            ("peers", Plain),
            ("peers_file", Text),
            ("dns", Text),
            ("tls", Section(&[("cert", Text), ("key", Text), ("ca", Text), ("name", Text)])),
        ]),
    ),
];

/// Finds `name` among `keys`; `prefix` is the dotted path to them. The error is a sentence.
pub(super) fn find(keys: &'static [(&'static str, Key)], prefix: &str, name: &str) -> Result<&'static Key, String> {
    match keys.iter().find(|(known, _)| *known == name) {
        Some((_, NotYet)) => Err(format!(
            "`{}` is not supported yet in this version; remove it",
            dotted(prefix, name)
        )),
        Some((_, key)) => Ok(key),
        None => Err(format!("unknown key `{}`{}", dotted(prefix, name), suggestion(keys, name))),
    }
}

pub(super) fn dotted(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

fn suggestion(keys: &[(&str, Key)], name: &str) -> String {
    let supported = || keys.iter().filter(|(_, key)| !matches!(key, NotYet)).map(|(known, _)| *known);
    let nearest = supported()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, known)) if likeness > 0.8 => format!("; did you mean `{known}`?"),
        _ => format!("; known here: {}", supported().collect::<Vec<_>>().join(", ")),
    }
}

/// Walks a document and checks its keys only; values are the model's concern.
pub(super) struct CheckKeys {
    keys: &'static [(&'static str, Key)],
    prefix: String,
}

impl CheckKeys {
    pub(super) fn top() -> Self {
        Self {
            keys: KEYS,
            prefix: String::new(),
        }
    }
}

impl<'de> DeserializeSeed<'de> for CheckKeys {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CheckKeys {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section of `key: value` lines")
    }

    /// A section with nothing in it.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    /// A document with nothing in it.
    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, key)) = map.next_key_seed(CheckKey(&self))? {
            match key {
                Section(keys) => map.next_value_seed(Self {
                    keys,
                    prefix: dotted(&self.prefix, &name),
                })?,
                Entries(keys) => map.next_value_seed(CheckEntries(Self {
                    keys,
                    prefix: dotted(&self.prefix, &name),
                }))?,
                Text | Plain | NotYet => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Checks each thing of a list.
struct CheckEntries(CheckKeys);

impl<'de> DeserializeSeed<'de> for CheckEntries {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CheckEntries {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, each line of it beginning with `- `")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let entry = || CheckKeys {
            keys: self.0.keys,
            prefix: self.0.prefix.clone(),
        };
        while list.next_element_seed(entry())?.is_some() {}
        Ok(())
    }
}

struct CheckKey<'a>(&'a CheckKeys);

impl<'de> DeserializeSeed<'de> for CheckKey<'_> {
    type Value = (String, &'static Key);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for CheckKey<'_> {
    type Value = (String, &'static Key);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        find(self.0.keys, &self.0.prefix, name)
            .map(|key| (name.to_owned(), key))
            .map_err(E::custom)
    }
}
