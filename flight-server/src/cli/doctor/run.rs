//! All checks, in order.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use shard_reader::KinesisSettings;

use super::super::args::KinesisArgs;
use super::super::serve::settings;
use super::super::{catalog_files, stdout};
use super::caller::Caller;
use super::clock::ServiceClock;
use super::lake_policy::Lake;
use super::permissions::{self, Wanted};
use super::policy::{Needs, Objects};
use super::reading::Reading;
use super::report::{Outcome, Report};
use super::{call, caller, places, sample, stream, table};
use crate::config::Config;
use crate::engine::KinesisSources;

/// `shardflight doctor`
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// A stream, by name or ARN [default: the streams of all tables of the configuration].
    stream: Option<String>,
    /// The server's configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server also writes: INSERT and ingest.
    #[arg(long)]
    write: bool,
    /// How the findings are written to stdout.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
    /// Where Kinesis is.
    #[command(flatten)]
    kinesis: KinesisArgs,
}

/// Form of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Checks, writes what was found to stdout, and fails if a check did.
pub(crate) async fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut config = Config::load(args.config.as_deref(), variables)?;
    let set = |target: &mut Option<String>, given: &Option<String>| {
        if given.is_some() {
            target.clone_from(given);
        }
    };
    set(&mut config.kinesis.endpoint, &args.kinesis.endpoint);
    set(&mut config.kinesis.region, &args.kinesis.region);
    set(&mut config.kinesis.profile, &args.kinesis.profile);
    let mut report = Report::default();
    let streams = streams(args, &config, &mut report).await;
    let mut needs = Needs {
        write: args.write,
        fan_out: config.reader.fan_out.reader_config().is_some(),
        ..Needs::default()
    };
    let caller = caller::check(&settings(&config.kinesis), "configuration", &mut report).await;
    for (settings, name) in &streams {
        Box::pin(check_stream(&config, args.write, settings, name, &mut needs, &mut report)).await;
    }
    table::check(&config, &mut report).await;
    places::check(&config, &mut report).await;
    note_stores(&config, &caller, &mut needs);
    report.policies = needs.policies()?;
    let text = match args.format {
        Form::Text => report.text()?,
        Form::Json => report.json()?,
    };
    stdout::write(text.as_bytes())?;
    let (failed, all) = (report.failed(), report.findings.len());
    anyhow::ensure!(failed == 0, "{failed} of {all} checks failed");
    Ok(())
}

/// Streams, and how each is reached.
async fn streams(args: &DoctorArgs, config: &Config, report: &mut Report) -> Vec<(KinesisSettings, String)> {
    let base = settings(&config.kinesis);
    if let Some(stream) = &args.stream {
        return vec![(base, stream.clone())];
    }
    let sources = KinesisSources::new(base);
    let mut found = Vec::new();
    let catalog = match catalog_files::open(config).await {
        Ok(catalog) => catalog.current(),
        Err(error) => {
            report.add("configuration", "tables", Outcome::Failed, format!("{error:#}"));
            return found;
        }
    };
    for error in &catalog.errors {
        report.add(
            "configuration",
            "tables",
            Outcome::Warning,
            format!("{}: {}", error.file.display(), error.error.message),
        );
    }
    for table in catalog.tables.values() {
        let stream = (sources.settings(table.kinesis.as_ref()), table.stream.clone());
        if !found.contains(&stream) {
            found.push(stream);
        }
    }
    let text = format!("{} tables of {} streams", catalog.tables.len(), found.len());
    report.add("configuration", "tables", Outcome::Ok, text);
    found
}

async fn check_stream(config: &Config, write: bool, settings: &KinesisSettings, name: &str, needs: &mut Needs, report: &mut Report) {
    let about = format!("stream {name}");
    let clock = ServiceClock::default();
    let client = match call::client(settings, &clock).await {
        Ok(client) => client,
        Err(error) => return report.add(&about, "settings", Outcome::Failed, error.to_string()),
    };
    let fan_out = config.reader.fan_out.reader_config().map(|fan_out| fan_out.consumer);
    let known = stream::look(&client, name, fan_out.as_deref(), &about, report).await;
    if let Some(known) = known {
        let wanted = Wanted {
            write,
            fan_out: fan_out.as_deref(),
        };
        permissions::check(&client, &known, wanted, &about, report).await;
        let sample = sample::take(&client, &known, config.reader.calls_per_second, &about, report).await;
        let prices = config.prices.prices();
        let pace = config.reader.bytes_per_second.0;
        report
            .readings
            .push(Reading::of(&known, &sample.shards, pace, &prices, sample::now_ms()));
        let holder = settings.role_arn.clone();
        if let Some(kms) = known.key {
            needs.keys.entry(holder.clone()).or_default().insert((kms, known.arn.clone()));
        }
        needs.streams.entry(holder).or_default().insert(known.arn);
    }
    clock.report(&about, report);
}

/// What the configuration keeps elsewhere.
fn note_stores(config: &Config, caller: &Caller, needs: &mut Needs) {
    if let Some(section) = &config.checkpoints.dynamodb {
        let region = section.region.as_deref().or(caller.region.as_deref()).unwrap_or("REGION");
        let arn = match section.table.starts_with("arn:") {
            true => section.table.clone(),
            false => format!(
                "arn:aws:dynamodb:{region}:{}:table/{}",
                caller.account.as_deref().unwrap_or("ACCOUNT"),
                section.table
            ),
        };
        needs.checkpoints = Some((section.role_arn.clone(), arn, section.create));
    }
    let path = config.catalog.path.to_str().and_then(Objects::parse);
    needs.catalog = path.map(|objects| (objects, config.ddl()));
    needs.segments = config.segments.store.as_deref().and_then(Objects::parse);
    needs.lake = Lake {
        holder: config.lake.role_arn.clone(),
        read: objects(&config.allow.read),
        write: objects(&config.allow.write),
    };
}

/// Those that lie in object storage.
fn objects(places: &[String]) -> Vec<Objects> {
    places.iter().filter_map(|place| Objects::parse(place)).collect()
}
