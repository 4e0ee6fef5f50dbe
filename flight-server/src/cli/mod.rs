//! The program `shardflight`: its commands, and what they print.
//!
//! Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 usage.

mod args;
mod argv;
mod backend;
mod catalog_check;
mod catalog_convert;
mod catalog_files;
mod catalog_infer;
mod checkpoint_store;
mod checkpoints;
mod cluster;
mod datagen;
mod demo;
mod demo_clients;
mod demo_data;
mod doctor;
mod file_stores;
mod health;
mod local_engine;
mod logging;
mod object_storage;
mod offload;
mod offloads;
mod password;
mod reader_facts;
mod registry;
mod security;
mod segments;
mod serve;
mod server;
mod signals;
mod sql;
mod stdout;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use self::args::{CatalogCommand, Cli, Command, OffloadCommand};

/// For threads that wait for a disk or a name server when all else has ended.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    crate::tls_provider::settle();
    let cli = match Cli::try_parse_from(argv::rewrite(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with code 0, usage errors to stderr with 2; if neither can be written, the code still tells.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if stdout::is_closed() => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if stderr is closed too.
            drop(writeln!(std::io::stderr().lock(), "error: {}", in_one_line(&error)));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let level = match &cli.command {
        Command::Sql(_) | Command::Checkpoints(_) | Command::Doctor(_) | Command::Health(_) | Command::HashPassword => "warn",
        Command::Offload(args) if !matches!(args.command, OffloadCommand::Run { .. }) => "warn",
        _ => "info",
    };
    logging::start(cli.log_format, cli.verbose, level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Sql(args) => Box::pin(sql::run(*args)).await,
            Command::Datagen(args) => Box::pin(datagen::run(&args)).await,
            Command::Catalog(args) => match args.command {
                CatalogCommand::Check { path } => catalog_check::run(&path).await,
                CatalogCommand::Convert { file } => catalog_convert::run(&file),
                CatalogCommand::Infer(args) => Box::pin(catalog_infer::run(&args)).await,
            },
            Command::Doctor(args) => Box::pin(doctor::run(&args)).await,
            Command::Health(args) => health::run(&args).await,
            Command::HashPassword => password::run(),
            Command::Checkpoints(args) => Box::pin(checkpoints::run(&args)).await,
            Command::Offload(args) => Box::pin(offload::run(&args)).await,
            Command::Demo(args) => Box::pin(demo::run(&args)).await,
            Command::Serve(args) => Box::pin(serve::run(&args)).await,
        }
    });
    // What still runs in the background must not hold up the end.
    runtime.shutdown_timeout(SHUTDOWN);
    outcome
}

/// The whole chain, without the repetitions that come of errors that print their source themselves.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !line.contains(&text) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&text);
        }
    }
    line.split('\n')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    #[test]
    fn a_chain_is_one_line_without_repetition() {
        let error = Err::<(), _>(std::io::Error::other("disk is full\nreally"))
            .context("cannot write x: disk is full\nreally")
            .context("saving");
        assert_eq!(
            super::in_one_line(&error.unwrap_err()),
            "saving: cannot write x: disk is full; really"
        );
    }
}
