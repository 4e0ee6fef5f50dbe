//! Serves a directory until Ctrl-C: `serve [DIRECTORY [ADDRESS [--limits]]]`.

use std::io::Write;

use embedded::{EmbeddedKinesis, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options::new(arguments.next().unwrap_or_else(|| "streams".to_owned()));
    if let Some(address) = arguments.next() {
        options.listen = address.parse()?;
    }
    options.limits = arguments.any(|argument| argument == "--limits");
    let kinesis = EmbeddedKinesis::start(options).await?;
    writeln!(std::io::stdout().lock(), "{}", kinesis.endpoint())?;
    tokio::signal::ctrl_c().await?;
    kinesis.shutdown().await?;
    Ok(())
}
