//! Checkpoints of other systems.

use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use shard_reader::WallClock;
use shard_reader::checkpoints::{DynamoDbCheckpoints, OldRow, lease_rows, presto_rows};

use super::super::checkpoint_store::dynamodb_settings;
use super::os_user;
use crate::cli::args::CheckpointsCommand;
use crate::config::Config;
use crate::engine::{Engine, OldPositions};

/// Reads the old table, which is where the configuration's own would be, and writes the checkpoint.
pub(super) async fn run(
    engine: &Arc<Engine>,
    config: &Config,
    command: &CheckpointsCommand,
) -> anyhow::Result<(SchemaRef, Vec<RecordBatch>)> {
    let (name, stream, old, overwrite) = match command {
        CheckpointsCommand::ImportPresto {
            name,
            stream,
            from_table,
            iteration,
            overwrite,
        } => {
            let stream_name = engine.stream_name(stream)?;
            let table = from_table.as_deref().unwrap_or(&stream_name);
            let rows = rows(config, table).await?;
            let found = presto_rows(&rows, name, &stream_name, *iteration)?;
            let found = found.with_context(|| format!("table {table} has no such rows of `{name}` and stream {stream_name}"))?;
            let old = OldPositions {
                shards: found.shards,
                are_leases: false,
            };
            (name, stream, old, *overwrite)
        }
        CheckpointsCommand::ImportKcl {
            name,
            stream,
            from_table,
            overwrite,
        } => {
            let rows = rows(config, from_table).await?;
            let shards = lease_rows(&rows, &engine.stream_name(stream)?)?;
            if shards.is_empty() {
                bail!("table {from_table} has no leases of the stream");
            }
            let old = OldPositions { shards, are_leases: true };
            (name, stream, old, *overwrite)
        }
        _ => bail!("no import"),
    };
    let principal = os_user().to_string();
    let done = engine.import_checkpoint(&principal, name, stream, old, overwrite).await?;
    let text = |text: String| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("checkpoint", text(done.consumer.name.to_string())),
        ("stream", text(done.consumer.stream.to_string())),
        ("next_iteration", text(done.next.map_or_else(String::new, |next| next.to_string()))),
        ("done", text(done.done)),
    ])?;
    Ok((batch.schema(), vec![batch]))
}

async fn rows(config: &Config, table: &str) -> anyhow::Result<Vec<OldRow>> {
    let settings = dynamodb_settings(config);
    let store = DynamoDbCheckpoints::connect(&settings, config.checkpoints.keep, WallClock::default()).await?;
    Ok(store.old_rows(table).await?)
}
