//! A request and its answer.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::task::JoinHandle;

use crate::pattern::matches;
use crate::settle::settle;

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// This is the status and this the body; what the holes (`…`) took.
    ///
    /// # Panics
    /// When they are others.
    #[track_caller]
    pub fn expect(&self, status: u16, pattern: &str) -> Vec<String> {
        assert_eq!(self.status.as_u16(), status, "the server answered {:?}", self.text());
        matches(pattern, self.text())
            .unwrap_or_else(|| panic!("expected {pattern:?}, the server sent {:?}", self.text()))
    }
}

/// A request that may be waiting for its answer. Dropping it is the client going away.
#[derive(Debug)]
pub struct Exchange {
    task: JoinHandle<Answer>,
}

impl Exchange {
    pub(crate) fn new(answer: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self { task: tokio::spawn(answer) }
    }

    /// The answer.
    ///
    /// # Panics
    /// When there is none after everything that can run has run.
    #[track_caller]
    pub fn answer(mut self) -> impl Future<Output = Answer> {
        let caller = std::panic::Location::caller();
        async move {
            settle().await;
            assert!(self.task.is_finished(), "{caller}: the request is still waiting");
            (&mut self.task).await.expect("a request ends with its answer")
        }
    }

    /// The answer has this status and this body; what the holes (`…`) took.
    ///
    /// # Panics
    /// When it is another, or there is none.
    #[track_caller]
    pub fn expect(self, status: u16, pattern: &str) -> impl Future<Output = Vec<String>> {
        let (caller, pattern) = (std::panic::Location::caller(), pattern.to_owned());
        let answer = self.answer();
        async move {
            let answer = answer.await;
            let text = answer.text();
            assert_eq!(answer.status.as_u16(), status, "{caller}: expected {pattern:?}, the server answered {text:?}");
            matches(&pattern, text)
                .unwrap_or_else(|| panic!("{caller}: expected {pattern:?}, the server sent {text:?}"))
        }
    }

    /// The request is waiting.
    ///
    /// # Panics
    /// When it has been answered.
    pub async fn expect_waiting(&self) {
        settle().await;
        assert!(!self.task.is_finished(), "the request has been answered");
    }

    /// Lets the request go on by itself; nobody reads its answer.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}
