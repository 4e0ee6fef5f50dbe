//! The body of a response, which a fault may cut in the middle.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// A whole body, or the first half of one with the length of the whole.
#[derive(Debug)]
pub(crate) struct Reply {
    rest: Bytes,
    /// Bytes announced and never sent.
    missing: usize,
    /// Whether what was sent before the cut has had its turn to go out.
    flushed: bool,
}

impl Reply {
    pub(crate) fn whole(body: Vec<u8>) -> Self {
        Self {
            rest: body.into(),
            missing: 0,
            flushed: false,
        }
    }

    /// The connection is cut after the first half.
    pub(crate) fn half(mut body: Vec<u8>) -> Self {
        let whole = body.len();
        body.truncate(whole / 2);
        // Of an empty body nothing can be missing; the announced byte makes it a cut one all the same.
        Self {
            missing: (whole - body.len()).max(1),
            rest: body.into(),
            flushed: false,
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))));
        }
        if self.missing == 0 {
            return Poll::Ready(None);
        }
        if !self.flushed {
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.missing == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.rest.len() + self.missing) as u64)
    }
}
