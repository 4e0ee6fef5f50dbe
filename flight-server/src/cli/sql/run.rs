//! One statement from text to printed rows.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::client::Client;
use super::output::Printer;
use super::results::{Received, Results};
use crate::cli::args::OutputFormat;
use crate::cli::stdout;

/// A statement that answers sooner shows no spinner.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often the spinner moves.
const TICK: Duration = Duration::from_millis(100);

/// What a statement came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ran {
    /// Rows printed.
    pub(crate) rows: u64,
    /// From sending it to its last row.
    pub(crate) elapsed: Duration,
}

/// Runs `sql` and prints its rows on stdout, with a spinner on stderr where that is a terminal.
pub(crate) async fn statement(client: &Client, sql: &str, format: OutputFormat) -> anyhow::Result<Ran> {
    let started = Instant::now();
    let mut spinner = Spinner::new();
    let answer = spinner.during(&Received::default(), client.plan(sql)).await?;
    let follows = answer.follows;
    let mut results = Results::fetch(client, answer);
    let received = results.received();
    let mut printer = Printer::new(format, results.schema(), follows)?;
    while let Some(batch) = spinner.during(&received, results.next()).await? {
        let bytes = printer.batch(batch)?;
        if !bytes.is_empty() {
            spinner.write(&bytes)?;
        }
    }
    let bytes = printer.finish()?;
    drop(spinner);
    stdout::write(&bytes)?;
    if let Some(error) = results.incomplete() {
        return Err(error.into());
    }
    Ok(Ran {
        rows: received.rows.load(Ordering::Relaxed),
        elapsed: started.elapsed(),
    })
}

/// `(2 rows, 0.012 s)` on stderr.
pub(crate) fn report(ran: Ran, timing: bool) {
    let rows = if ran.rows == 1 {
        "1 row".to_owned()
    } else {
        format!("{} rows", ran.rows)
    };
    let seconds = if timing {
        format!(", {:.3} s", ran.elapsed.as_secs_f64())
    } else {
        String::new()
    };
    // Whoever closed stderr does not want to know.
    drop(writeln!(std::io::stderr().lock(), "({rows}{seconds})"));
}

struct Spinner {
    bar: ProgressBar,
    tick: Interval,
}

impl Spinner {
    fn new() -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            bar.set_style(style);
        }
        let mut tick = interval_at(tokio::time::Instant::now() + PATIENCE, TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { bar, tick }
    }

    /// Waits for `work`, and spins meanwhile.
    async fn during<T>(&mut self, received: &Received, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = self.tick.tick() => self.show(received),
            }
        }
    }

    fn show(&self, received: &Received) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut message = format!("{} rows", HumanCount(count(&received.rows)));
        let (cached, read) = (count(&received.bytes_cached), count(&received.bytes_read));
        if cached + read > 0 {
            message.push_str(&format!(", {} cached, {} read", HumanBytes(cached), HumanBytes(read)));
        }
        self.bar.set_message(message);
        self.bar.tick();
    }

    /// Writes rows while the spinner is out of the way.
    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.bar.suspend(|| stdout::write(bytes))
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
