//! `ministack`, from the Python package of that name.

use std::process::Command;

use super::{Deviation, Keeper, Running};
use crate::environment;
use crate::process::{Process, without_aws_settings};

pub(super) const DEVIATIONS: &[Deviation] = &[
    Deviation::OnDemandOneShard,
    Deviation::ShortSequenceNumbers,
    Deviation::NoPageByteCap,
    Deviation::LimitUnchecked,
    Deviation::BadIteratorOtherError,
    Deviation::ShardFilterIgnored,
    Deviation::NextTokenBroken,
    Deviation::ClosedShardsDeleted,
    Deviation::UpdateBeyondDouble,
    Deviation::EmptyBatchAccepted,
    Deviation::ExplicitHashKeyUnchecked,
    Deviation::MergeUnchecked,
    Deviation::IdleContinuationStands,
    Deviation::SubscriptionEndUntold,
    Deviation::DeletesWithConsumers,
];

pub(super) fn start() -> anyhow::Result<Running> {
    let program = environment::python()?.program("ministack");
    let (process, address) = Process::serve("ministack", |port| {
        let mut command = Command::new(&program);
        without_aws_settings(&mut command);
        // It would listen on every interface, and start services that the tests do not need.
        command
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("SERVICES", "kinesis")
            .env("LOG_LEVEL", "WARNING");
        Ok(command)
    })?;
    Ok(Running {
        endpoint: format!("http://{address}"),
        keeper: Keeper::Process(process),
    })
}
