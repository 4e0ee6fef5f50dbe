//! Where jobs may write: below `allow.write` of the configuration.

use super::error::OffloadError;
use crate::engine::{Place, Places};

/// The location in its only spelling, without a slash at its end, if a job may write there.
///
/// # Errors
/// [`OffloadError::Invalid`] if it is none, [`OffloadError::Denied`] if it lies elsewhere.
pub(super) fn check(allowed: &Places, location: &str) -> Result<String, OffloadError> {
    let place = parsed(location)?;
    let plain = place.to_string();
    let plain = plain.strip_suffix('/').unwrap_or(&plain).to_owned();
    match allowed.hold(&place) {
        true => Ok(plain),
        false => Err(OffloadError::Denied(format!(
            "LOCATION `{plain}`: statements may write below `allow.write` of the server's configuration alone, and this is not there"
        ))),
    }
}

/// Whether one of two locations is the other, or lies in it.
pub(super) fn are_near(one: &str, other: &str) -> Result<bool, OffloadError> {
    let (one, other) = (parsed(one)?, parsed(other)?);
    Ok(one.holds(&other) || other.holds(&one))
}

fn parsed(location: &str) -> Result<Place, OffloadError> {
    // logs of tables hold paths as URLs, in which readers spell these in different ways
    let odd = |character: &char| character.is_whitespace() || *character == '\'';
    match location.chars().find(odd) {
        Some(character) => Err(OffloadError::Invalid(format!(
            "LOCATION `{location}`: {character:?} has no place in it"
        ))),
        None => Place::parse(location).map_err(OffloadError::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_whole_folder() {
        let allowed = Places::new(["s3://lake/allowed/", "file:///var/lake", "s3://whole"]).unwrap();
        for right in [
            "s3://lake/allowed",
            "s3://lake/allowed/x/y/",
            "file:///var/lake/a",
            "s3://whole/anything",
            "s3://whole",
        ] {
            assert_eq!(check(&allowed, right).unwrap(), right.trim_end_matches('/'), "{right}");
        }
        for elsewhere in [
            "s3://lake/allowed-evil",
            "s3://lake",
            "s3://lake/other/allowed",
            "s3://wholesale/x",
            "file:///var/lakes",
            "file:///etc",
        ] {
            assert!(matches!(check(&allowed, elsewhere), Err(OffloadError::Denied(_))), "{elsewhere}");
        }
        assert!(
            check(&Places::default(), "s3://lake/allowed").is_err(),
            "nothing is said, nothing is allowed"
        );
    }

    #[test]
    fn a_location_has_one_spelling() {
        let allowed = Places::new(["s3://lake", "file:///lake"]).unwrap();
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
            "file:////lake/x",
            "file:///",
            "s3://user@lake/x",
            "s3://",
            "",
            "s3://lake/\u{0}",
            "S3://lake/x",
            "s3://lake/x//",
        ] {
            assert!(matches!(check(&allowed, wrong), Err(OffloadError::Invalid(_))), "{wrong}");
        }
    }

    #[test]
    fn folders_in_each_other_are_near() {
        assert!(are_near("s3://lake/a", "s3://lake/a/b").unwrap() && are_near("s3://lake/a/b", "s3://lake/a").unwrap());
        assert!(are_near("s3://lake/a", "s3://lake/a").unwrap() && !are_near("s3://lake/a", "s3://lake/ab").unwrap());
    }
}
