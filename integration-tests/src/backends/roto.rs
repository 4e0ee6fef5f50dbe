//! `roto-server`, from the Python package `roto-aws`.

use std::process::Command;

use super::{Deviation, Keeper, Running};
use crate::environment;
use crate::process::{Process, without_aws_settings};

pub(super) const DEVIATIONS: &[Deviation] = &[
    Deviation::ArrivalBelowMilliseconds,
    Deviation::DistanceRoundedToZero,
    Deviation::ShortSequenceNumbers,
    Deviation::TimeShardFilterRefused,
    Deviation::NoChildShards,
    Deviation::NoSubscriptions,
    Deviation::UpdateBeyondDouble,
    Deviation::DeletesWithConsumers,
];

pub(super) fn start() -> anyhow::Result<Running> {
    let program = environment::python()?.program("roto-server");
    let (process, address) = Process::serve("roto-server", |port| {
        let mut command = Command::new(&program);
        command.args(["--host", "127.0.0.1", "--ephemeral", "--port"]).arg(port.to_string());
        without_aws_settings(&mut command);
        Ok(command)
    })?;
    Ok(Running {
        endpoint: format!("http://{address}"),
        keeper: Keeper::Process(process),
    })
}
