//! Log lines, on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::args::LogFormat;

/// Libraries that tell of each step, or dump what they hold, where others would be silent.
const QUIET: &str = "aws_config=warn,buoyant_kernel=warn,buoyant_kernel_engine=warn,deltalake_core=warn";

/// Starts logging. `RUST_LOG` wins over `verbose`.
pub(super) fn start(format: LogFormat, verbose: u8, default_level: &str) -> anyhow::Result<()> {
    let level = match verbose {
        0 => default_level,
        1 => "info,flight_server=debug,shard_reader=debug,catalog=debug,embedded=debug",
        _ => "info,flight_server=trace,shard_reader=trace,catalog=trace,embedded=trace",
    };
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(text).map_err(|error| anyhow::anyhow!("RUST_LOG: {error}"))?,
        _ => EnvFilter::new(format!("{level},{QUIET}")),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging is already set up: {error}"))
}
