//! `shardflight offload`: the jobs that a configuration names, without a server.

use std::sync::Arc;

use anyhow::Context;
use shard_reader::Readers;

use super::args::{OffloadArgs, OffloadCommand};
use super::serve::{readers, settings};
use super::server::engine_config;
use super::signals::StopSignal;
use super::{catalog_files, checkpoint_store, checkpoints, offloads, stdout};
use crate::config::Config;
use crate::engine::{Alone, Engine, KinesisSources};
use crate::offload::Jobs;

/// Runs the command.
pub(super) async fn run(args: &OffloadArgs) -> anyhow::Result<()> {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut config = Config::load(args.config.as_deref(), variables)?;
    let directory = tempfile::Builder::new()
        .prefix("shardflight-")
        .tempdir()
        .context("cannot make a temporary directory")?;
    // a server may be using its own
    config.query.spill = Some(directory.path().to_owned());
    let mut stop = StopSignal::listen()?;
    let catalog = catalog_files::open(&config).await?;
    let readers = Readers::new(readers(&config));
    let sources = Arc::new(KinesisSources::new(settings(&config.kinesis)));
    let store = checkpoint_store::build(&config).await?;
    let engine = Engine::new(engine_config(&config)?, catalog, Arc::clone(&readers), sources, store)?;
    let jobs = offloads::jobs(&config, &engine, Arc::new(Alone), offloads::files(&config).await?)?;
    let done = tokio::select! {
        done = Box::pin(command(args, &engine, &jobs)) => done,
        () = stop.received() => Err(anyhow::anyhow!("stopped by a signal; what was under way is done by the next run")),
    };
    readers.shutdown().await;
    done
}

async fn command(args: &OffloadArgs, engine: &Arc<Engine>, jobs: &Arc<Jobs>) -> anyhow::Result<()> {
    match &args.command {
        OffloadCommand::Run { job } => {
            let (mut iterations, mut rows, mut files, mut bytes, mut bad) = (0_u64, 0, 0, 0, 0);
            jobs.run_once(job, |stepped| {
                iterations += 1;
                rows += stepped.rows;
                files += stepped.files;
                bytes += stepped.bytes;
                bad += stepped.bad_records;
            })
            .await?;
            Ok(stdout::write(
                format!("{job}: {iterations} iterations, {rows} rows, {files} files, {bytes} bytes, {bad} bad records\n").as_bytes(),
            )?)
        }
        OffloadCommand::List => {
            let sql = "select * from kinesis.system.offloads order by name";
            checkpoints::print(args.format, checkpoints::answer(engine, sql.into()).await?)
        }
        OffloadCommand::Check { job } => {
            let findings = jobs.check(job).await?;
            for finding in &findings {
                let mark = if finding.is_right { "ok   " } else { "WRONG" };
                stdout::write(format!("{mark} {}\n", finding.text).as_bytes())?;
            }
            match findings.iter().filter(|finding| !finding.is_right).count() {
                0 => Ok(()),
                wrong => Err(anyhow::anyhow!("offload {job}: {wrong} of {} findings are wrong", findings.len())),
            }
        }
    }
}
