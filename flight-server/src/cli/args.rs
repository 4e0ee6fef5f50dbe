//! The command line.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};

use super::datagen::PayloadCompression;
use super::doctor::DoctorArgs;
use super::health::HealthArgs;
use super::sql::login::LoginArgs;
use super::sql::url::ServerUrl;

/// SQL over Amazon Kinesis Data Streams through Arrow Flight SQL.
#[derive(Debug, Parser)]
#[command(name = "shardflight", version, about, propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// How log lines are written (to stderr).
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// Log more: -v debug, -vv trace. RUST_LOG, where set, wins.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try it all on this machine: an embedded stream service, real NASA logs, the query, a server until Ctrl-C.
    Demo(DemoArgs),
    /// Run the server.
    Serve(ServeArgs),
    /// Run SQL on a server: statements, a file, or an interactive prompt.
    Sql(Box<SqlArgs>),
    /// Put the lines of a web server's log into a stream, a record each.
    Datagen(DatagenArgs),
    /// Look after table definitions.
    Catalog(CatalogArgs),
    /// Look after checkpoints: what named consumers have consumed.
    Checkpoints(CheckpointsArgs),
    /// Look after offload jobs: what keeps a lake in step with a stream.
    Offload(OffloadArgs),
    /// Check what a server needs: credentials, permissions, streams, the checkpoint table; and say what reading costs.
    ///
    /// In places where `allow.write` lets statements write, an object is put and deleted again.
    Doctor(DoctorArgs),
    /// Ask a server of this machine whether it can serve: exit code 0 or 1.
    Health(HealthArgs),
    /// Hash a password for `auth.users` of a configuration: asked for, or read from stdin.
    HashPassword,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `shardflight demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Exit after the results are printed.
    #[arg(long)]
    pub(crate) once: bool,
    /// Shards of the stream.
    #[arg(long, value_name = "N", default_value = "4")]
    pub(crate) shards: NonZeroU16,
    /// Push the log this many times.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) repeat: NonZeroU32,
    /// Keep the stream and everything else here, across restarts [default: a temporary directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Flight SQL address; port 0 is a free port [default: 127.0.0.1:32010, with --once a free port].
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Health and metrics address [default: 127.0.0.1:8080, with --once a free port].
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// Address of the embedded stream service, for any AWS SDK or CLI [default: 127.0.0.1:4567, with --once a free port].
    #[arg(long, value_name = "ADDR")]
    pub(crate) kinesis: Option<SocketAddr>,
}

/// `shardflight serve`
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Configuration; every key can also be set as SHARDFLIGHT_KEY or SHARDFLIGHT_SECTION__KEY [default: AWS's default credentials and region,
    /// tables in ./tables].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// `shardflight sql`
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("input").args(["execute", "file"]))]
#[command(group = ArgGroup::new("without_server").args(["config", "endpoint", "region", "profile"]).multiple(true).requires("stream"))]
pub(crate) struct SqlArgs {
    /// The server.
    #[arg(long, value_name = "URL", default_value = "grpc://127.0.0.1:32010")]
    pub(crate) url: ServerUrl,
    /// How to log in.
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    /// Without a server: a stream, by name or ARN, as a table of its name; columns are inferred from a sample. Can be given more than once.
    #[arg(long = "stream", id = "stream", value_name = "NAME", conflicts_with = "url")]
    pub(crate) streams: Vec<String>,
    /// How streams are reached without a server.
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
    /// Statements to run, separated by `;`.
    #[arg(short = 'e', long, visible_short_alias = 'c', value_name = "SQL")]
    pub(crate) execute: Option<String>,
    /// A file of statements, `-` for stdin. Without statements or a file: the prompt, or stdin where it is no terminal.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// How results are written to stdout.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub(crate) format: OutputFormat,
    /// An option for every statement, such as `freshness=cached` (sent as header `x-shardflight-freshness`). Can be given more than once.
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) options: Vec<(String, String)>,
}

/// Form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A drawn table.
    Table,
    /// With header; NULL is empty.
    Csv,
    /// One object a line.
    Json,
    /// An Arrow IPC stream a statement.
    Arrow,
}

/// `shardflight datagen`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("making").args(["create", "recreate"]))]
#[command(group = ArgGroup::new("dry").args(["parse_only", "read_only"]))]
#[command(after_help = "The long options can be written with a single dash too: -f etc/sample_data.txt -create -n nasahttp -s 1")]
pub(crate) struct DatagenArgs {
    /// The log, in Common Log Format.
    #[arg(short = 'f', long, alias = "sample-file", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The stream.
    #[arg(
        short = 'n',
        long,
        alias = "kinesis-stream",
        value_name = "STREAM",
        required_unless_present = "dry"
    )]
    pub(crate) stream: Option<String>,
    /// Make the stream if it is missing.
    #[arg(long)]
    pub(crate) create: bool,
    /// Delete the stream first, with all that is in it, and make it anew.
    #[arg(long)]
    pub(crate) recreate: bool,
    /// Shards of the stream that is made [default: 1].
    #[arg(short = 's', long, alias = "num-shards", value_name = "SHARDS", requires = "making")]
    pub(crate) shards: Option<NonZeroU16>,
    /// PutRecords calls under way at a time.
    #[arg(short = 'w', long, alias = "num-workers", value_name = "WORKERS", default_value = "4")]
    pub(crate) workers: NonZeroUsize,
    /// What a record holds.
    #[arg(long, value_enum, default_value_t = RecordFormat::Json)]
    pub(crate) format: RecordFormat,
    /// Compress each record's payload.
    #[arg(long, value_enum, value_name = "HOW", conflicts_with = "dry")]
    pub(crate) compress: Option<PayloadCompression>,
    /// Put records together as the Kinesis Producer Library does: up to 500 of one shard, and 50 KiB, in one record of the stream.
    #[arg(long, conflicts_with = "dry")]
    pub(crate) aggregate: bool,
    /// Records a second, in all.
    #[arg(long, value_name = "N", value_parser = positive_rate)]
    pub(crate) rate: Option<f64>,
    /// Put the file this many times.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) repeat: NonZeroU32,
    /// Shift all timestamps by the same span, so that the last line is now.
    #[arg(long)]
    pub(crate) shift_time: bool,
    /// Read the stream back and compare key and bytes of every acknowledged record.
    #[arg(long, conflicts_with = "dry")]
    pub(crate) verify: bool,
    /// Parse the file and put nothing.
    #[arg(short = 'p', long)]
    pub(crate) parse_only: bool,
    /// Read the file and do nothing with it.
    #[arg(short = 'r', long)]
    pub(crate) read_only: bool,
    /// Where Kinesis is.
    #[command(flatten)]
    pub(crate) kinesis: KinesisArgs,
}

/// What a record of `datagen` holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecordFormat {
    /// `{host, timestamp, request, code, bytes}`
    #[default]
    Json,
    /// `host,timestamp,request,code,bytes`
    Csv,
    /// The log's line as it is
    Raw,
}

/// `shardflight catalog`
#[derive(Debug, Args)]
pub(crate) struct CatalogArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: CatalogCommand,
}

/// `shardflight checkpoints`
#[derive(Debug, Args)]
pub(crate) struct CheckpointsArgs {
    /// The server's configuration: where checkpoints are kept, the tables, and how Kinesis is reached.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, global = true)]
    pub(crate) format: OutputFormat,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: CheckpointsCommand,
}

/// `shardflight offload`
#[derive(Debug, Args)]
pub(crate) struct OffloadArgs {
    /// The server's configuration: the tables and jobs, where checkpoints are kept, and how Kinesis and the lake are reached.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, global = true)]
    pub(crate) format: OutputFormat,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: OffloadCommand,
}

/// Commands on offload jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum OffloadCommand {
    /// Run a job until it has caught up, and end: for a scheduler. Servers that run it at the same time do no harm.
    Run {
        /// The job.
        job: String,
    },
    /// All jobs, and how far each has come.
    List,
    /// Compare checkpoint, lake and stream of a job; exit code 1 if something is wrong.
    Check {
        /// The job.
        job: String,
    },
}

/// Commands on checkpoints.
#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointsCommand {
    /// All consumers, and how far each has come.
    List,
    /// The kept iterations of a consumer, shard by shard.
    Show {
        /// The checkpoint.
        name: String,
    },
    /// Let a consumer start elsewhere; its open iteration is given up.
    Reset {
        /// The checkpoint.
        name: String,
        /// A table, or its stream's name.
        stream: String,
        /// trim_horizon, latest, a time, an age (-1h), or iteration:N to go on behind a committed iteration.
        #[arg(long, allow_hyphen_values = true)]
        to: String,
    },
    /// Give the open iteration of a consumer up: its records belong to the next one.
    Abandon {
        /// The checkpoint.
        name: String,
        /// A table, or its stream's name.
        stream: String,
    },
    /// Take over what the Presto or Hive connector kept: DynamoDB rows NAME_STREAM_SHARD_N.
    ImportPresto {
        /// The checkpoint, which had the same logical name there.
        name: String,
        /// A table, or its stream's name.
        stream: String,
        /// DynamoDB table [default: named like the stream].
        #[arg(long, value_name = "TABLE")]
        from_table: Option<String>,
        /// The iteration that was consumed last [default: the highest].
        #[arg(long, value_name = "N")]
        iteration: Option<u64>,
        /// Replace a checkpoint that has a past.
        #[arg(long)]
        overwrite: bool,
    },
    /// Take over a lease table of the Kinesis Client Library.
    ImportKcl {
        /// The checkpoint.
        name: String,
        /// A table, or its stream's name.
        stream: String,
        /// DynamoDB table: the application's name.
        #[arg(long, value_name = "TABLE")]
        from_table: String,
        /// Replace a checkpoint that has a past.
        #[arg(long)]
        overwrite: bool,
    },
    /// Forget a consumer.
    Delete {
        /// The checkpoint.
        name: String,
        /// A table, or its stream's name [default: all streams of the consumer].
        stream: Option<String>,
    },
}

/// Commands on table definitions.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Validate a definition, or all of a directory: errors with file, line and column.
    Check {
        /// A definition file or a directory of them.
        path: PathBuf,
    },
    /// Write a table description of the Presto or Trino connector as a definition, to stdout.
    Convert {
        /// The description (JSON).
        file: PathBuf,
    },
    /// Propose a definition from a sample of a stream's records, on stdout.
    Infer(InferArgs),
}

/// `shardflight catalog infer`
#[derive(Debug, Args)]
pub(crate) struct InferArgs {
    /// The stream's name or ARN.
    pub(crate) stream: String,
    /// Records that are looked at.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) sample: NonZeroU32,
    /// Name of the table [default: the stream's].
    #[arg(long, value_name = "NAME", conflicts_with = "merge")]
    pub(crate) table: Option<String>,
    /// A definition that is kept as it is, and extended by fields that it lacks.
    #[arg(long, value_name = "FILE")]
    pub(crate) merge: Option<PathBuf>,
    /// How the stream is reached.
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// How streams are reached without a server.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReachArgs {
    /// Configuration of a server, for what it says of Kinesis.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where Kinesis is.
    #[command(flatten)]
    pub(crate) kinesis: KinesisArgs,
}

/// Where Kinesis is and as whom to call it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct KinesisArgs {
    /// Endpoint of Kinesis or of a service that speaks its protocol.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// AWS region.
    #[arg(long, value_name = "R")]
    pub(crate) region: Option<String>,
    /// Profile of the AWS configuration.
    #[arg(long, value_name = "P")]
    pub(crate) profile: Option<String>,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as freshness=cached".to_owned()),
    }
}

fn positive_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("expected a number of records a second above 0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(super::super::argv::rewrite(line.split(' ').map(std::ffi::OsString::from)))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_articles_command_line_works_verbatim() {
        let cli = parse("shardflight datagen -f etc/sample_data.txt -create -n nasahttp -s 1").unwrap();
        let Command::Datagen(args) = cli.command else {
            panic!("not datagen")
        };
        assert_eq!(args.file, PathBuf::from("etc/sample_data.txt"));
        assert!(args.create && !args.recreate);
        assert_eq!(args.stream.as_deref(), Some("nasahttp"));
        assert_eq!(args.shards.map(NonZeroU16::get), Some(1));
    }

    #[test]
    fn datagen_says_what_is_missing_or_contradicts() {
        let kind = |line: &str| parse(line).unwrap_err().kind();
        assert_eq!(kind("shardflight datagen -n s"), ErrorKind::MissingRequiredArgument);
        assert_eq!(kind("shardflight datagen -f a"), ErrorKind::MissingRequiredArgument);
        assert_eq!(kind("shardflight datagen -f a -n s -s 2"), ErrorKind::MissingRequiredArgument);
        assert_eq!(kind("shardflight datagen -f a -n s -create -recreate"), ErrorKind::ArgumentConflict);
        assert_eq!(kind("shardflight datagen -f a -n s --rate 0"), ErrorKind::ValueValidation);
        assert_eq!(kind("shardflight datagen -f a -p --verify"), ErrorKind::ArgumentConflict);
        assert!(parse("shardflight datagen -f a -p").is_ok());
        assert!(parse("shardflight datagen -f a -r").is_ok());
    }

    #[test]
    fn sql_takes_e_and_c_and_options() {
        for line in ["shardflight sql -e q", "shardflight sql -c q"] {
            let Command::Sql(args) = parse(line).unwrap().command else {
                panic!("not sql")
            };
            assert_eq!(args.execute.as_deref(), Some("q"));
        }
        let Command::Sql(args) = parse("shardflight sql --option start=-1h --option freshness=cached")
            .unwrap()
            .command
        else {
            panic!("not sql")
        };
        assert_eq!(
            args.options,
            [
                ("start".to_owned(), "-1h".to_owned()),
                ("freshness".to_owned(), "cached".to_owned())
            ]
        );
        assert_eq!(
            parse("shardflight sql -e q file.sql").unwrap_err().kind(),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(
            parse("shardflight sql --endpoint http://h:1").unwrap_err().kind(),
            ErrorKind::MissingRequiredArgument
        );
        assert_eq!(
            parse("shardflight sql --url grpc://h:1 --stream s").unwrap_err().kind(),
            ErrorKind::ArgumentConflict
        );
        assert!(parse("shardflight sql --stream s --stream arn:aws:kinesis:r:1:stream/t --endpoint http://h:1 -e q").is_ok());
        assert!(parse("shardflight sql --url grpc+tls://h:1 --user u --password p --tls-ca f --tls-cert c --tls-key k").is_ok());
        assert!(parse("shardflight sql --user u").is_ok());
        for (line, kind) in [
            ("--user u --token t", ErrorKind::ArgumentConflict),
            ("--user u --password p --password-file f", ErrorKind::ArgumentConflict),
            ("--password p", ErrorKind::MissingRequiredArgument),
            ("--tls-cert c", ErrorKind::MissingRequiredArgument),
        ] {
            assert_eq!(parse(&format!("shardflight sql {line}")).unwrap_err().kind(), kind, "{line}");
        }
    }
}
