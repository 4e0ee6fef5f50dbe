//! Passwords: asked for at a terminal, hashed for the configuration.

use std::borrow::Cow;
use std::io::{BufRead, IsTerminal};

use anyhow::{Context, bail, ensure};
use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Editor, Helper};

use super::stdout;
use crate::service::hash_password;

/// `shardflight hash-password`: a password from the terminal or stdin, its hash to stdout.
pub(super) fn run() -> anyhow::Result<()> {
    let password = match std::io::stdin().is_terminal() {
        true => {
            let password = ask("password: ")?;
            ensure!(ask("once more: ")? == password, "the passwords differ");
            password
        }
        false => {
            let mut line = String::new();
            std::io::stdin()
                .lock()
                .read_line(&mut line)
                .context("cannot read the password from stdin")?;
            line.trim_end_matches(['\n', '\r']).to_owned()
        }
    };
    ensure!(!password.is_empty(), "the password is empty");
    ensure!(password.len() <= 1024, "the password is longer than 1024 bytes");
    Ok(stdout::write(format!("{}\n", hash_password(&password)?).as_bytes())?)
}

/// Asks at the terminal; what is typed is not shown.
pub(super) fn ask(prompt: &str) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("a password is needed, and there is no terminal to ask at");
    }
    let mut editor: Editor<Masked, DefaultHistory> = Editor::new().context("cannot use the terminal")?;
    editor.set_helper(Some(Masked));
    editor.readline(prompt).context("cannot read from the terminal")
}

/// Shows stars.
#[derive(Debug)]
struct Masked;

impl Completer for Masked {
    type Candidate = String;
}

impl Hinter for Masked {
    type Hint = String;
}

impl Validator for Masked {}
impl Helper for Masked {}

impl Highlighter for Masked {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Owned("*".repeat(line.chars().count()))
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }
}
