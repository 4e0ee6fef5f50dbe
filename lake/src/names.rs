//! Names of the files that a job writes.

use object_store::path::Path;
use shard_reader::checkpoints::IterationNumber;

use crate::{JobName, LakeFormat};

/// Name of a file of rows: `JOB-ITERATION-ORDINAL[-ATTEMPT].parquet`. A job's name has no `-`, so that a name can be taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileName {
    pub(crate) job: JobName,
    pub(crate) iteration: IterationNumber,
    /// Which file of the iteration, in the order in which they were begun.
    pub(crate) ordinal: u32,
    /// Tells apart what is written again with other rows; empty at first.
    pub(crate) attempt: String,
}

impl FileName {
    /// Path of the file in a folder.
    pub(crate) fn path(&self, folder: &str, format: LakeFormat) -> Path {
        let Self {
            job,
            iteration,
            ordinal,
            attempt,
        } = self;
        let dash = if attempt.is_empty() { "" } else { "-" };
        let name = format!("{job}-{:020}-{ordinal:05}{dash}{attempt}.{}", iteration.0, extension(format));
        if folder.is_empty() {
            Path::from(name)
        } else {
            raw_path(&format!("{folder}/{name}"))
        }
    }

    /// The parts of a path's last name; `None`: the name is not one of these.
    pub(crate) fn parse(path: &Path) -> Option<Self> {
        let (stem, _) = path.filename()?.rsplit_once('.')?;
        let mut parts = stem.split('-');
        let (job, iteration, ordinal) = (parts.next()?, parts.next()?, parts.next()?);
        let attempt = parts.next().unwrap_or_default();
        if parts.next().is_some() || iteration.len() != 20 || ordinal.len() < 5 {
            return None;
        }
        Some(Self {
            job: job.parse().ok()?,
            iteration: IterationNumber(iteration.parse().ok()?),
            ordinal: ordinal.parse().ok()?,
            attempt: attempt.to_owned(),
        })
    }
}

/// A path as it is: what is escaped in it stays escaped once.
pub(crate) fn raw_path(path: &str) -> Path {
    Path::parse(path).unwrap_or_else(|_| Path::from(path))
}

/// Directory of what a job keeps beside the rows.
pub(crate) fn job_directory(job: &JobName, what: &str) -> Path {
    Path::from(format!("_shardflight/{job}/{what}"))
}

fn extension(format: LakeFormat) -> &'static str {
    match format {
        LakeFormat::Delta | LakeFormat::Parquet => "parquet",
        LakeFormat::Orc => "orc",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_taken_apart() {
        for attempt in ["", "0a1b2c3d"] {
            let name = FileName {
                job: "web_log".parse().unwrap(),
                iteration: IterationNumber(7),
                ordinal: 12,
                attempt: attempt.into(),
            };
            let path = name.path("day=2024-01-01/host=a%2Fb", LakeFormat::Parquet);
            let dash = if attempt.is_empty() { String::new() } else { format!("-{attempt}") };
            assert_eq!(
                path.as_ref(),
                format!("day=2024-01-01/host=a%2Fb/web_log-00000000000000000007-00012{dash}.parquet")
            );
            assert_eq!(FileName::parse(&path), Some(name));
        }
    }

    #[test]
    fn other_names_are_not_taken_for_these() {
        for other in [
            "part-00001-3f0e2c1a-1111-2222-3333-444455556666-c000.zstd.parquet",
            "web_log-7-00001.parquet",
            "Web-00000000000000000007-00001.parquet",
            "_delta_log/00000000000000000000.json",
            "readme",
        ] {
            assert_eq!(FileName::parse(&Path::from(other)), None, "{other}");
        }
    }
}
