//! `shardflight sql`: a Flight SQL client on the command line.

mod client;
mod completion;
mod endless;
mod input;
mod interactive;
pub(super) mod login;
mod meta;
pub(super) mod output;
mod results;
mod run;
mod statements;
mod streams;
pub(super) mod url;

use std::io::{IsTerminal, Read};

use anyhow::{Context, bail};

pub(super) use client::Client;
pub(super) use login::Login;
pub(super) use run::{report, statement};

use super::args::SqlArgs;

/// Runs the command.
pub(super) async fn run(args: SqlArgs) -> anyhow::Result<()> {
    let text = match (&args.execute, &args.file) {
        (Some(sql), _) => Some(sql.clone()),
        (None, Some(file)) if file.as_os_str() != "-" => {
            Some(std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?)
        }
        (None, None) if std::io::stdin().is_terminal() => None,
        (None, _) => {
            let mut text = String::new();
            std::io::stdin()
                .lock()
                .read_to_string(&mut text)
                .context("cannot read statements from stdin")?;
            Some(text)
        }
    };
    if args.streams.is_empty() {
        return statements_of(&args, text).await;
    }
    let local = Box::pin(streams::Local::start(&args)).await?;
    let here = SqlArgs { url: local.url(), ..args };
    let ran = statements_of(&here, text).await;
    let stopped = local.stop().await;
    ran.and(stopped)
}

async fn statements_of(args: &SqlArgs, text: Option<String>) -> anyhow::Result<()> {
    match text {
        Some(text) => script(args, &text).await,
        None => Box::pin(interactive::run(args)).await,
    }
}

/// Runs statement after statement in one session; the first that fails ends it.
async fn script(args: &SqlArgs, text: &str) -> anyhow::Result<()> {
    let found = statements::split(text).map_err(|error| anyhow::anyhow!("{error}"))?;
    let statements: Vec<_> = found.ended.into_iter().chain(found.rest).collect();
    if statements.is_empty() {
        bail!("there is no statement; give one with -e, in a file, or on stdin");
    }
    let client = Client::connect(&args.url, &args.options, Login::of(&args.login)?).await?;
    let several = statements.len() > 1;
    for (number, sql) in statements.iter().enumerate() {
        let ran = statement(&client, sql, args.format).await;
        let ran = if several {
            ran.with_context(|| format!("statement {} of {}", number + 1, statements.len()))?
        } else {
            ran?
        };
        report(ran, true);
    }
    Ok(())
}
