//! `shardflight checkpoints`: the store that a configuration names, without a server.

mod import;

use std::sync::Arc;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use shard_reader::Readers;

use super::args::{CheckpointsArgs, CheckpointsCommand, OutputFormat};
use super::serve::{readers, settings};
use super::server::engine_config;
use super::sql::output::Printer;
use super::{catalog_files, checkpoint_store, stdout};
use crate::config::Config;
use crate::engine::{Engine, KinesisSources, Planned, Principal, Session, SessionId, StatementRequest};

/// Runs the command as the statement that a server would be sent.
pub(super) async fn run(args: &CheckpointsArgs) -> anyhow::Result<()> {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut config = Config::load(args.config.as_deref(), variables)?;
    let directory = tempfile::Builder::new()
        .prefix("shardflight-")
        .tempdir()
        .context("cannot make a temporary directory")?;
    // a server may be using its own
    config.query.spill = Some(directory.path().to_owned());
    let catalog = catalog_files::open(&config).await?;
    let readers = Readers::new(readers(&config));
    let sources = Arc::new(KinesisSources::new(settings(&config.kinesis)));
    let store = checkpoint_store::build(&config).await?;
    let engine = Engine::new(engine_config(&config)?, catalog, Arc::clone(&readers), sources, store)?;
    let answered = match statement(&args.command) {
        Some(statement) => Box::pin(answer(&engine, statement)).await,
        None => Box::pin(import::run(&engine, &config, &args.command)).await,
    };
    readers.shutdown().await;
    print(args.format, answered?)
}

/// Rows, to stdout.
pub(super) fn print(format: OutputFormat, (schema, batches): (SchemaRef, Vec<RecordBatch>)) -> anyhow::Result<()> {
    let mut printer = Printer::new(format, &schema, false)?;
    for batch in batches {
        stdout::write(&printer.batch(batch)?)?;
    }
    Ok(stdout::write(&printer.finish()?)?)
}

/// Who runs the program: for what the store remembers of who did what.
fn os_user() -> Principal {
    let named = ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty());
    named.map_or_else(Principal::anonymous, |name| Principal(format!("os:{name}").into()))
}

/// What a statement gives.
pub(super) async fn answer(engine: &Arc<Engine>, sql: String) -> anyhow::Result<(SchemaRef, Vec<RecordBatch>)> {
    let session = Session::new(SessionId("checkpoints".into()), os_user());
    let request = StatementRequest::new(sql);
    match engine.plan(&session, request).await? {
        Planned::Done(done) => Ok((done.schema, done.batches)),
        Planned::Query(query) => {
            let mut batches = Vec::new();
            for part in query.parts {
                let rows: Vec<RecordBatch> = engine.execute(part).await?.batches.try_collect().await?;
                batches.extend(rows);
            }
            Ok((query.schema, batches))
        }
    }
}

/// The statement that does it, where one does.
fn statement(command: &CheckpointsCommand) -> Option<String> {
    Some(match command {
        CheckpointsCommand::ImportPresto { .. } | CheckpointsCommand::ImportKcl { .. } => return None,
        CheckpointsCommand::List => "select * from kinesis.system.checkpoints order by checkpoint, stream".into(),
        CheckpointsCommand::Show { name } => format!(
            "select * from kinesis.system.iterations where checkpoint = {} order by stream, iteration, shard",
            quoted(name)
        ),
        CheckpointsCommand::Reset { name, stream, to } => call("reset_checkpoint", &[name, stream, to]),
        CheckpointsCommand::Abandon { name, stream } => call("abandon_iteration", &[name, stream]),
        CheckpointsCommand::Delete { name, stream } => {
            let arguments: Vec<&str> = std::iter::once(name.as_str()).chain(stream.as_deref()).collect();
            call("delete_checkpoint", &arguments)
        }
    })
}

fn call(procedure: &str, arguments: &[impl AsRef<str>]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|argument| quoted(argument.as_ref())).collect();
    format!("call kinesis.system.{procedure}({})", arguments.join(", "))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        let delete = |stream: Option<&str>| {
            statement(&CheckpointsCommand::Delete {
                name: "o'clock".into(),
                stream: stream.map(str::to_owned),
            })
        };
        assert_eq!(delete(None).as_deref(), Some("call kinesis.system.delete_checkpoint('o''clock')"));
        assert_eq!(
            delete(Some("s")).as_deref(),
            Some("call kinesis.system.delete_checkpoint('o''clock', 's')")
        );
    }
}
