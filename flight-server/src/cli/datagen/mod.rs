//! `shardflight datagen`: a log's lines become records of a stream, every one of them, or it says which not.

mod clf;
mod destination;
mod lines;
mod load;
mod packing;
mod progress;
mod record;
mod report;
mod stream;
mod verify;

use std::num::NonZeroU16;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use shard_reader::{HashRange, KinesisSettings, KinesisSource, ShardSource as _};
use tokio::fs::File;
use tokio::io::BufReader;

pub(super) use destination::Destination;
pub(super) use load::{Load, LoadOptions, Target};
pub(super) use packing::PayloadCompression;
pub(super) use progress::Progress;
pub(super) use stream::{Preparation, Prepared, prepare};

use self::packing::Packer;
use self::report::Report;
use super::args::DatagenArgs;
use super::stdout;

/// Bytes read from the file at a time.
const READ_BUFFER: usize = 1 << 16;

/// Runs the command. Fails if a record was not acknowledged, or with `--verify` not found again.
pub(super) async fn run(args: &DatagenArgs) -> anyhow::Result<()> {
    let size = open(&args.file).await?.metadata().await.with_context(|| in_file(&args.file))?.len();
    let shift = if args.shift_time && !args.read_only {
        shift(&args.file).await?
    } else {
        None
    };
    let target = target(args).await?;
    let destination = if let Target::Put(stream) = &target {
        Some(stream.clone())
    } else {
        None
    };
    let started = Instant::now();
    let mut load = Load::new(
        target,
        LoadOptions {
            workers: args.workers,
            rate: args.rate,
            shift,
            format: args.format,
        },
    );
    if let (Some(destination), true) = (&destination, args.aggregate) {
        load = load.packed(args.compress, Some(packer(destination).await?));
    } else {
        load = load.packed(args.compress, None);
    }
    let progress = Progress::new(size * u64::from(args.repeat.get()));
    let ended = feed(&mut load, args, progress).await;
    let mut totals = load.into_totals().await;
    let seconds = started.elapsed().as_secs_f64();
    let positions = std::mem::take(&mut totals.positions);
    let verified = match (&ended, &destination) {
        (Ok(()), Some(destination)) if args.verify => {
            tracing::info!(stream = destination.stream, records = positions.len(), "reading the stream back");
            Some(verify::verify(&destination.client, &destination.stream, positions).await?)
        }
        _ => None,
    };
    let report = Report {
        totals: &totals,
        put: destination.is_some(),
        parsed: !args.read_only,
        verified,
        seconds,
    };
    stdout::write(report.to_string().as_bytes())?;
    ended?;
    report.verdict()
}

async fn feed(load: &mut Load, args: &DatagenArgs, mut progress: Progress) -> anyhow::Result<()> {
    for _ in 0..args.repeat.get() {
        let input = BufReader::with_capacity(READ_BUFFER, open(&args.file).await?);
        load.feed(input, &mut progress).await.with_context(|| in_file(&args.file))?;
    }
    load.finish().await?;
    Ok(())
}

async fn open(file: &Path) -> anyhow::Result<File> {
    File::open(file).await.with_context(|| format!("cannot open {}", file.display()))
}

fn in_file(file: &Path) -> String {
    format!("in {}", file.display())
}

async fn shift(file: &Path) -> anyhow::Result<Option<chrono::TimeDelta>> {
    let shift = load::shift_to_now(BufReader::with_capacity(READ_BUFFER, open(file).await?))
        .await
        .with_context(|| in_file(file))?;
    if shift.is_none() {
        tracing::warn!(file = %file.display(), "no line has a timestamp, so none is shifted");
    }
    Ok(shift)
}

/// Aggregates for the shards that are open now.
async fn packer(destination: &Destination) -> anyhow::Result<Packer> {
    let source = KinesisSource::with_client(destination.client.clone());
    let shards = source
        .list_shards(&destination.stream)
        .await
        .context("cannot list the shards to aggregate for")?;
    let open = shards.into_iter().filter(|shard| shard.ending_sequence.is_none());
    Ok(Packer::new(open.map(|shard| HashRange {
        start: shard.hash_start,
        end: shard.hash_end,
    })))
}

async fn target(args: &DatagenArgs) -> anyhow::Result<Target> {
    if args.read_only {
        return Ok(Target::Read);
    }
    if args.parse_only {
        return Ok(Target::Parse);
    }
    let Some(stream) = args.stream.clone() else {
        bail!("no stream is named; add -n STREAM")
    };
    let settings = KinesisSettings {
        region: args.kinesis.region.clone(),
        endpoint: args.kinesis.endpoint.clone(),
        profile: args.kinesis.profile.clone(),
        ..KinesisSettings::default()
    };
    let client = settings.client().await?;
    let shards = args.shards.unwrap_or(NonZeroU16::MIN);
    let preparation = match (args.create, args.recreate) {
        (_, true) => Preparation::Recreate(shards),
        (true, _) => Preparation::Create(shards),
        _ => Preparation::Existing,
    };
    match prepare(&client, &stream, preparation).await? {
        Prepared::Existed(open) if args.create && args.shards.is_some_and(|wanted| i32::from(wanted.get()) != open) => {
            tracing::warn!(
                stream,
                shards = open,
                "the stream is there already, with another number of shards; it stays as it is"
            );
        }
        Prepared::Existed(open) => tracing::info!(stream, shards = open, "adding to the stream that is there"),
        Prepared::Created => tracing::info!(stream, shards, "the stream is ready"),
    }
    Ok(Target::Put(Destination::new(client, stream, args.verify)))
}

#[cfg(test)]
mod tests;
