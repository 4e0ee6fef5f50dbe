//! Capacity mode, retention, the size of records, tags.

use std::collections::BTreeMap;

use super::Kinesis;
use super::error::{ApiError, ErrorCode};
use super::request::{AddTags, ChangeRetention, ListTags, RemoveTags, UpdateMaxRecordSize, UpdateStreamMode};
use super::response::{ListTagsResponse, Tag};
use super::streams::stream_mode;
use super::validate::{Violations, checked};

const SHORTEST_HOURS: i64 = 24;
const LONGEST_HOURS: i64 = 8_760;
const TAGS: usize = 50;
const SMALLEST_RECORD_KIB: i64 = 1_024;
const LARGEST_RECORD_KIB: i64 = 10_240;

impl Kinesis {
    pub(super) fn update_stream_mode(&self, request: &UpdateStreamMode) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        violations.required(request.stream_arn.as_deref(), "streamARN");
        let details = violations.required(request.stream_mode_details.as_ref(), "streamModeDetails");
        let mode = stream_mode(details, &mut violations);
        violations.check()?;
        let mode = checked(mode)?;
        let stream = self.named(None, request.stream_arn.as_deref())?;
        let mut state = stream.state.write();
        self.alive(&stream, &state)?;
        Ok(stream.change(&mut state, |metadata| metadata.mode = mode)?)
    }

    pub(super) fn update_max_record_size(&self, request: &UpdateMaxRecordSize) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        violations.required(request.stream_arn.as_deref(), "streamARN");
        let kib = violations.required(request.max_record_size, "maxRecordSizeInKiB");
        violations.range(kib, "maxRecordSizeInKiB", SMALLEST_RECORD_KIB, LARGEST_RECORD_KIB);
        violations.check()?;
        let kib = u32::try_from(checked(kib)?).map_err(|error| ApiError::defect(error.to_string()))?;
        let stream = self.named(None, request.stream_arn.as_deref())?;
        let mut state = stream.state.write();
        self.alive(&stream, &state)?;
        Ok(stream.change(&mut state, |metadata| metadata.max_record_kib = kib)?)
    }

    pub(super) fn increase_retention(&self, request: &ChangeRetention) -> Result<(), ApiError> {
        self.change_retention(request, |wanted, current, name| {
            (wanted < current).then(|| format!("Requested retention period ({wanted} hours) for stream {name} can not be shorter than existing retention period ({current} hours). Use DecreaseRetentionPeriod API."))
        })
    }

    pub(super) fn decrease_retention(&self, request: &ChangeRetention) -> Result<(), ApiError> {
        self.change_retention(request, |wanted, current, name| {
            (wanted > current).then(|| format!("Requested retention period ({wanted} hours) for stream {name} can not be longer than existing retention period ({current} hours). Use IncreaseRetentionPeriod API."))
        })
    }

    fn change_retention(&self, request: &ChangeRetention, refuse: impl FnOnce(u32, u32, &str) -> Option<String>) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        let hours = violations.required(request.retention_period_hours, "retentionPeriodHours");
        violations.check()?;
        let hours = checked(hours)?;
        if hours < SHORTEST_HOURS {
            return Err(ApiError::invalid(format!(
                "Minimum allowed retention period is {SHORTEST_HOURS} hours. Requested retention period ({hours} hours) is too short."
            )));
        }
        let within = u32::try_from(hours).ok().filter(|_| hours <= LONGEST_HOURS);
        let Some(wanted) = within else {
            return Err(ApiError::invalid(format!(
                "Maximum allowed retention period is {LONGEST_HOURS} hours. Requested retention period ({hours} hours) is too long."
            )));
        };
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let mut state = stream.state.write();
        self.alive(&stream, &state)?;
        if let Some(message) = refuse(wanted, state.metadata.retention_hours, &stream.name) {
            return Err(ApiError::invalid(message));
        }
        Ok(stream.change(&mut state, |metadata| metadata.retention_hours = wanted)?)
    }

    pub(super) fn add_tags(&self, request: AddTags) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        let tags = violations.required(request.tags, "tags");
        violations.check()?;
        let tags = checked(tags)?;
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let mut state = stream.state.write();
        self.alive(&stream, &state)?;
        check_tags(&tags, &state.metadata.tags)?;
        Ok(stream.change(&mut state, |metadata| metadata.tags.extend(tags))?)
    }

    pub(super) fn remove_tags(&self, request: &RemoveTags) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        let keys = violations.required(request.tag_keys.as_ref(), "tagKeys");
        violations.check()?;
        let keys = checked(keys)?;
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let mut state = stream.state.write();
        self.alive(&stream, &state)?;
        Ok(stream.change(&mut state, |metadata| metadata.tags.retain(|key, _| !keys.contains(key)))?)
    }

    pub(super) fn list_tags(&self, request: &ListTags) -> Result<ListTagsResponse, ApiError> {
        let mut violations = Violations::default();
        violations.range(request.limit, "limit", 1, 50);
        violations.check()?;
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let state = stream.state.read();
        self.alive(&stream, &state)?;
        let limit = usize::try_from(request.limit.unwrap_or(50)).unwrap_or(50);
        let start = request.exclusive_start_tag_key.as_deref();
        let mut rest = state
            .metadata
            .tags
            .iter()
            .filter(|(key, _)| start.is_none_or(|start| key.as_str() > start));
        let tags = rest
            .by_ref()
            .take(limit)
            .map(|(key, value)| Tag {
                key: key.clone(),
                value: value.clone(),
            })
            .collect();
        Ok(ListTagsResponse {
            tags,
            has_more_tags: rest.next().is_some(),
        })
    }
}

/// Checks tags that are to be added to others.
pub(super) fn check_tags(tags: &BTreeMap<String, String>, present: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let mut violations = Violations::default();
    for (key, value) in tags {
        violations.length(key, "tags", 1, 128);
        violations.length(value, "tags", 0, 256);
    }
    violations.check()?;
    let added = tags.keys().filter(|key| !present.contains_key(*key)).count();
    if present.len() + added > TAGS {
        return Err(ApiError::new(
            ErrorCode::LimitExceeded,
            format!("A stream can have at most {TAGS} tags."),
        ));
    }
    Ok(())
}
