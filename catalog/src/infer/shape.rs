//! What values a place of the documents had.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::instants::Texts;

/// Keys that one object may have before it is taken for a map.
const MOST_KEYS: usize = 1000;

/// Counts of each kind of value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shape {
    pub(super) booleans: u64,
    pub(super) integers: u64,
    /// Whole numbers beyond a bigint.
    pub(super) large: u64,
    pub(super) fractions: u64,
    pub(super) texts: u64,
    /// What all texts are.
    pub(super) text_kinds: Texts,
    /// Least and greatest integer.
    pub(super) range: Option<(i64, i64)>,
    pub(super) objects: u64,
    /// Fields of the objects, in the order in which they were first seen.
    pub(super) fields: Vec<(String, Shape)>,
    /// There were more fields than are kept.
    pub(super) overflow: bool,
    pub(super) arrays: u64,
    /// Items of the arrays.
    pub(super) items: Option<Box<Shape>>,
}

impl Shape {
    /// Adds a document. One that is not valid to its last byte counts for what was read of it: nothing else is lost by that.
    pub(super) fn see(&mut self, document: &[u8]) -> Result<(), serde_json::Error> {
        // Checked whole before it is looked at, so that half a document adds nothing.
        serde_json::from_slice::<serde::de::IgnoredAny>(document)?;
        std::str::from_utf8(document).map_err(serde_json::Error::custom)?;
        See(self).deserialize(&mut serde_json::Deserializer::from_slice(document))
    }

    /// Adds a value of a format that has only texts: a text that is a number or a boolean is one. An empty text is none.
    pub(super) fn see_text(&mut self, text: &str) {
        let text = text.trim();
        let is_number = text.bytes().next_back().is_some_and(|last| last.is_ascii_digit() || last == b'.');
        if text.is_empty() {
        } else if let Ok(value) = text.parse::<i64>() {
            self.integer(value);
        } else if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            self.booleans += 1;
        } else if is_number && !text.starts_with('+') && text.parse::<u64>().is_ok() {
            self.large += 1;
        } else if is_number && text.parse::<f64>().is_ok_and(f64::is_finite) {
            self.fractions += 1;
        } else {
            self.text(text);
        }
    }

    fn text(&mut self, text: &str) {
        self.text_kinds = Texts::of(text, (self.texts > 0).then_some(self.text_kinds));
        self.texts += 1;
    }

    fn field(&mut self, key: &str) -> Option<&mut Self> {
        let at = match self.fields.iter().position(|(known, _)| known == key) {
            Some(at) => at,
            None if self.fields.len() >= MOST_KEYS => {
                self.overflow = true;
                return None;
            }
            None => {
                self.fields.push((key.to_owned(), Self::default()));
                self.fields.len() - 1
            }
        };
        self.fields.get_mut(at).map(|(_, shape)| shape)
    }

    fn integer(&mut self, value: i64) {
        self.integers += 1;
        let (least, greatest) = self.range.unwrap_or((value, value));
        self.range = Some((least.min(value), greatest.max(value)));
    }

    /// All that two shapes saw.
    pub(super) fn merge(&mut self, other: &Self) {
        if self.texts == 0 {
            self.text_kinds = other.text_kinds;
        } else if other.texts > 0 {
            self.text_kinds = self.text_kinds.and(other.text_kinds);
        }
        self.booleans += other.booleans;
        self.integers += other.integers;
        self.large += other.large;
        self.fractions += other.fractions;
        self.texts += other.texts;
        self.objects += other.objects;
        self.arrays += other.arrays;
        self.overflow |= other.overflow;
        self.range = match (self.range, other.range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, two) => one.or(two),
        };
        for (key, shape) in &other.fields {
            if let Some(own) = self.field(key) {
                own.merge(shape);
            }
        }
        if let Some(items) = &other.items {
            self.items.get_or_insert_default().merge(items);
        }
    }
}

struct See<'s>(&'s mut Shape);

impl<'de> DeserializeSeed<'de> for See<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for See<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.0.booleans += 1;
        Ok(())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.integer(value);
        Ok(())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.0.integer(value),
            Err(_) => self.0.large += 1,
        }
        Ok(())
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.0.fractions += 1;
        Ok(())
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text(text);
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        self.0.arrays += 1;
        let items = self.0.items.get_or_insert_default();
        while access.next_element_seed(See(items))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        self.0.objects += 1;
        while let Some(key) = access.next_key::<String>()? {
            match self.0.field(&key) {
                Some(shape) => access.next_value_seed(See(shape))?,
                None => {
                    access.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}
