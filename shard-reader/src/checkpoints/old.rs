//! What others kept: rows of the Presto and Hive connectors (`<name>_<stream>_<shard>_<N>`) and of the Kinesis Client Library's lease tables.
//!
//! Both have the attributes `leaseKey`, `checkpoint` and `checkpointSubSequenceNumber`, since the connectors used the library's lease manager.

use std::collections::BTreeMap;

use crate::{Position, SequenceNumber, ShardId, ShardInfo};

/// What ids of shards begin with.
const SHARD_PREFIX: &str = "shardId-";

/// A row of such a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldRow {
    /// `leaseKey`.
    pub key: String,
    /// `checkpoint`: a sequence number, or a word.
    pub checkpoint: Option<String>,
    /// `checkpointSubSequenceNumber`.
    pub sub: Option<u32>,
}

/// How far a shard was consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldPosition {
    /// Not at all: it begins at its first record.
    First,
    /// To here.
    At(Position),
    /// To its end.
    ShardEnd,
}

/// Why rows cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row `{key}`: checkpoint `{value}` {why}")]
pub struct OldRowError {
    /// `leaseKey`.
    pub key: String,
    /// `checkpoint`.
    pub value: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// What the connectors for Presto and Hive kept of a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrestoRows {
    /// The iteration.
    pub iteration: u64,
    /// Shards; those without a row in the iteration by their latest row before it.
    pub shards: BTreeMap<ShardId, OldPosition>,
}

/// The rows of a consumer in one iteration, the latest if none is named; `None` if there is none.
///
/// # Errors
/// A row whose checkpoint is none.
pub fn presto_rows(rows: &[OldRow], name: &str, stream: &str, iteration: Option<u64>) -> Result<Option<PrestoRows>, OldRowError> {
    let prefix = format!("{name}_{stream}_");
    let mut by_shard: BTreeMap<&str, BTreeMap<u64, &OldRow>> = BTreeMap::new();
    for row in rows {
        // names may hold underscores, so the ends are taken off
        let parts = row.key.strip_prefix(&prefix).and_then(|rest| rest.rsplit_once('_'));
        // `a_s_` begins keys of checkpoint `a_s_b` too
        if let Some((shard, number)) = parts
            && shard.starts_with(SHARD_PREFIX)
            && let Ok(number) = number.parse()
        {
            by_shard.entry(shard).or_default().insert(number, row);
        }
    }
    let numbers = || by_shard.values().flat_map(|rows| rows.keys().copied());
    let wanted = match iteration {
        Some(wanted) => numbers().any(|number| number == wanted).then_some(wanted),
        None => numbers().max(),
    };
    let Some(iteration) = wanted else { return Ok(None) };
    let mut shards = BTreeMap::new();
    for (shard, rows) in by_shard {
        if let Some((_, row)) = rows.range(..=iteration).next_back() {
            // these connectors read records as they came, aggregated or not
            shards.insert(ShardId::from(shard), OldPosition::At(Position::after_record(sequence(row)?)));
        }
    }
    Ok(Some(PrestoRows { iteration, shards }))
}

/// How far each shard of a stream was consumed, by a lease table. An application of several streams has keys `account:stream:created:shard`; of a stream
/// that was created anew the newer ones count.
///
/// # Errors
/// A row whose checkpoint is no position: LATEST and AT_TIMESTAMP say where to begin, not what was consumed.
pub fn lease_rows(rows: &[OldRow], stream: &str) -> Result<BTreeMap<ShardId, OldPosition>, OldRowError> {
    let mut newest: BTreeMap<&str, (u64, &OldRow)> = BTreeMap::new();
    for row in rows {
        let (created, shard) = match row.key.rsplit_once(':') {
            None => (0, row.key.as_str()),
            Some((of, shard)) => match of.split(':').collect::<Vec<_>>().as_slice() {
                [_, name, created] if *name == stream => (created.parse().unwrap_or(0), shard),
                _ => continue,
            },
        };
        let known = newest.entry(shard).or_insert((created, row));
        if created > known.0 {
            *known = (created, row);
        }
    }
    let position = |(shard, (_, row)): (&str, (u64, &OldRow))| Ok((ShardId::from(shard), lease(row)?));
    newest.into_iter().map(position).collect()
}

fn lease(row: &OldRow) -> Result<OldPosition, OldRowError> {
    Ok(match row.checkpoint.as_deref() {
        Some("TRIM_HORIZON") => OldPosition::First,
        Some("SHARD_END") => OldPosition::ShardEnd,
        Some("LATEST" | "AT_TIMESTAMP") => {
            return Err(refused(
                row,
                "is where to begin, not what was consumed: let the application write a checkpoint first",
            ));
        }
        _ => OldPosition::At(Position::After(sequence(row)?, row.sub.unwrap_or(0))),
    })
}

/// Adds the shards that were consumed whole, and whose lease is gone for that.
///
/// The library drops the lease of a shard that it has finished once the leases of its children are at work, and a child waits for its parent only as
/// long as that has a lease (`LeaseCleanupManager`, `BlockOnParentShardTask`). Without a lease, and with children that have one, a shard is therefore
/// done with.
pub fn add_finished_parents(leases: &mut BTreeMap<ShardId, OldPosition>, shards: &[ShardInfo]) {
    let by_id: BTreeMap<&ShardId, &ShardInfo> = shards.iter().map(|shard| (&shard.id, shard)).collect();
    let mut children: Vec<ShardId> = leases.keys().cloned().collect();
    while let Some(child) = children.pop() {
        let Some(child) = by_id.get(&child) else { continue };
        for parent in child.parent.iter().chain(&child.adjacent_parent) {
            if by_id.contains_key(parent) && !leases.contains_key(parent) {
                leases.insert(parent.clone(), OldPosition::ShardEnd);
                children.push(parent.clone());
            }
        }
    }
}

/// A sequence number, plain or as a later version of the connector wrote it: `{SequenceNumber: 49…,SubsequenceNumber: 0}`.
fn sequence(row: &OldRow) -> Result<SequenceNumber, OldRowError> {
    let text = row.checkpoint.as_deref().unwrap_or_default().trim();
    let number = match text.strip_prefix("{SequenceNumber:") {
        Some(rest) => rest.split(',').next().unwrap_or_default().trim(),
        None => text,
    };
    number.parse().map_err(|_| refused(row, "is no sequence number"))
}

fn refused(row: &OldRow, why: &'static str) -> OldRowError {
    OldRowError {
        key: row.key.clone(),
        value: row.checkpoint.clone().unwrap_or_default(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, checkpoint: &str) -> OldRow {
        OldRow {
            key: key.into(),
            checkpoint: Some(checkpoint.into()),
            sub: Some(3),
        }
    }

    fn after(number: u64) -> OldPosition {
        OldPosition::At(Position::after_record(SequenceNumber::from(number)))
    }

    #[test]
    fn rows_of_the_connectors_are_found_by_name_stream_shard_and_iteration() {
        let rows = [
            row("my_job_web_logs_shardId-000000000000_0", "10"),
            row(
                "my_job_web_logs_shardId-000000000000_1",
                "{SequenceNumber: 20,SubsequenceNumber: 0}",
            ),
            row("my_job_web_logs_shardId-000000000001_0", "15"),
            row("my_job_web_logs_shardId-000000000002_2", "40"),
            row("my_job_other_shardId-000000000000_7", "99"),
            row("job_web_logs_shardId-000000000000_8", "98"),
            row("my_job_web_logs_nonsense", "97"),
            row("my_job_web_logs_b_web_logs_shardId-000000000000_9", "96"),
        ];
        let at = |iteration| presto_rows(&rows, "my_job", "web_logs", iteration).unwrap();
        let latest = at(None).unwrap();
        assert_eq!(latest.iteration, 2);
        assert_eq!(
            latest.shards.values().copied().collect::<Vec<_>>(),
            [after(20), after(15), after(40)]
        );
        let first = at(Some(0)).unwrap();
        assert_eq!(first.shards.values().copied().collect::<Vec<_>>(), [after(10), after(15)]);
        assert_eq!(at(Some(5)), None);
        assert_eq!(presto_rows(&rows, "nobody", "web_logs", None), Ok(None));
        let bad = [row("a_s_shardId-0_0", "TRIM_HORIZON")];
        assert!(presto_rows(&bad, "a", "s", None).is_err());
    }

    #[test]
    fn rows_of_a_lease_table_are_positions_or_words() {
        let rows = [
            row("shardId-000000000000", "10"),
            row("shardId-000000000001", "SHARD_END"),
            row("shardId-000000000002", "TRIM_HORIZON"),
        ];
        let shards = lease_rows(&rows, "web").unwrap();
        let inside = OldPosition::At(Position::After(SequenceNumber::from(10), 3));
        assert_eq!(
            shards.values().copied().collect::<Vec<_>>(),
            [inside, OldPosition::ShardEnd, OldPosition::First]
        );
        for word in ["LATEST", "AT_TIMESTAMP", "", "12x"] {
            assert!(lease_rows(&[row("shardId-000000000000", word)], "web").is_err(), "{word}");
        }
        // an application of several streams, one of which was created anew
        let rows = [
            row("123456789012:web:1700000000:shardId-000000000000", "20"),
            row("123456789012:web:1600000000:shardId-000000000000", "10"),
            row("123456789012:other:1800000000:shardId-000000000000", "LATEST"),
        ];
        let inside = OldPosition::At(Position::After(SequenceNumber::from(20), 3));
        let expected = BTreeMap::from([(ShardId::from("shardId-000000000000"), inside)]);
        assert_eq!(lease_rows(&rows, "web").unwrap(), expected);
    }

    #[test]
    fn a_parent_without_a_lease_is_done_with_once_a_child_has_one() {
        let shard = |number: u32| ShardId::from(format!("shardId-{number:012}").as_str());
        let info = |number: u32, parent: Option<u32>, adjacent: Option<u32>| ShardInfo {
            id: shard(number),
            parent: parent.map(shard),
            adjacent_parent: adjacent.map(shard),
            hash_start: 0,
            hash_end: u128::MAX,
            starting_sequence: None,
            ending_sequence: None,
        };
        // 0 was split into 1 and 2, 1 and 3 were merged into 4; 5 was split into 6, whose lease does not exist yet; 9 is gone from the stream
        let shards = [
            info(0, Some(9), None),
            info(1, Some(0), None),
            info(2, Some(0), None),
            info(3, None, None),
            info(4, Some(1), Some(3)),
            info(5, None, None),
            info(6, Some(5), None),
        ];
        let mut leases = BTreeMap::from([(shard(3), after(30)), (shard(4), OldPosition::First)]);
        add_finished_parents(&mut leases, &shards);
        let expected = [
            (shard(0), OldPosition::ShardEnd),
            (shard(1), OldPosition::ShardEnd),
            (shard(3), after(30)),
            (shard(4), OldPosition::First),
        ];
        assert_eq!(leases, BTreeMap::from(expected));
    }
}
