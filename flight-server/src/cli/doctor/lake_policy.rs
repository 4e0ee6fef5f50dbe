//! What the places of `allow.read` and `allow.write` need.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::policy::{Objects, pattern, statement};

const LAKE: &str = include_str!("../../../../deploy/iam-policy-lake.json");

/// Places in object storage, and the role by which they are reached; `None` is the server's own identity.
#[derive(Debug, Default)]
pub(super) struct Lake {
    pub(super) holder: Option<String>,
    pub(super) read: Vec<Objects>,
    pub(super) write: Vec<Objects>,
}

impl Lake {
    /// Listing of each bucket, of these prefixes alone; reading of all places, since who writes a table reads its log; writing of some.
    ///
    /// # Errors
    /// A template that is no policy.
    pub(super) fn statements(&self) -> anyhow::Result<Vec<Value>> {
        let mut buckets: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for place in self.read.iter().chain(&self.write) {
            buckets.entry(&place.bucket).or_default().insert(pattern(place));
        }
        let mut statements = Vec::new();
        for (number, (bucket, prefixes)) in buckets.into_iter().enumerate() {
            let mut list = statement(LAKE, "ListLake", &json!(format!("arn:aws:s3:::{bucket}")))?;
            list["Condition"]["StringLikeIfExists"]["s3:prefix"] = json!(prefixes);
            // names of statements are unique in a policy
            if number > 0 {
                list["Sid"] = json!(format!("ListLake{}", number + 1));
            }
            statements.push(list);
        }
        let all = resources(self.read.iter().chain(&self.write));
        if !all.is_empty() {
            statements.push(statement(LAKE, "ReadLake", &json!(all))?);
        }
        let written = resources(&self.write);
        if !written.is_empty() {
            statements.push(statement(LAKE, "WriteLake", &json!(written))?);
        }
        Ok(statements)
    }
}

/// What lies below the places, and a place that is one file.
fn resources<'a>(places: impl IntoIterator<Item = &'a Objects>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for place in places {
        let last = place.prefix.rsplit('/').next().unwrap_or_default();
        if last.contains('.') {
            found.insert(format!("arn:aws:s3:::{}/{}", place.bucket, place.prefix));
        }
        found.insert(format!("arn:aws:s3:::{}/{}", place.bucket, pattern(place)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::policy::Needs;
    use super::*;

    fn places(urls: &[&str]) -> Vec<Objects> {
        urls.iter().map(|url| Objects::parse(url).unwrap()).collect()
    }

    #[test]
    fn a_role_for_the_lake_has_its_places_and_the_server_may_take_it() {
        let role = "arn:aws:iam::9:role/lake".to_owned();
        let lake = Lake {
            holder: Some(role.clone()),
            read: places(&["s3://lake/history/", "s3://hosts/hosts.csv"]),
            write: places(&["s3://lake/exports"]),
        };
        let needs = Needs { lake, ..Needs::default() };
        let policies = needs.policies().unwrap();
        assert_eq!(policies[0].holder, "the server's own identity");
        let take = json!([{ "Sid": "TakeRoles", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [role] }]);
        assert_eq!(policies[0].policy["Statement"], take);
        assert_eq!(policies[1].holder, role);
        let expected = json!([
            { "Sid": "ListLake", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::hosts",
              "Condition": { "StringLikeIfExists": { "s3:prefix": ["hosts.csv/*"] } } },
            { "Sid": "ListLake2", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::lake",
              "Condition": { "StringLikeIfExists": { "s3:prefix": ["exports/*", "history/*"] } } },
            { "Sid": "ReadLake", "Effect": "Allow", "Action": "s3:GetObject", "Resource": [
              "arn:aws:s3:::hosts/hosts.csv", "arn:aws:s3:::hosts/hosts.csv/*", "arn:aws:s3:::lake/exports/*", "arn:aws:s3:::lake/history/*"] },
            { "Sid": "WriteLake", "Effect": "Allow", "Action": ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
              "Resource": ["arn:aws:s3:::lake/exports/*"] },
        ]);
        assert_eq!(policies[1].policy["Statement"], expected);
    }

    #[test]
    fn nothing_allowed_is_nothing_needed() {
        let lake = Lake {
            holder: Some("arn:aws:iam::9:role/lake".to_owned()),
            ..Lake::default()
        };
        assert!(lake.statements().unwrap().is_empty());
        let needs = Needs { lake, ..Needs::default() };
        assert!(needs.policies().unwrap().is_empty(), "no role is taken for nothing");
    }
}
