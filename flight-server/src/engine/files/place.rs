//! Where files lie: a location as statements, definitions and the configuration write it.

use std::fmt;

use object_store::path::Path;

use super::super::error::EngineError;

/// Characters that some layer below reads as more than themselves: as an escape, a pattern, or the end of a path.
const NOT_IN_LOCATIONS: &str = "%?#*[]{}\\\"<>|^`~";

/// Where files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The bucket; `None` = this machine's own files.
    pub(super) bucket: Option<String>,
    /// Key or prefix there; of files, the path without the first `/`.
    pub(super) key: Path,
    /// It ended with `/`: what lies below it.
    pub(super) is_folder: bool,
}

impl Place {
    /// `s3://BUCKET/KEY` or `file:///PATH`. A key is as it is, without escapes; `.` and `..` are in none.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("location `{text}`: {why}"));
        if let Some(character) = text.chars().find(|c| c.is_control() || NOT_IN_LOCATIONS.contains(*c)) {
            return wrong(&format!("{character:?} cannot be in a location"));
        }
        let (bucket, key) = if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            if !(3..=255).contains(&bucket.len()) || !bucket.chars().all(plain) {
                return wrong(&format!("`{bucket}` is not the name of a bucket"));
            }
            (Some(bucket.to_owned()), key)
        } else if let Some(path) = text.strip_prefix("file:///") {
            (None, path)
        } else {
            return wrong("expected s3://BUCKET/PREFIX or file:///DIRECTORY");
        };
        if bucket.is_none() && key.is_empty() {
            return wrong("a directory has a name: file:///DIRECTORY");
        }
        let is_folder = key.is_empty() || key.ends_with('/');
        match Path::parse(key) {
            // a second `/` would be passed over
            Ok(_) if key.starts_with('/') => wrong("parts of a path are not empty"),
            Ok(key) => Ok(Self { bucket, key, is_folder }),
            Err(_) => wrong("parts of a path are not empty, and not `.` or `..`"),
        }
    }

    /// Whether its last part looks like the name of a file.
    pub(super) fn has_extension(&self) -> bool {
        self.key.filename().is_some_and(|name| name.contains('.'))
    }

    /// See [`Self::parse`].
    pub(super) fn of_statement(text: &str) -> Result<Self, EngineError> {
        Self::parse(text).map_err(EngineError::Invalid)
    }

    /// Whether the other is this one, or below it.
    pub fn holds(&self, other: &Self) -> bool {
        self.below(other).is_some()
    }

    /// What of `other` is below this one, by whole parts of the path: `a` holds `a/b`, and not `ab`.
    pub(super) fn below(&self, other: &Self) -> Option<Path> {
        if self.bucket != other.bucket {
            return None;
        }
        other.key.prefix_match(&self.key).map(|rest| rest.collect())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.is_folder && !self.key.as_ref().is_empty() { "/" } else { "" };
        match &self.bucket {
            Some(bucket) => write!(f, "s3://{bucket}/{}{end}", self.key),
            None => write!(f, "file:///{}{end}", self.key),
        }
    }
}

/// Places that statements may use, each with all that lies below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Vec<Place>);

impl Places {
    /// Those of these locations.
    ///
    /// # Errors
    /// A sentence, if one of them is no location.
    pub fn new<S: AsRef<str>>(locations: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let places = locations.into_iter().map(|text| Place::parse(text.as_ref()));
        places.collect::<Result<_, _>>().map(Self)
    }

    /// Whether the place is one of them, or below one.
    pub fn hold(&self, place: &Place) -> bool {
        self.nearest(place).is_some()
    }

    /// The longest of them that holds the place, and what is left of it there.
    pub(super) fn nearest(&self, place: &Place) -> Option<(&Place, Path)> {
        let fits = self.0.iter().filter_map(|known| Some((known, known.below(place)?)));
        fits.max_by_key(|(known, _)| known.key.as_ref().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_is_below_by_whole_parts() {
        let allowed = Place::parse("s3://bucket/allowed").unwrap();
        for (text, rest) in [
            ("s3://bucket/allowed", Some("")),
            ("s3://bucket/allowed/", Some("")),
            ("s3://bucket/allowed/a/b.parquet", Some("a/b.parquet")),
            ("s3://bucket/allowed-evil", None),
            ("s3://bucket/allowedevil/x", None),
            ("s3://bucket", None),
            ("s3://bucket2/allowed/x", None),
            ("s3://Bucket/allowed/x", None),
            ("file:///allowed/x", None),
        ] {
            let place = Place::parse(text).unwrap();
            assert_eq!(allowed.below(&place).as_ref().map(Path::as_ref), rest, "{text}");
        }
        let whole = Place::parse("s3://bucket").unwrap();
        assert!(whole.below(&allowed).is_some() && whole.is_folder);
        let own = Place::parse("file:///srv/files").unwrap();
        assert!(own.below(&Place::parse("file:///srv/files/x").unwrap()).is_some());
        assert!(own.below(&Place::parse("file:///srv/files2").unwrap()).is_none());
        assert!(own.below(&Place::parse("s3://srv/files/x").unwrap()).is_none());
    }

    #[test]
    fn tricks_are_no_locations() {
        for text in [
            "/etc/passwd",
            "etc/passwd",
            "file://etc/passwd",
            "file:/etc/passwd",
            "FILE:///etc/passwd",
            "S3://bucket/x",
            "file:///allowed/../etc/passwd",
            "file:///allowed/./x",
            "file:///allowed//x",
            "file:////etc/passwd",
            "file:////",
            "file:///",
            "s3://bucket/allowed/../secret",
            "s3://bucket/allowed/%2e%2e/secret",
            "s3://bucket/allowed/%2E%2E%2Fsecret",
            "s3://bucket/allowed/..%2fsecret",
            "s3://bucket/a?x=y",
            "s3://bucket/a#b",
            "s3://bucket/*",
            "s3://bucket/[a-z]",
            "s3://bucket/a\\..\\b",
            "s3://bucket/a\0b",
            "s3://bucket/a\nb",
            "s3://user@bucket/x",
            "s3://bucket:80/x",
            "s3:///x",
            "s3://",
            "http://169.254.169.254/latest",
            "kinesis://stream",
            "",
        ] {
            assert!(Place::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn places_are_shown_as_written() {
        for text in ["s3://bucket/", "s3://bucket/a/b.csv", "s3://bucket/a b/", "file:///srv/x/"] {
            assert_eq!(Place::parse(text).unwrap().to_string(), text);
        }
    }
}
