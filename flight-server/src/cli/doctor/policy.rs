//! The least IAM policy of a configuration: the statements of `deploy/iam-policy-*.json` that it needs, with its names in them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};

use super::lake_policy::Lake;

const READ: &str = include_str!("../../../../deploy/iam-policy-read.json");
const WRITE: &str = include_str!("../../../../deploy/iam-policy-write.json");
const CHECKPOINTS: &str = include_str!("../../../../deploy/iam-policy-checkpoints.json");
const CATALOG: &str = include_str!("../../../../deploy/iam-policy-catalog.json");
const SEGMENTS: &str = include_str!("../../../../deploy/iam-policy-segments.json");

/// Who is to have a policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct HeldPolicy {
    pub(super) holder: String,
    pub(super) policy: Value,
}

/// Objects below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objects {
    pub(super) bucket: String,
    pub(super) prefix: String,
}

impl Objects {
    /// Of `s3://BUCKET/PREFIX`.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (bucket, prefix) = url.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")))?;
        Some(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_end_matches('/').to_owned(),
        })
    }
}

/// What a server does, by who does it: `None` is the server's own identity, `Some` a role.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Who reads which streams, by ARN.
    pub(super) streams: BTreeMap<Option<String>, BTreeSet<String>>,
    /// KMS keys of these, as the service names them, with an ARN of their stream.
    pub(super) keys: BTreeMap<Option<String>, BTreeSet<(String, String)>>,
    pub(super) fan_out: bool,
    pub(super) write: bool,
    /// The table's ARN, whether it may be made, and who uses it.
    pub(super) checkpoints: Option<(Option<String>, String, bool)>,
    /// Definitions, and whether statements may change them.
    pub(super) catalog: Option<(Objects, bool)>,
    pub(super) segments: Option<Objects>,
    /// Places of files.
    pub(super) lake: Lake,
}

impl Needs {
    /// A policy for each holder.
    ///
    /// # Errors
    /// A template that is no policy.
    pub(super) fn policies(&self) -> anyhow::Result<Vec<HeldPolicy>> {
        let mut held: BTreeMap<Option<String>, Vec<Value>> = BTreeMap::new();
        for (holder, streams) in &self.streams {
            let of = held.entry(holder.clone()).or_default();
            let arns: Vec<&str> = streams.iter().map(String::as_str).collect();
            of.push(statement(READ, "ReadStreams", &json!(arns))?);
            if self.fan_out {
                let consumers = arns.iter().map(|arn| format!("{arn}/consumer/*"));
                let both: Vec<String> = arns.iter().map(|arn| (*arn).to_owned()).chain(consumers).collect();
                of.push(statement(READ, "FanOut", &json!(both))?);
            }
            if self.write {
                of.push(statement(WRITE, "Write", &json!(arns))?);
            }
        }
        for (holder, keys) in &self.keys {
            let of = held.entry(holder.clone()).or_default();
            of.extend(keys.iter().map(|(key, stream)| key_statement(key, stream, self.write)));
        }
        if let Some((holder, arn, create)) = &self.checkpoints {
            let of = held.entry(holder.clone()).or_default();
            of.push(statement(CHECKPOINTS, "KeepCheckpoints", &json!(arn))?);
            if *create {
                of.push(statement(CHECKPOINTS, "CreateTheTable", &json!(arn))?);
            }
        }
        held.entry(self.lake.holder.clone()).or_default().extend(self.lake.statements()?);
        let own = held.entry(None).or_default();
        if let Some((objects, ddl)) = &self.catalog {
            own.push(listing(CATALOG, "ListDefinitions", objects)?);
            own.push(statement(CATALOG, "ReadDefinitions", &below(objects))?);
            if *ddl {
                own.push(statement(CATALOG, "ChangeDefinitions", &below(objects))?);
            }
        }
        if let Some(objects) = &self.segments {
            own.push(listing(SEGMENTS, "ListSegments", objects)?);
            own.push(statement(SEGMENTS, "ShareSegments", &below(objects))?);
        }
        held.retain(|holder, statements| holder.is_none() || !statements.is_empty());
        let roles: Vec<String> = held.keys().flatten().cloned().collect();
        if !roles.is_empty()
            && let Some(own) = held.get_mut(&None)
        {
            own.push(json!({ "Sid": "TakeRoles", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": roles }));
        }
        let partition = self.partition();
        let policies = held.into_iter().filter(|(_, statements)| !statements.is_empty());
        policies
            .map(|(holder, statements)| {
                let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
                Ok(HeldPolicy {
                    holder: holder.unwrap_or_else(|| "the server's own identity".to_owned()),
                    policy: serde_json::from_str(&text.replace("\"arn:aws:", &format!("\"arn:{partition}:")))?,
                })
            })
            .collect()
    }

    /// Where the streams are: `aws`, `aws-cn`, `aws-us-gov`.
    fn partition(&self) -> &str {
        let arn = self.streams.values().flatten().next();
        arn.and_then(|arn| arn.split(':').nth(1)).unwrap_or("aws")
    }
}

/// A statement of a template, for other resources.
pub(super) fn statement(template: &str, sid: &str, resource: &Value) -> anyhow::Result<Value> {
    let policy: Value = serde_json::from_str(template).context("a policy template")?;
    let statements = policy["Statement"].as_array().context("a policy template without statements")?;
    let found = statements.iter().find(|statement| statement["Sid"] == sid);
    let mut statement = found.with_context(|| format!("no policy template has {sid}"))?.clone();
    statement["Resource"] = resource.clone();
    Ok(statement)
}

fn listing(template: &str, sid: &str, objects: &Objects) -> anyhow::Result<Value> {
    let mut statement = statement(template, sid, &json!(format!("arn:aws:s3:::{}", objects.bucket)))?;
    statement["Condition"]["StringLikeIfExists"]["s3:prefix"] = json!(pattern(objects));
    Ok(statement)
}

fn below(objects: &Objects) -> Value {
    json!(format!("arn:aws:s3:::{}/{}", objects.bucket, pattern(objects)))
}

pub(super) fn pattern(objects: &Objects) -> String {
    match objects.prefix.as_str() {
        "" => "*".to_owned(),
        prefix => format!("{prefix}/*"),
    }
}

/// A customer's key is named by ARN, id or alias.
fn key_statement(key: &str, stream: &str, write: bool) -> Value {
    let actions: &[&str] = if write {
        &["kms:Decrypt", "kms:GenerateDataKey"]
    } else {
        &["kms:Decrypt"]
    };
    let mut statement = json!({ "Sid": "UseKey", "Effect": "Allow", "Action": actions });
    // arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME
    let parts: Vec<&str> = stream.split(':').collect();
    let place = match parts.as_slice() {
        ["arn", partition, _, region, account, ..] => format!("arn:{partition}:kms:{region}:{account}"),
        _ => "arn:aws:kms:REGION:ACCOUNT".to_owned(),
    };
    let alias = key
        .rsplit_once(":alias/")
        .map(|(_, name)| name)
        .or_else(|| key.strip_prefix("alias/"));
    match alias {
        Some(name) => {
            statement["Resource"] = json!(format!("{place}:key/*"));
            statement["Condition"] = json!({ "ForAnyValue:StringEquals": { "kms:ResourceAliases": format!("alias/{name}") } });
        }
        None if key.starts_with("arn:") => statement["Resource"] = json!(key),
        None => statement["Resource"] = json!(format!("{place}:key/{key}")),
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks";

    fn sids(policy: &Value) -> Vec<&str> {
        policy["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["Sid"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn a_reader_needs_four_actions_on_its_streams_and_nothing_else() {
        let needs = Needs {
            streams: BTreeMap::from([(None, BTreeSet::from([STREAM.to_owned()]))]),
            ..Needs::default()
        };
        let policies = needs.policies().unwrap();
        let expected = json!({ "Version": "2012-10-17", "Statement": [{
            "Sid": "ReadStreams", "Effect": "Allow",
            "Action": ["kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"],
            "Resource": [STREAM],
        }]});
        assert_eq!(policies.len(), 1);
        assert_eq!(policies[0].policy, expected);
    }

    #[test]
    fn each_role_has_its_own_and_the_server_may_take_them() {
        let reader = "arn:aws:iam::9:role/reader".to_owned();
        let role = Some(reader.clone());
        let needs = Needs {
            streams: BTreeMap::from([(role.clone(), BTreeSet::from([STREAM.to_owned()]))]),
            keys: BTreeMap::from([(role.clone(), BTreeSet::from([("1234-ab".to_owned(), STREAM.to_owned())]))]),
            fan_out: true,
            write: true,
            checkpoints: Some((None, "arn:aws:dynamodb:eu-west-1:123456789012:table/shardflight".into(), false)),
            catalog: Some((Objects::parse("s3://b/tables/").unwrap(), false)),
            segments: Objects::parse("s3://b"),
            ..Needs::default()
        };
        let policies = needs.policies().unwrap();
        assert_eq!(
            sids(&policies[0].policy),
            [
                "KeepCheckpoints",
                "ListDefinitions",
                "ReadDefinitions",
                "ListSegments",
                "ShareSegments",
                "TakeRoles"
            ]
        );
        assert_eq!(policies[0].policy["Statement"][2]["Resource"], "arn:aws:s3:::b/tables/*");
        assert_eq!(policies[0].policy["Statement"][4]["Resource"], "arn:aws:s3:::b/*");
        assert_eq!(policies[1].holder, reader);
        assert_eq!(sids(&policies[1].policy), ["ReadStreams", "FanOut", "Write", "UseKey"]);
        assert_eq!(
            policies[1].policy["Statement"][3]["Resource"],
            "arn:aws:kms:eu-west-1:123456789012:key/1234-ab"
        );
        assert_eq!(
            policies[1].policy["Statement"][1]["Resource"],
            json!([STREAM, format!("{STREAM}/consumer/*")])
        );
    }

    #[test]
    fn other_partitions_have_other_names() {
        let stream = STREAM.replace("arn:aws:", "arn:aws-cn:");
        let needs = Needs {
            streams: BTreeMap::from([(None, BTreeSet::from([stream.clone()]))]),
            segments: Objects::parse("s3://b/p"),
            ..Needs::default()
        };
        let policy = &needs.policies().unwrap()[0].policy;
        assert_eq!(policy["Statement"][0]["Resource"], json!([stream]));
        assert_eq!(policy["Statement"][1]["Resource"], "arn:aws-cn:s3:::b");
        assert_eq!(policy["Statement"][2]["Resource"], "arn:aws-cn:s3:::b/p/*");
    }

    #[test]
    fn keys_are_named_in_three_ways() {
        let resource = |key: &str| key_statement(key, STREAM, false)["Resource"].clone();
        assert_eq!(resource("arn:aws:kms:eu-west-1:9:key/a"), "arn:aws:kms:eu-west-1:9:key/a");
        assert_eq!(resource("a"), "arn:aws:kms:eu-west-1:123456789012:key/a");
        let by_alias = key_statement("alias/mine", STREAM, true);
        assert_eq!(
            by_alias["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"],
            "alias/mine"
        );
        assert_eq!(by_alias["Action"], json!(["kms:Decrypt", "kms:GenerateDataKey"]));
    }
}
