//! Clients for subscriptions: a connection of HTTP/2 carries only so many at once.

use std::sync::Arc;

use aws_sdk_kinesis::Client;
use parking_lot::Mutex;

use super::client::new_http_client;

/// Subscriptions that share one pool of connections, which holds one connection of HTTP/2 to a host. A server says how many streams a connection may
/// have (RFC 9113, 5.1.2, recommends no fewer than 100), and a request beyond that waits until another stream ends: a subscription would wait for
/// minutes.
const PER_CONNECTION: usize = 64;

/// As many clients as the subscriptions that are open need.
#[derive(Debug)]
pub(super) struct PushClients {
    /// Its settings are those of all of them.
    first: Client,
    clients: Mutex<Vec<Slot>>,
}

#[derive(Debug)]
struct Slot {
    client: Client,
    /// Each subscription holds one more.
    held: Arc<()>,
}

/// A client, until this is dropped.
#[derive(Debug)]
pub(super) struct PushClient {
    pub(super) client: Client,
    _held: Arc<()>,
}

impl PushClients {
    pub(super) fn new(first: Client) -> Self {
        Self {
            first,
            clients: Mutex::default(),
        }
    }

    /// A client with room for one subscription more.
    pub(super) fn lease(&self) -> PushClient {
        let mut clients = self.clients.lock();
        let room = clients.iter().position(|slot| Arc::strong_count(&slot.held) <= PER_CONNECTION);
        let at = room.unwrap_or_else(|| {
            let client = if clients.is_empty() {
                self.first.clone()
            } else {
                Client::from_conf(self.first.config().to_builder().http_client(new_http_client()).build())
            };
            clients.push(Slot {
                client,
                held: Arc::default(),
            });
            clients.len() - 1
        });
        let leased = PushClient {
            client: clients[at].client.clone(),
            _held: Arc::clone(&clients[at].held),
        };
        // the last ones go when nobody needs them
        while clients.len() > at + 1 && clients.last().is_some_and(|slot| Arc::strong_count(&slot.held) == 1) {
            clients.pop();
        }
        leased
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};

    use super::*;
    use crate::kinesis::http_client;

    #[test]
    fn a_connection_takes_so_many_and_no_more() {
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .http_client(http_client())
            .build();
        let clients = PushClients::new(Client::from_conf(config));
        let mut leased: Vec<PushClient> = (0..PER_CONNECTION * 2 + 1).map(|_| clients.lease()).collect();
        assert_eq!(clients.clients.lock().len(), 3);
        for (at, slot) in clients.clients.lock().iter().enumerate() {
            assert_eq!(Arc::strong_count(&slot.held) - 1, [PER_CONNECTION, PER_CONNECTION, 1][at]);
        }
        // the room that one leaves is taken before a connection more
        drop(leased.swap_remove(0));
        leased.push(clients.lease());
        assert_eq!(clients.clients.lock().len(), 3);
        leased.clear();
        let _one = clients.lease();
        assert_eq!(clients.clients.lock().len(), 1);
    }
}
