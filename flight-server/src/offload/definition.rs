//! A job as it was made: the YAML that is kept of it.

use std::collections::BTreeMap;

use catalog::TableName;
use lake::{JobName, LakeFormat, LakeSpec};
use serde::{Deserialize, Serialize};

use super::error::OffloadError;
use super::options::JobOptions;
use crate::engine::{JOB_CHECKPOINTS, JobPlan, JobStatement, parse_option};

/// A job. Its file has these keys, and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobDefinition {
    /// Its name, which its file has too.
    pub(super) offload: JobName,
    /// Tells it from another job that had the name before.
    pub(super) id: String,
    /// Schema of the table that it reads.
    pub(super) table_schema: String,
    /// The table that it reads.
    pub(super) table: String,
    /// How its table is kept.
    pub(super) format: LakeFormat,
    /// Where.
    pub(super) location: String,
    /// Columns by whose values files lie in folders, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) partitioned_by: Vec<String>,
    /// The query, as written.
    pub(super) query: String,
    /// Schema of the names in it that have none.
    pub(super) schema: String,
    /// Time zone of SQL functions in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) time_zone: Option<String>,
    /// Who made it: it reads what he may read.
    pub(super) principal: String,
    /// It rests.
    #[serde(default)]
    pub(super) paused: bool,
    /// `OPTIONS (…)`, as written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) options: BTreeMap<String, String>,
}

impl JobDefinition {
    /// From its file.
    ///
    /// # Errors
    /// A sentence, if it is none, or not the one that the file's name says.
    pub(super) fn from_yaml(name: &str, text: &str) -> Result<Self, String> {
        let definition: Self = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        if definition.offload.as_str() != name {
            return Err(format!(
                "the file is of offload `{}` by its name, and `{}` by its content",
                name, definition.offload
            ));
        }
        JobOptions::parse(&definition.options).map_err(|error| error.to_string())?;
        definition.statement().map_err(|error| error.to_string())?;
        Ok(definition)
    }

    /// Its file.
    pub(super) fn to_yaml(&self) -> Result<String, OffloadError> {
        serde_yaml::to_string(self).map_err(|error| OffloadError::Invalid(format!("offload `{}` cannot be written: {error}", self.offload)))
    }

    /// The table that it reads.
    pub(super) fn table_name(&self) -> TableName {
        TableName {
            schema: self.table_schema.clone(),
            table: self.table.clone(),
        }
    }

    /// The name of its checkpoint.
    pub(super) fn checkpoint(&self) -> String {
        format!("{JOB_CHECKPOINTS}{}/{}", self.offload, self.id)
    }

    pub(super) fn typed_options(&self) -> Result<JobOptions, OffloadError> {
        JobOptions::parse(&self.options)
    }

    /// What it runs.
    pub(super) fn statement(&self) -> Result<JobStatement, OffloadError> {
        let mut options = self.typed_options()?.session;
        let mut set = |name: &str, text: &str| {
            let (name, value) = parse_option(name, text).map_err(|error| OffloadError::Invalid(error.to_string()))?;
            options.insert(name, value);
            Ok::<(), OffloadError>(())
        };
        set("schema", &self.schema)?;
        if let Some(zone) = &self.time_zone {
            set("time_zone", zone)?;
        }
        Ok(JobStatement {
            principal: self.principal.clone(),
            sql: self.query.clone(),
            options,
            checkpoint: self
                .checkpoint()
                .parse()
                .map_err(|error| OffloadError::Invalid(format!("offload `{}`: {error}", self.offload)))?,
        })
    }

    /// The table of its rows.
    pub(super) fn spec(&self, plan: &JobPlan) -> Result<LakeSpec, OffloadError> {
        Ok(LakeSpec {
            location: self.location.clone(),
            format: self.format,
            schema: std::sync::Arc::clone(plan.schema()),
            partitioned_by: self.partitioned_by.clone(),
            job: self.offload.clone(),
            target_file_bytes: self.typed_options()?.target_file_bytes,
        })
    }

    /// Whether the columns can be those of its table.
    ///
    /// # Errors
    /// [`OffloadError::Invalid`], with the column.
    pub(super) fn check_columns(&self, plan: &JobPlan) -> Result<(), OffloadError> {
        let invalid = |why: String| Err(OffloadError::Invalid(why));
        let fields = plan.schema().fields();
        let mut seen = BTreeMap::new();
        for field in fields {
            if let Some(other) = seen.insert(field.name().to_lowercase(), field.name()) {
                return invalid(format!(
                    "columns `{other}` and `{}` have the same name in a lake; give one another name with AS",
                    field.name()
                ));
            }
        }
        let mut by = BTreeMap::new();
        for column in &self.partitioned_by {
            if plan.schema().column_with_name(column).is_none() {
                let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
                return invalid(format!(
                    "PARTITIONED BY: the query gives no column `{column}`; it gives {}",
                    names.join(", ")
                ));
            }
            if by.insert(column, ()).is_some() {
                return invalid(format!("PARTITIONED BY: column `{column}` is named twice"));
            }
        }
        if let Some(rule) = self.typed_options()?.completeness() {
            let is_time = plan
                .schema()
                .field_with_name(&rule.column)
                .is_ok_and(|field| field.data_type().is_temporal());
            if !is_time || !self.partitioned_by.contains(&rule.column) {
                return invalid(format!(
                    "option `complete`: `{}` is no date or timestamp among the columns of PARTITIONED BY",
                    rule.column
                ));
            }
        }
        if by.len() == fields.len() {
            return invalid("PARTITIONED BY: a column must be left for the files".to_owned());
        }
        Ok(())
    }
}

pub(super) fn format_name(format: LakeFormat) -> &'static str {
    match format {
        LakeFormat::Delta => "delta",
        LakeFormat::Parquet => "parquet",
        LakeFormat::Orc => "orc",
    }
}

pub(super) fn format_of(text: &str) -> Result<LakeFormat, OffloadError> {
    [LakeFormat::Delta, LakeFormat::Parquet, LakeFormat::Orc]
        .into_iter()
        .find(|format| format_name(*format) == text)
        .ok_or_else(|| OffloadError::Invalid(format!("STORED AS `{text}`: an offload is stored as DELTA, PARQUET or ORC")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_was_written_and_strictly() {
        let definition = JobDefinition {
            offload: "clicks_lake".parse().unwrap(),
            id: "1f".into(),
            table_schema: "default".into(),
            table: "clicks".into(),
            format: LakeFormat::Delta,
            location: "s3://b/p".into(),
            partitioned_by: vec!["day".into()],
            query: "SELECT *\nFROM clicks -- 'x': y".into(),
            schema: "default".into(),
            time_zone: None,
            principal: "ann".into(),
            paused: true,
            options: BTreeMap::from([("every".into(), "5s".into())]),
        };
        let text = definition.to_yaml().unwrap();
        assert_eq!(JobDefinition::from_yaml("clicks_lake", &text), Ok(definition.clone()));
        assert_eq!(definition.checkpoint(), "offload/clicks_lake/1f");
        assert!(JobDefinition::from_yaml("other", &text).unwrap_err().contains("other"));
        assert!(
            JobDefinition::from_yaml("clicks_lake", &format!("{text}colour: red\n"))
                .unwrap_err()
                .contains("colour")
        );
        assert!(
            JobDefinition::from_yaml("clicks_lake", &text.replace("5s", "0s"))
                .unwrap_err()
                .contains("every")
        );
        assert!(JobDefinition::from_yaml("clicks_lake", "offload: A b").is_err());
    }
}
