//! `kinesis-local` from npm: kinesis-mock compiled to JavaScript.

use super::{Deviation, Keeper, Running};
use crate::environment;
use crate::process::{Process, free_port};

pub(super) const DEVIATIONS: &[Deviation] = &[
    Deviation::BadIteratorOtherError,
    Deviation::TimeFilterListsClosed,
    Deviation::BatchCountUnchecked,
    Deviation::EmptyBatchAccepted,
    Deviation::ExplicitHashKeyUnchecked,
    Deviation::SubscriptionsRefusedByEvent,
    Deviation::IdleContinuationStands,
    Deviation::SubscriptionEndUntold,
    Deviation::DeletesWithConsumers,
];

pub(super) fn start() -> anyhow::Result<Running> {
    let node = environment::node()?;
    let package = node.package("kinesis-local");
    let (process, address) = Process::serve("kinesis-local", |port| {
        let mut command = node.command();
        // It reads files beside its program by relative paths.
        command.arg("main.js").current_dir(&package);
        command
            .env("KINESIS_MOCK_PLAIN_PORT", port.to_string())
            .env("KINESIS_MOCK_TLS_PORT", free_port()?.to_string());
        command.env("SHARD_LIMIT", "2000").env("LOG_LEVEL", "ERROR");
        for transition in [
            "CREATE_STREAM",
            "DELETE_STREAM",
            "MERGE_SHARDS",
            "SPLIT_SHARD",
            "UPDATE_SHARD_COUNT",
        ] {
            command.env(format!("{transition}_DURATION"), "10ms");
        }
        Ok(command)
    })?;
    Ok(Running {
        endpoint: format!("http://{address}"),
        keeper: Keeper::Process(process),
    })
}
