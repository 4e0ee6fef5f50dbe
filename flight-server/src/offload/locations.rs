//! Where jobs may write.

use super::error::OffloadError;

/// Prefixes of locations, each a whole folder: `allow.write` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locations(Vec<String>);

impl Locations {
    /// Of these URLs, `s3://BUCKET/PREFIX` or `file:///DIRECTORY`.
    ///
    /// # Errors
    /// A sentence, if one of them is none.
    pub fn new<S: AsRef<str>>(prefixes: impl IntoIterator<Item = S>) -> Result<Self, String> {
        prefixes
            .into_iter()
            .map(|prefix| plain(prefix.as_ref()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The location without a slash at its end, if a job may write there.
    ///
    /// # Errors
    /// [`OffloadError::Invalid`] if it is none, [`OffloadError::Denied`] if it lies elsewhere.
    pub fn check(&self, location: &str) -> Result<String, OffloadError> {
        let plain = plain(location).map_err(OffloadError::Invalid)?;
        if self.0.iter().any(|prefix| is_within(&plain, prefix)) {
            return Ok(plain);
        }
        Err(OffloadError::Denied(format!(
            "LOCATION `{plain}`: statements may write below `allow.write` of the server's configuration alone, and this is not there"
        )))
    }
}

/// Whether a location is the folder, or lies in it.
pub(super) fn is_within(location: &str, folder: &str) -> bool {
    location
        .strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A location in its only spelling: nothing in it stands for something else.
fn plain(location: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("LOCATION `{location}`: {why}"));
    let trimmed = location.strip_suffix('/').unwrap_or(location);
    let (scheme, rest) = match trimmed.split_once("://") {
        Some(("s3", rest)) => ("s3", rest),
        Some(("file", rest)) if rest.len() > 1 && rest.starts_with('/') => ("file", &rest[1..]),
        _ => return wrong("write s3://BUCKET/PREFIX, or file:///DIRECTORY"),
    };
    let odd = |character: char| character.is_control() || character.is_whitespace() || "%?#\\*[]{}\"'<>|^`~".contains(character);
    if let Some(character) = rest.chars().find(|character| odd(*character)) {
        return wrong(&format!("{character:?} has no place in it"));
    }
    if rest.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return wrong("its parts have names: none is empty, `.` or `..`");
    }
    if scheme == "s3" && rest.contains([':', '@']) {
        return wrong("after s3:// stand a bucket and a prefix");
    }
    Ok(trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_whole_folder() {
        let locations = Locations::new(["s3://lake/allowed/", "file:///var/lake", "s3://whole"]).unwrap();
        for right in [
            "s3://lake/allowed",
            "s3://lake/allowed/x/y/",
            "file:///var/lake/a",
            "s3://whole/anything",
            "s3://whole",
        ] {
            assert_eq!(locations.check(right).unwrap(), right.trim_end_matches('/'), "{right}");
        }
        for elsewhere in [
            "s3://lake/allowed-evil",
            "s3://lake",
            "s3://lake/other/allowed",
            "s3://wholesale/x",
            "file:///var/lakes",
            "file:///etc",
        ] {
            assert!(matches!(locations.check(elsewhere), Err(OffloadError::Denied(_))), "{elsewhere}");
        }
        assert!(
            Locations::default().check("s3://lake/allowed").is_err(),
            "nothing is said, nothing is allowed"
        );
    }

    #[test]
    fn a_location_has_one_spelling() {
        let locations = Locations::new(["s3://lake", "file:///"]);
        assert!(locations.is_err(), "no directory");
        let locations = Locations::new(["s3://lake", "file:///lake"]).unwrap();
        for wrong in [
            "s3://lake/../other",
            "s3://lake/./x",
            "s3://lake//x",
            "s3://lake/%2e%2e/x",
            "s3://lake/x?y",
            "s3://lake/a b",
            "s3a://lake/x",
            "/lake/x",
            "file://lake/x",
            "file:///lake/../etc",
            "s3://user@lake/x",
            "s3://",
            "",
            "s3://lake/\u{0}",
            "S3://lake/x",
            "s3://lake/x//",
        ] {
            assert!(matches!(locations.check(wrong), Err(OffloadError::Invalid(_))), "{wrong}");
        }
    }
}
