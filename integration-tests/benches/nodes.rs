//! The table of docs/scale.md: a stream read by 1, 2 and 4 nodes.
//!
//! `cargo test --workspace --bench nodes` runs it on the programs that the tests run on, `cargo bench --workspace --bench nodes` on optimized ones.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::ensure;
use integration_tests::scale::{BURST, Load, Stage, Watched, overlap};

/// Nodes read at half their pace for a minute after they found each other.
const SETTLED: Duration = Duration::from_secs(65);

async fn one_two_and_four_nodes() -> anyhow::Result<String> {
    let load = Load {
        records: 12_800,
        padding: 5_000,
    };
    let mut table = String::from(
        "| nodes | cold | again | calls of a node | MB of a node | read twice | bytes of the stream's | most calls/s of a shard |\n|---|---|---|---|---|---|---|---|\n",
    );
    for nodes in [1, 2, 4] {
        let stage = Stage::new(&format!("cluster-scale-{nodes}"), nodes, load).await?;
        tokio::time::sleep(SETTLED).await;
        let mut watched = Watched::default();
        let cold = watched.during(&stage, stage.ask(0)).await?;
        let mut again = Duration::ZERO;
        for round in 0..8 {
            again += watched.during(&stage, stage.ask(round % nodes)).await?;
        }
        let taken = stage.taken(None)?;
        let of_nodes = stage.of_nodes()?;
        let sums = |of: fn(&(u64, u64)) -> u64| of_nodes.iter().map(|node| node.values().map(of).sum::<u64>()).collect::<Vec<_>>();
        let (calls, bytes) = (sums(|shard| shard.0), sums(|shard| shard.1));
        let range = |of: &[u64], unit: u64| {
            let (least, most) = (of.iter().min().unwrap_or(&0) / unit, of.iter().max().unwrap_or(&0) / unit);
            if least == most {
                most.to_string()
            } else {
                format!("{least}-{most}")
            }
        };
        let (beyond, in_a_second) = watched.most(&overlap(&of_nodes));
        ensure!(beyond <= BURST && taken.errors == 0, "{beyond} calls beyond the budget, {taken:?}");
        writeln!(
            table,
            "| {nodes} | {:.1} s | {:.2} s | {} | {} | {} | {:.3} | {in_a_second} |",
            cold.as_secs_f64(),
            again.as_secs_f64() / 8.0,
            range(&calls, 1),
            range(&bytes, 1_000_000),
            overlap(&of_nodes).len(),
            taken.bytes as f64 / stage.bytes as f64,
        )?;
    }
    Ok(table)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let table = one_two_and_four_nodes().await?;
    writeln!(std::io::stdout().lock(), "{table}")?;
    Ok(())
}
