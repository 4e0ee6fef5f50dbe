//! The registered consumer of a stream: one, for all shards and all processes of a cluster.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::context::StreamContext;
use crate::{ConsumerArn, FanOutError, FanOutErrorKind};

const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What is known of the consumer.
#[derive(Debug, Default)]
pub(super) struct Consumer(Mutex<Registration>);

#[derive(Debug, Default)]
enum Registration {
    #[default]
    Unknown,
    /// Looked for, or registered, at this moment.
    Asked,
    Ready(ConsumerArn),
    /// So many times in a row; tried again at this time.
    Failed(u32, Instant),
}

/// Where the consumer is not to be had yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum NotYet {
    /// The shards' tasks are woken when it is.
    Asked,
    /// Not before this time.
    Failed(Instant),
}

impl StreamContext {
    /// The consumer; it is looked for in the background when nobody did yet, so that no shard waits for it.
    pub(super) fn consumer(self: &Arc<Self>, name: &str) -> Result<ConsumerArn, NotYet> {
        let mut registration = self.consumer.0.lock();
        let failures = match &*registration {
            Registration::Ready(arn) => return Ok(arn.clone()),
            Registration::Asked => return Err(NotYet::Asked),
            Registration::Failed(_, until) if Instant::now() < *until => return Err(NotYet::Failed(*until)),
            Registration::Failed(failures, _) => *failures,
            Registration::Unknown => 0,
        };
        *registration = Registration::Asked;
        // the tracker belongs to the stream's reader, which ends its tasks when it ends
        drop(self.tasks.spawn(Self::find(Arc::clone(self), name.to_owned(), failures)));
        Err(NotYet::Asked)
    }

    async fn find(self: Arc<Self>, name: String, failures: u32) {
        let asked = async {
            match self.source.fan_out() {
                Some(fan_out) => fan_out.ensure_consumer(&self.stream, &name).await,
                None => Err(FanOutError::new(FanOutErrorKind::Invalid, "the source cannot push")),
            }
        };
        let Some(found) = self.stop.run_until_cancelled(asked).await else {
            return;
        };
        let registration = match found {
            Ok(arn) => Registration::Ready(arn),
            Err(error) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
                tracing::warn!(stream = %self.stream, consumer = name, %error, retry_in = ?pause, "no consumer: shards are read by polling");
                Registration::Failed(failures.saturating_add(1), Instant::now() + pause)
            }
        };
        *self.consumer.0.lock() = registration;
        for shard in self.shards() {
            shard.wake.notify_one();
        }
    }

    /// The service does not know the consumer any more.
    pub(super) fn forget_consumer(&self, arn: &ConsumerArn) {
        let mut registration = self.consumer.0.lock();
        if matches!(&*registration, Registration::Ready(known) if known == arn) {
            *registration = Registration::Unknown;
        }
    }
}
