//! The body of a response: whole, cut in the middle by a fault, or events as they happen.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::subscription::EventBody;

/// The body of a response.
#[derive(Debug)]
pub(crate) enum Reply {
    Body(Whole),
    Events(EventBody),
}

/// A whole body, or the first half of one with the length of the whole.
#[derive(Debug)]
pub(crate) struct Whole {
    rest: Bytes,
    /// Bytes announced and never sent.
    missing: usize,
    cut: Cutting,
}

/// Cuts the connection once what was sent before has had its turn to go out.
#[derive(Debug, Default)]
pub(crate) struct Cutting {
    flushed: bool,
}

impl Cutting {
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if self.flushed {
            return Poll::Ready(io::ErrorKind::ConnectionReset.into());
        }
        self.flushed = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Reply {
    pub(crate) fn whole(body: Vec<u8>) -> Self {
        Self::Body(Whole {
            rest: body.into(),
            missing: 0,
            cut: Cutting::default(),
        })
    }

    /// The connection is cut after the first half.
    pub(crate) fn half(mut body: Vec<u8>) -> Self {
        let whole = body.len();
        body.truncate(whole / 2);
        // Of an empty body nothing can be missing; the announced byte makes it a cut one all the same.
        Self::Body(Whole {
            missing: (whole - body.len()).max(1),
            rest: body.into(),
            cut: Cutting::default(),
        })
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let body = match self.get_mut() {
            Self::Events(events) => return events.poll(context).map(|next| next.map(|bytes| bytes.map(Frame::data))),
            Self::Body(body) => body,
        };
        if !body.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut body.rest)))));
        }
        if body.missing == 0 {
            return Poll::Ready(None);
        }
        body.cut.poll(context).map(|error| Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Body(body) => body.rest.is_empty() && body.missing == 0,
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Body(body) => SizeHint::with_exact((body.rest.len() + body.missing) as u64),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
