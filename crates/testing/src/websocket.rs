//! A client that speaks WebSocket, word by word.

use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf};

use crate::frame::{self, Frame};
use crate::pattern::matches;
use crate::settle::settle;
use crate::wire::Reset;

/// A WebSocket of a client. It reads only when it expects something: not to call `expect` is to read nothing at all.
#[derive(Debug)]
pub struct WebSocket {
    pipe: DuplexStream,
    reset: Reset,
    /// Read, and no frame taken from it yet.
    bytes: Vec<u8>,
    /// What the last close frame said.
    reason: String,
    ended: bool,
}

impl WebSocket {
    pub(crate) fn new(pipe: DuplexStream, reset: Reset, bytes: Vec<u8>) -> Self {
        Self { pipe, reset, bytes, reason: String::new(), ended: false }
    }

    /// Sends a text message.
    pub async fn send(&mut self, text: &str) {
        self.send_bytes(&frame::encode(0x81, text.as_bytes())).await;
    }

    /// Sends text messages in one piece, as if they had met in the network.
    pub async fn send_all(&mut self, texts: &[&str]) {
        let frames: Vec<u8> = texts.iter().flat_map(|text| frame::encode(0x81, text.as_bytes())).collect();
        self.send_bytes(&frames).await;
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.send_bytes(&frame::encode(0x82, bytes)).await;
    }

    /// Sends a frame: `first` is FIN, the reserved bits and the opcode, be they allowed or not.
    pub async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send_bytes(&frame::encode(first, payload)).await;
    }

    /// Sends bytes as they are, and lets the server take them. What the server does not read in time is lost, as is
    /// what comes after the end.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let mut writing = std::pin::pin!(self.pipe.write_all(bytes));
        for _ in 0..=bytes.len() / 1024 {
            // An error means that the server has closed: the test will see that where it looks.
            if std::future::poll_fn(|cx| Poll::Ready(writing.as_mut().poll(cx))).await.is_ready() {
                break;
            }
            settle().await;
        }
        settle().await;
    }

    /// The next message is this text; what the holes (`…`) took.
    ///
    /// # Panics
    /// When the server sends something else, nothing, or closes.
    #[track_caller]
    pub fn expect(&mut self, pattern: &str) -> impl Future<Output = Vec<String>> {
        let (caller, pattern) = (std::panic::Location::caller(), pattern.to_owned());
        async move {
            match self.next().await {
                Some(Frame::Text(text)) => matches(&pattern, &text)
                    .unwrap_or_else(|| panic!("{caller}: expected {pattern:?}, the server sent {text:?}")),
                other => panic!("{caller}: expected {pattern:?}, the server sent {}", self.tell(other)),
            }
        }
    }

    /// The next message is binary and has these bytes.
    ///
    /// # Panics
    /// When the server sends something else, nothing, or closes.
    #[track_caller]
    pub fn expect_binary(&mut self, bytes: &[u8]) -> impl Future<Output = ()> {
        let (caller, bytes) = (std::panic::Location::caller(), bytes.to_owned());
        async move {
            match self.next().await {
                Some(Frame::Binary(sent)) if sent == bytes => {}
                other => panic!("{caller}: expected {bytes:?}, the server sent {}", self.tell(other)),
            }
        }
    }

    /// The server sends nothing and keeps the connection open.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn expect_nothing(&mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let next = self.next().await;
            assert!(
                next.is_none() && !self.ended,
                "{caller}: expected nothing, the server sent {}",
                self.tell(next.clone())
            );
        }
    }

    /// The server closes the WebSocket, with this code (`None`: without any), and then the connection.
    ///
    /// # Panics
    /// When it sends something else first, or does not close.
    #[track_caller]
    pub fn expect_closed(&mut self, code: Option<u16>) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let next = self.next().await;
            assert_eq!(next, Some(Frame::Close(code)), "{caller}: the server sent {}", self.tell(next.clone()));
            let next = self.next().await;
            assert!(next.is_none() && self.ended, "{caller}: after a close frame comes nothing but the end");
        }
    }

    /// The connection ends without a close frame.
    ///
    /// # Panics
    /// When something else comes first, or it does not end.
    #[track_caller]
    pub fn expect_cut(&mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let next = self.next().await;
            assert!(next.is_none() && self.ended, "{caller}: the server sent {}", self.tell(next.clone()));
        }
    }

    /// The next frame, if there is one when everything that can run has run.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.next_read() {
                return Some(frame);
            }
            settle().await;
            if self.read(64 * 1024).await == 0 {
                return None;
            }
        }
    }

    /// Reads at most so many bytes of what is there, as a slow client does; see [`Self::next_read`].
    pub async fn read_slowly(&mut self, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            settle().await;
            let read = self.read(left).await;
            if read == 0 {
                return;
            }
            left -= read;
        }
    }

    /// The next frame among what has been read; nothing more is read for it.
    pub fn next_read(&mut self) -> Option<Frame> {
        if let Some(reason) = frame::close_reason(&self.bytes) {
            self.reason = reason;
        }
        frame::decode(&mut self.bytes)
    }

    /// All that is there, each text message as one string; what is not text is left out.
    pub async fn drain(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(frame) = self.next().await {
            if let Frame::Text(text) = frame {
                texts.push(text);
            }
        }
        texts
    }

    /// Goes with a reset, as if the cable had been pulled and the network had noticed.
    pub fn reset(self) {
        self.reset.set();
    }

    /// Says farewell properly: a close frame, the server's answer, the end.
    ///
    /// # Panics
    /// When the server does not answer it.
    pub async fn close(mut self) {
        self.send_frame(0x88, &1000u16.to_be_bytes()).await;
        while let Some(frame) = self.next().await {
            if matches!(frame, Frame::Close(_)) {
                return;
            }
        }
        panic!("the server did not answer the close frame");
    }

    /// What the server's close frame said beside its code.
    pub fn close_reason(&self) -> &str {
        &self.reason
    }

    /// Whether the server has closed the connection. Known only after reading.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    fn tell(&self, next: Option<Frame>) -> String {
        match next {
            Some(frame) => format!("{frame:?}"),
            None if self.ended => "nothing and closed the connection".to_owned(),
            None => "nothing".to_owned(),
        }
    }

    /// Reads what is there, `most` bytes of it; how many there were.
    async fn read(&mut self, most: usize) -> usize {
        let mut buffer = vec![0; most];
        std::future::poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut buffer);
            Poll::Ready(match std::pin::Pin::new(&mut self.pipe).poll_read(cx, &mut buffer) {
                Poll::Pending => 0,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.bytes.extend_from_slice(buffer.filled());
                    buffer.filled().len()
                }
                Poll::Ready(_) => {
                    self.ended = true;
                    0
                }
            })
        })
        .await
    }
}
