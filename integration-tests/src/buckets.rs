//! Object storage to test against.

use crate::process::Process;
use crate::server::run_script;
use crate::stand_in::StandIn;

/// A running service with a bucket.
#[derive(Debug)]
pub struct RunningStorage {
    /// `http://127.0.0.1:port`
    pub endpoint: String,
    #[expect(dead_code, reason = "held: dropping it ends the service")]
    process: Process,
}

impl StandIn {
    /// A service of one's own that speaks S3, with an empty bucket.
    pub fn start_storage(self, bucket: &str) -> anyhow::Result<RunningStorage> {
        let (process, endpoint) = self.serve("s3")?;
        run_script("make_bucket.py", &[&endpoint, bucket])?;
        Ok(RunningStorage { endpoint, process })
    }
}
