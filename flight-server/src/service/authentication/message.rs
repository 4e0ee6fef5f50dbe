//! Credentials in the handshake's message, as older clients send them.

use std::time::Duration;

use arrow_flight::{BasicAuth, HandshakeRequest};
use prost::Message;
use tonic::{Status, Streaming};

use super::{Authenticated, Credentials};
use crate::engine::origin;
use crate::service::flight::Inner;

/// The message may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

impl Inner {
    /// Who the first message of a handshake says, and proves, that its sender is.
    pub(crate) async fn password_message(&self, messages: &mut Streaming<HandshakeRequest>) -> Result<Option<Authenticated>, Status> {
        let refused = || Status::unauthenticated("the handshake shows no credentials");
        let message = tokio::time::timeout(PATIENCE, messages.message()).await.map_err(|_| refused())?;
        let message = message?.ok_or_else(refused)?;
        let sent = BasicAuth::decode(message.payload).map_err(|_| refused())?;
        let credentials = Credentials::of_password(&sent.username, &sent.password).ok_or_else(refused)?;
        let address = origin().unwrap_or_else(|| "unknown".into());
        self.config.authentication.of(credentials, &address).await
    }
}
