//! A subscription as the body of a response.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::Bytes;

use super::{Part, Subscription};
use crate::reply::Cutting;

type Turn = (Box<Subscription>, Option<Part>);

/// The events of a subscription, each made when the connection has room for it. Dropped with its connection.
pub(crate) struct EventBody {
    /// None after the end.
    turn: Option<Pin<Box<dyn Future<Output = Turn> + Send>>>,
    cut: Option<Cutting>,
}

impl EventBody {
    pub(crate) fn new(subscription: Box<Subscription>) -> Self {
        Self {
            turn: Some(turn(subscription)),
            cut: None,
        }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(cut) = &mut self.cut {
            return cut.poll(context).map(|error| Some(Err(error)));
        }
        let Some(current) = &mut self.turn else {
            return Poll::Ready(None);
        };
        let (subscription, part) = ready!(current.as_mut().poll(context));
        self.turn = None;
        Poll::Ready(match part {
            None => None,
            Some(Part::Bytes(bytes)) => {
                self.turn = Some(turn(subscription));
                Some(Ok(bytes))
            }
            Some(Part::Cut(bytes)) => {
                self.cut = Some(Cutting::default());
                Some(Ok(bytes))
            }
        })
    }
}

fn turn(mut subscription: Box<Subscription>) -> Pin<Box<dyn Future<Output = Turn> + Send>> {
    Box::pin(async move {
        let part = subscription.next().await;
        (subscription, part)
    })
}

impl fmt::Debug for EventBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBody").field("cut", &self.cut).finish_non_exhaustive()
    }
}
