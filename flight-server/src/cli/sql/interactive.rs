//! The prompt.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use super::client::Client;
use super::completion::Prompt;
use super::input::{self, HELP, Input};
use super::login::Login;
use super::meta;
use super::run::{report, statement};
use crate::cli::args::{OutputFormat, SqlArgs};
use crate::cli::{in_one_line, stdout};

const PROMPT: &str = "shardflight> ";
const HISTORY_ENTRIES: usize = 10_000;

/// Reads and runs until `\q` or Ctrl-D. Ctrl-C ends a running statement, not the program.
pub(super) async fn run(args: &SqlArgs) -> anyhow::Result<()> {
    let client = Client::connect(&args.url, &args.options, Login::of(&args.login)?).await?;
    let mut editor = editor()?;
    let history = history_file();
    if let Some(history) = &history
        && let Err(error) = editor.load_history(history)
        && history.exists()
    {
        say(&format!("history {} cannot be read: {error}", history.display()));
    }
    let mut shell = Shell {
        client,
        format: args.format,
        timing: true,
        last: None,
    };
    shell.learn(&mut editor).await;
    say(&format!("connected to {}; \\? for help", args.url));
    loop {
        // The editor waits for keys; the runtime's other threads go on meanwhile.
        let line = match tokio::task::block_in_place(|| editor.readline(PROMPT)) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("cannot read from the terminal"),
        };
        if !line.trim().is_empty() {
            editor.add_history_entry(line.trim())?;
        }
        match input::parse(&line) {
            Ok(Input::Quit) => break,
            Ok(input) => match shell.run(input, &mut editor).await {
                Err(_) if stdout::is_closed() => break,
                Err(error) => say(&format!("error: {}", in_one_line(&error))),
                Ok(()) => {}
            },
            Err(message) => say(&format!("error: {message}")),
        }
    }
    if let Some(history) = &history {
        save(&mut editor, history)?;
    }
    Ok(())
}

type Terminal = Editor<Prompt, FileHistory>;

fn editor() -> anyhow::Result<Terminal> {
    let config = Config::builder()
        .max_history_size(HISTORY_ENTRIES)?
        .history_ignore_dups(true)?
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config).context("cannot use the terminal")?;
    editor.set_helper(Some(Prompt::default()));
    Ok(editor)
}

/// `$XDG_STATE_HOME/shardflight/history`, by default below `~/.local/state`; None where there is no home.
fn history_file() -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(absolute);
    let state = state.or_else(|| std::env::home_dir().filter(absolute).map(|home| home.join(".local/state")));
    state.map(|state| state.join("shardflight/history"))
}

fn save(editor: &mut Terminal, history: &std::path::Path) -> anyhow::Result<()> {
    let context = || format!("cannot save the history to {}", history.display());
    if let Some(directory) = history.parent() {
        std::fs::create_dir_all(directory).with_context(context)?;
    }
    editor.save_history(history).with_context(context)
}

struct Shell {
    client: Client,
    format: OutputFormat,
    timing: bool,
    last: Option<String>,
}

impl Shell {
    async fn run(&mut self, input: Input, editor: &mut Terminal) -> anyhow::Result<()> {
        match input {
            Input::Statements(statements) => {
                for sql in statements {
                    self.last = Some(sql.clone());
                    if self.statement(&sql).await?.is_none() {
                        break;
                    }
                }
            }
            Input::Tables => stdout::write(meta::list(&self.learn_or_fail(editor).await?).as_bytes())?,
            Input::Describe(name) => {
                let tables = self.learn_or_fail(editor).await?;
                let text =
                    meta::describe(&tables, &name).with_context(|| format!("there is no table `{name}`; \\d lists those there are"))?;
                stdout::write(text.as_bytes())?;
            }
            Input::Timing => {
                self.timing = !self.timing;
                say(if self.timing { "times are shown" } else { "times are not shown" });
            }
            Input::Watch(interval) => self.watch(interval).await?,
            Input::Help => stdout::write(HELP.as_bytes())?,
            Input::Quit | Input::Nothing => {}
        }
        Ok(())
    }

    /// None if Ctrl-C ended it; what the server does for it ends too.
    async fn statement(&self, sql: &str) -> anyhow::Result<Option<()>> {
        tokio::select! {
            ran = statement(&self.client, sql, self.format) => {
                report(ran?, self.timing);
                Ok(Some(()))
            }
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                say("interrupted");
                Ok(None)
            }
        }
    }

    async fn watch(&self, interval: Duration) -> anyhow::Result<()> {
        let sql = self.last.as_deref().context("there is no statement to watch yet")?;
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
            }
            say(&format!("{} (every {:?})", chrono::Local::now().format("%F %T"), interval));
            if self.statement(sql).await?.is_none() {
                return Ok(());
            }
        }
    }

    async fn learn_or_fail(&self, editor: &mut Terminal) -> anyhow::Result<Vec<meta::Table>> {
        let tables = meta::tables(&self.client).await?;
        if let Some(prompt) = editor.helper_mut() {
            prompt.learn(&tables);
        }
        Ok(tables)
    }

    /// Completion is a convenience: without it the prompt works too, and says why.
    async fn learn(&self, editor: &mut Terminal) {
        if let Err(error) = self.learn_or_fail(editor).await {
            say(&format!("no completion of tables and columns: {}", in_one_line(&error)));
        }
    }
}

fn say(line: &str) {
    // Whoever closed stderr does not want to know.
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
