//! Why a row is bad, in words.

use crate::ColumnDefinition;

/// Characters of a refused value that an error shows.
const SHOWN: usize = 64;

/// Why a row is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Row in the run.
    pub row: usize,
    /// Path and reason, as `_message_error` shows it.
    pub error: String,
}

pub(super) fn path_text(column: &ColumnDefinition) -> String {
    match (&column.raw, column.index) {
        (Some(_), _) => column.name.clone(),
        (None, Some(index)) => format!("field {index}"),
        (None, None) if column.path.is_empty() => "/".to_owned(),
        (None, None) => column.path.join("/"),
    }
}

/// A value as an error shows it: shortened, and in quotes unless JSON would write it without.
pub(super) fn shown(text: &str) -> String {
    let bare =
        matches!(text, "true" | "false") || text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && text.parse::<f64>().is_ok();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None if bare => text.to_owned(),
        None => format!("{text:?}"),
    }
}

/// One verdict a row, in row order; reasons of one row in the order of its columns.
pub(super) fn by_row(mut verdicts: Vec<BadRecord>) -> Vec<BadRecord> {
    verdicts.sort_by_key(|bad| bad.row);
    verdicts.dedup_by(|later, kept| {
        let same = later.row == kept.row;
        if same {
            kept.error.push_str("; ");
            kept.error.push_str(&later.error);
        }
        same
    });
    verdicts
}
