//! The way of a byte stream from its HTTP connection to whoever it has been promised to.              [RFC 9110 §7.8]

use std::sync::Arc;

use futures_channel::oneshot;
use parking_lot::Mutex;

use crate::transport::io::Stream;

/// A stream that comes as soon as the response which switches protocols is written: an extension of a request.
#[derive(Clone, Debug)]
pub(crate) struct Handover(Arc<Mutex<Option<oneshot::Receiver<Stream>>>>);

impl Handover {
    /// The promise, and what keeps it.
    pub(crate) fn new() -> (oneshot::Sender<Stream>, Self) {
        let (giver, taker) = oneshot::channel();
        (giver, Self(Arc::new(Mutex::new(Some(taker)))))
    }

    /// What the stream comes by; once.
    pub(crate) fn take(&self) -> Option<oneshot::Receiver<Stream>> {
        self.0.lock().take()
    }
}
