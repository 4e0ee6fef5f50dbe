//! The progress bar, where stderr is a terminal, and lines that are no record.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::load::Observer;

/// Longest part of an unparsable line that is shown.
const SHOWN_CHARS: usize = 1000;

/// Shows on stderr how far a load is.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Of so many bytes in all.
    pub(crate) fn new(bytes: u64) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {binary_bytes}/{binary_total_bytes} {elapsed} (left: {eta})") {
            bar.set_style(style);
        }
        Self { bar }
    }
}

impl Observer for Progress {
    fn consumed(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    fn unparsable(&mut self, number: u64, line: &str) {
        let shown: String = line.chars().take(SHOWN_CHARS).collect();
        // Whoever closed stderr does not want to read it; the count in the report stands.
        self.bar.suspend(|| {
            drop(writeln!(
                std::io::stderr().lock(),
                "unable to parse line {number}: {}",
                shown.trim_end()
            ))
        });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
