//! Calls of those that are no nodes: logged, and not so often that they could fill a disk.

use std::time::Duration;

use http::Extensions;
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

/// Of all that are refused within this time, one line is logged.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// Counts them between two lines.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<(Option<Instant>, u64)>);

impl Refusals {
    /// A call is refused; the request's extensions say where it comes from.
    pub(super) fn refused(&self, extensions: &Extensions) {
        if let Some(calls) = self.count(Instant::now()) {
            let peer = peer(extensions).map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string());
            tracing::warn!(%peer, calls, "refused a call on the nodes' listener, which shows no token of theirs");
        }
    }

    /// How many to log, if it is time.
    fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        state.1 += 1;
        if state.0.is_some_and(|logged| now.duration_since(logged) < LOGGED_EVERY) {
            return None;
        }
        state.0 = Some(now);
        Some(std::mem::take(&mut state.1))
    }
}

fn peer(extensions: &Extensions) -> Option<std::net::SocketAddr> {
    let plain = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let secured = || extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.get_ref().remote_addr();
    plain.or_else(secured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_counts_all() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let after = |seconds| refusals.count(start + Duration::from_secs(seconds));
        assert_eq!(
            [after(0), after(1), after(59), after(60), after(61), after(200)],
            [Some(1), None, None, Some(3), None, Some(2)]
        );
    }
}
