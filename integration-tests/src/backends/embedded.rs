//! This workspace's own service, in process.

use embedded::{EmbeddedKinesis, Options};

use super::{Keeper, Running, on_services_runtime};
use crate::environment::scratch_directory;

pub(super) fn start(limits: bool) -> anyhow::Result<Running> {
    on_services_runtime(async move {
        let mut options = Options::new(scratch_directory("embedded")?);
        options.limits = limits;
        let service = EmbeddedKinesis::start(options).await?;
        Ok(Running {
            endpoint: service.endpoint(),
            keeper: Keeper::Embedded(service),
        })
    })
}
