//! Who did what: one line an event, without secrets.
//!
//! Lines are JSON. Without a file of their own they go to the server's log, as events of the target `audit`.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use parking_lot::Mutex;
use serde::{Serialize, Serializer};

use super::error::ErrorCategory;

/// Bytes of a statement's text that are taken down.
const SQL_KEPT: usize = 4096;

tokio::task_local! {
    static ORIGIN: Arc<str>;
}

/// Runs a call that came from an address.
pub async fn with_origin<F: Future>(address: Arc<str>, call: F) -> F::Output {
    ORIGIN.scope(address, call).await
}

/// Where the running call came from.
pub fn origin() -> Option<Arc<str>> {
    ORIGIN.try_with(Arc::clone).ok()
}

/// Something that somebody did.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AuditEvent<'a> {
    /// Credentials were shown.
    Login {
        /// Whose they are, or are said to be.
        principal: &'a str,
        /// What they are.
        method: &'a str,
        /// `ok`, `failed`, `throttled`.
        outcome: &'a str,
    },
    /// A session began.
    SessionOpened {
        /// Whose it is.
        principal: &'a str,
        /// Its name.
        session: &'a str,
    },
    /// A session was closed.
    SessionClosed {
        /// Whose it was.
        principal: &'a str,
        /// Its name.
        session: &'a str,
    },
    /// A statement was planned, ran, or was refused.
    Statement {
        /// Whose it is.
        principal: &'a str,
        /// Its id.
        query_id: &'a str,
        /// What it is.
        kind: &'a str,
        /// Tables that it names, as far as that was found out.
        tables: &'a [String],
        /// In how many streams its rows come.
        endpoints: u32,
        /// `planned`, `done`, `failed`, `cancelled`.
        outcome: &'a str,
        /// What kind of failure.
        #[serde(serialize_with = "category", skip_serializing_if = "Option::is_none")]
        error: Option<ErrorCategory>,
        /// Its text: only where that is wanted.
        #[serde(skip_serializing_if = "str::is_empty")]
        sql: &'a str,
    },
    /// A stream of a statement's rows ended.
    Fetch {
        /// Whose it is.
        principal: &'a str,
        /// The statement.
        query_id: &'a str,
        /// Which stream; none, if it could not begin.
        #[serde(skip_serializing_if = "Option::is_none")]
        endpoint: Option<u32>,
        /// `done`, `failed`, `cancelled`.
        outcome: &'a str,
        /// What kind of failure.
        #[serde(serialize_with = "category", skip_serializing_if = "Option::is_none")]
        error: Option<ErrorCategory>,
        /// Rows given.
        rows: u64,
        /// Bytes read for them.
        bytes: u64,
    },
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn category<S: Serializer>(category: &Option<ErrorCategory>, serializer: S) -> Result<S::Ok, S::Error> {
    match category {
        Some(category) => serializer.collect_str(&format_args!("{category:?}")),
        None => serializer.serialize_none(),
    }
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(flatten)]
    event: &'a AuditEvent<'a>,
}

#[derive(Debug)]
enum Sink {
    Off,
    Log,
    File { path: PathBuf, file: Mutex<File> },
}

/// Where events are taken down.
#[derive(Debug)]
pub struct AuditLog {
    sink: Sink,
    sql: bool,
}

impl AuditLog {
    /// Nowhere.
    pub fn off() -> Arc<Self> {
        Arc::new(Self {
            sink: Sink::Off,
            sql: false,
        })
    }

    /// In the server's log. `sql`: with the text of statements.
    pub fn to_log(sql: bool) -> Arc<Self> {
        Arc::new(Self { sink: Sink::Log, sql })
    }

    /// At the end of a file of its own.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub fn to_file(path: &Path, sql: bool) -> io::Result<Arc<Self>> {
        let file = Mutex::new(append(path)?);
        let path = path.to_owned();
        Ok(Arc::new(Self {
            sink: Sink::File { path, file },
            sql,
        }))
    }

    /// Opens the file by its name again: somebody may have renamed it.
    ///
    /// # Errors
    /// The file cannot be opened or made; the one that is open is written to.
    pub fn reopen(&self) -> io::Result<()> {
        if let Sink::File { path, file } = &self.sink {
            *file.lock() = append(path)?;
        }
        Ok(())
    }

    /// Takes an event of the running call down.
    pub fn record(&self, event: &AuditEvent<'_>) {
        if !matches!(self.sink, Sink::Off) {
            self.record_from(origin().as_deref(), event);
        }
    }

    /// Takes an event down that came from an address.
    pub fn record_from(&self, address: Option<&str>, event: &AuditEvent<'_>) {
        if matches!(self.sink, Sink::Off) {
            return;
        }
        let event = &self.shown(event);
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let line = match serde_json::to_string(&Line { time, address, event }) {
            Ok(line) => line,
            Err(error) => return tracing::error!(%error, "an audit event cannot be written"),
        };
        match &self.sink {
            Sink::Off => {}
            Sink::Log => tracing::info!(target: "audit", "{line}"),
            Sink::File { path, file } => {
                // In one call, so that lines of processes that share the file stay whole.
                if let Err(error) = file.lock().write_all(format!("{line}\n").as_bytes()) {
                    tracing::error!(path = %path.display(), %error, lost = %line, "the audit log cannot be written");
                }
            }
        }
    }

    /// The event with as much of its text as is wanted.
    fn shown<'a>(&self, event: &AuditEvent<'a>) -> AuditEvent<'a> {
        let mut shown = *event;
        if let AuditEvent::Statement { sql, .. } = &mut shown {
            *sql = if self.sql { &sql[..sql.floor_char_boundary(SQL_KEPT)] } else { "" };
        }
        shown
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(sql: &str) -> AuditEvent<'_> {
        AuditEvent::Statement {
            principal: "ann",
            query_id: "q",
            kind: "query",
            tables: &[],
            endpoints: 1,
            outcome: "failed",
            error: Some(ErrorCategory::NotFound),
            sql,
        }
    }

    #[tokio::test]
    async fn lines_are_json_with_address_and_the_text_only_where_it_is_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let quiet = AuditLog::to_file(&path, false).unwrap();
        with_origin("192.0.2.1:5".into(), async { quiet.record(&statement("select 'secret'")) }).await;
        AuditLog::to_file(&path, true).unwrap().record(&statement("select 1"));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (&lines[0]["event"], &lines[0]["address"]),
            (&"statement".into(), &"192.0.2.1:5".into())
        );
        assert_eq!((&lines[0]["principal"], &lines[0]["error"]), (&"ann".into(), &"NotFound".into()));
        assert!(lines[0].get("sql").is_none(), "{text}");
        assert_eq!(lines[1]["sql"], "select 1");
        assert!(lines[1].get("address").is_none());
    }

    #[test]
    fn a_renamed_file_is_left_alone_once_it_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("audit.log"), directory.path().join("audit.log.1"));
        let audit = AuditLog::to_file(&path, false).unwrap();
        audit.record(&statement(""));
        std::fs::rename(&path, &old).unwrap();
        audit.record(&statement(""));
        audit.reopen().unwrap();
        audit.record(&statement(""));
        let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
        assert_eq!((lines(&old), lines(&path)), (2, 1));
    }
}
