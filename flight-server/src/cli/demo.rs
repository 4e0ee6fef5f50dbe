//! `shardflight demo`: everything on this machine, on real data.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use aws_sdk_kinesis::config::Credentials;
use catalog::KinesisOverrides;
use embedded::EmbeddedKinesis;
use shard_reader::{KinesisSettings, KinesisSource, ReaderConfig, ShardSource};

use super::args::{DemoArgs, OutputFormat, RecordFormat};
use super::catalog_files;
use super::checkpoint_store;
use super::datagen::{Destination, Load, LoadOptions, Preparation, Prepared, Progress, Target, prepare};
use super::demo_clients::ClientLines;
use super::demo_data::{DEFINITION, LOG, STREAM};
use super::offloads;
use super::security::Security;
use super::segments;
use super::server::{Kept, Listeners, Server, bind};
use super::signals::StopSignal;
use super::sql::url::ServerUrl;
use super::sql::{Client, Login, report, statement};
use super::stdout;
use crate::config::{Config, ListenAddr};
use crate::engine::{EngineError, KinesisSources, Places, SourceProvider};

/// The article's statement, verbatim.
pub(super) const STATEMENT: &str =
    "select host, sum(bytes) as total_bytes from kinesis.default.nasahttp group by host order by total_bytes desc limit 2;";
const COUNT: &str = "select count(*) as records, sum(bytes) as bytes from kinesis.default.nasahttp;";

/// Credentials for the embedded service: it checks none, but the SDK wants some.
pub(super) const KEY: &str = "demo";
pub(super) const REGION: &str = "us-east-1";

/// PutRecords calls under way at a time.
const WORKERS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// Runs until SIGTERM or Ctrl-C, or with `--once` until the results are printed.
pub(super) async fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let mut stop = StopSignal::listen()?;
    let temporary = match args.data_dir {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("shardflight-demo-")
                .tempdir()
                .context("cannot make a temporary directory")?,
        ),
    };
    let data_dir = args
        .data_dir
        .as_deref()
        .or(temporary.as_ref().map(tempfile::TempDir::path))
        .context("there is no data directory")?;
    tokio::select! {
        () = stop.received() => Ok(()),
        demo = Box::pin(Demo::start(args, data_dir)) => {
            let demo = demo?;
            demo.run(args.once, &mut stop).await
        }
    }
}

/// All of it, loaded and serving.
#[derive(Debug)]
struct Demo {
    kinesis: EmbeddedKinesis,
    server: Server,
    tables: std::path::PathBuf,
    /// Where statements may write files, and read them: `file:///DIRECTORY/`. `None`: the directory's name cannot be in a location.
    lake: Option<String>,
}

impl Demo {
    async fn start(args: &DemoArgs, data_dir: &Path) -> anyhow::Result<Self> {
        let address = |given: Option<SocketAddr>, port| given.unwrap_or_else(|| ListenAddr::loopback(if args.once { 0 } else { port }).0);
        let addresses = [
            ("--listen", address(args.listen, 32010)),
            ("--http", address(args.http, 8080)),
            ("--kinesis", address(args.kinesis, 4567)),
        ];
        for (option, address) in addresses {
            if !address.ip().is_loopback() {
                bail!(
                    "{option} {address} can be reached from other machines, and the demo protects nothing; use an address such as 127.0.0.1"
                );
            }
        }
        let [(_, flight), (_, http), (_, kinesis)] = addresses;
        let listeners = Listeners {
            flight: bind("--listen", flight).await?,
            http: bind("--http", http).await?,
            cluster: None,
        };
        let tables = data_dir.join("tables");
        std::fs::create_dir_all(&tables).with_context(|| format!("cannot make directory {}", tables.display()))?;
        let definition = tables.join("nasahttp.yaml");
        if !definition.exists() {
            std::fs::write(&definition, DEFINITION).with_context(|| format!("cannot write {}", definition.display()))?;
        }
        let options = embedded::Options {
            listen: kinesis,
            region: REGION.to_owned(),
            ..embedded::Options::new(data_dir.join("kinesis"))
        };
        let kinesis = EmbeddedKinesis::start(options).await.with_context(|| {
            format!("cannot start the stream service on {kinesis}; give another address with `--kinesis` (port 0 is a free one)")
        })?;
        let settings = KinesisSettings {
            endpoint: Some(kinesis.endpoint()),
            region: Some(REGION.to_owned()),
            ..KinesisSettings::default()
        };
        let client = client(&settings).await?;
        load(args, data_dir, &client).await?;
        let lake = data_dir.canonicalize().context("there is no data directory")?.join("lake");
        let lake = Some(format!("file://{}/", lake.display())).filter(|lake| Places::new(std::slice::from_ref(lake)).is_ok());
        let config = Config {
            data_dir: data_dir.to_owned(),
            catalog: crate::config::CatalogSection {
                path: tables.clone(),
                refresh: std::time::Duration::from_secs(1),
                ..Default::default()
            },
            segments: crate::config::SegmentsSection {
                // what does not outlive the program need not be stored
                path: args.data_dir.is_none().then(|| "none".into()),
                ..Default::default()
            },
            // Its streams are nobody else's.
            allow: crate::config::AllowSection {
                streams: vec!["*".to_owned()],
                read: lake.iter().cloned().collect(),
                write: lake.iter().cloned().collect(),
                ..Default::default()
            },
            ..Config::default()
        };
        let reader = ReaderConfig {
            memory_bytes: config.reader.memory.resolve(),
            // The embedded service is nobody else's.
            calls_per_second: None,
            bytes_per_second: None,
            segments: segments::open(&config).await?,
            ..ReaderConfig::default()
        };
        let sources = DemoSources {
            embedded: Arc::new(KinesisSource::with_client(client)),
            elsewhere: KinesisSources::new(settings),
        };
        let catalog = catalog_files::open(&config).await?;
        let checkpoints = checkpoint_store::build(&config).await?;
        let server = Server::start(
            &config,
            Security::none(),
            listeners,
            catalog,
            Arc::new(sources),
            reader,
            Kept {
                checkpoints,
                jobs: Some(offloads::files(&config).await?),
            },
        )?;
        Ok(Self {
            kinesis,
            server,
            tables,
            lake,
        })
    }

    async fn run(mut self, once: bool, stop: &mut StopSignal) -> anyhow::Result<()> {
        let (http, kinesis) = (self.server.http, self.kinesis.endpoint());
        let lines = ClientLines {
            flight: self.server.flight,
            kinesis: &kinesis,
            lake: self.lake.as_deref(),
        };
        let shown = tokio::select! {
            () = stop.received() => false,
            error = self.server.failed() => return Err(error),
            shown = Box::pin(show(&lines, http, &self.tables)) => {
                shown?;
                true
            }
        };
        if shown {
            self.server.ready();
            stdout::write(b"ready\n")?;
        }
        if shown && !once {
            tokio::select! {
                () = stop.received() => {}
                error = self.server.failed() => return Err(error),
            }
        }
        self.server.stop().await?;
        Ok(self.kinesis.shutdown().await?)
    }
}

/// The stream, with the log in it. A stream that is there stays as it is, unless loading it was broken off.
async fn load(args: &DemoArgs, data_dir: &Path, client: &aws_sdk_kinesis::Client) -> anyhow::Result<()> {
    let unfinished = data_dir.join("loading");
    let preparation = if unfinished.exists() {
        Preparation::Recreate(args.shards)
    } else {
        Preparation::Create(args.shards)
    };
    std::fs::write(&unfinished, "").with_context(|| format!("cannot write {}", unfinished.display()))?;
    let done = || std::fs::remove_file(&unfinished).with_context(|| format!("cannot remove {}", unfinished.display()));
    if let Prepared::Existed(_) = prepare(client, STREAM, preparation).await?
        && matches!(preparation, Preparation::Create(_))
    {
        tracing::info!(stream = STREAM, "the stream is there already; nothing is pushed");
        return done();
    }
    let destination = Destination::new(client.clone(), STREAM.to_owned(), false);
    let mut load = Load::new(
        Target::Put(destination),
        LoadOptions {
            workers: WORKERS,
            rate: None,
            shift: None,
            format: RecordFormat::Json,
        },
    );
    let mut progress = Progress::new(LOG.len() as u64 * u64::from(args.repeat.get()));
    for _ in 0..args.repeat.get() {
        load.feed(LOG, &mut progress).await?;
    }
    load.finish().await?;
    drop(progress);
    let totals = load.into_totals().await;
    if totals.acknowledged != totals.lines {
        bail!("of {} lines only {} became records", totals.lines, totals.acknowledged);
    }
    tracing::info!(stream = STREAM, records = totals.acknowledged, "the log is in the stream");
    done()
}

/// Prints results, addresses, and how to connect.
async fn show(clients: &ClientLines<'_>, http: SocketAddr, tables: &Path) -> anyhow::Result<()> {
    let ClientLines { flight, kinesis, .. } = *clients;
    let client = Client::connect(&ServerUrl::at(flight), &[], Login::default()).await?;
    for sql in [STATEMENT, COUNT] {
        stdout::write(format!("{sql}\n").as_bytes())?;
        report(statement(&client, sql.trim_end_matches(';'), OutputFormat::Table).await?, true);
    }
    let lines = format!(
        "flight: grpc://{flight}\nkinesis: {kinesis}\nhttp: http://{http}\ntables: {}\n",
        tables.display()
    );
    stdout::write(lines.as_bytes())?;
    Ok(stdout::write(clients.to_string().as_bytes())?)
}

async fn client(settings: &KinesisSettings) -> anyhow::Result<aws_sdk_kinesis::Client> {
    let client = settings.client().await?;
    let credentials = Credentials::new(KEY, KEY, None, None, "demo");
    Ok(aws_sdk_kinesis::Client::from_conf(
        client.config().to_builder().credentials_provider(credentials).build(),
    ))
}

/// The embedded service, unless a table says that its stream is elsewhere.
#[derive(Debug)]
struct DemoSources {
    embedded: Arc<dyn ShardSource>,
    elsewhere: KinesisSources,
}

#[async_trait]
impl SourceProvider for DemoSources {
    async fn source(&self, overrides: Option<&KinesisOverrides>) -> Result<(String, Arc<dyn ShardSource>), EngineError> {
        match overrides {
            Some(overrides) if *overrides != KinesisOverrides::default() => self.elsewhere.source(Some(overrides)).await,
            _ => Ok(("embedded".to_owned(), Arc::clone(&self.embedded))),
        }
    }
}
