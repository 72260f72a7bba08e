//! One session: a task that feeds `Session` and does what it says.

use std::time::Instant;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use sockeye_engine::ws::{self, Decoder, Item, Limits};
use sockeye_engine::{
    CloseReason, Encoded, Event, Lane, Message, Packet, ProtocolError, Revision, Role, Session, payload, payload_v3,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// The way to a session's task.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) inputs: mpsc::UnboundedSender<Input>,
    pub(crate) revision: Revision,
}

/// The answer to a request: status, content type, body. Dropped unsent: the session is over.
pub(crate) type Answer = oneshot::Sender<(u16, &'static str, Vec<u8>)>;
pub(crate) type Stream = TokioIo<Upgraded>;

pub(crate) enum Input {
    Poll(Answer),
    Post { body: Bytes, binary: bool, answer: Answer },
    Stream(Stream),
}

pub(crate) struct Task {
    session: Session,
    inputs: mpsc::UnboundedReceiver<Input>,
    takes_binary: bool,
    poll: Option<Answer>,
    stream: Option<Stream>,
    decoder: Decoder,
}

const TEXT: &str = "text/plain; charset=UTF-8";

impl Task {
    pub(crate) fn new(session: Session, inputs: mpsc::UnboundedReceiver<Input>, takes_binary: bool) -> Self {
        let decoder = Decoder::new(Role::Server, Limits::default());
        Self { session, inputs, takes_binary, poll: None, stream: None, decoder }
    }

    pub(crate) async fn run(mut self) {
        let mut buffer = vec![0; 65_536];
        while !self.session.is_finished() {
            self.write().await;
            let deadline = self.session.poll_timeout().unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                read = read(&mut self.stream, &mut buffer) => self.received(&mut buffer, read.unwrap_or(0)),
                Some(input) = self.inputs.recv() => self.take(input, &mut buffer).await,
                () = gone(&mut self.poll) => {
                    self.poll = None;
                    self.session.handle_lane_closed(Instant::now(), Lane::Polling, CloseReason::TransportError);
                }
                () = tokio::time::sleep_until(deadline.into()) => self.session.handle_timeout(Instant::now()),
            }
            self.follow().await;
        }
        self.write().await;
        self.close().await;
    }

    /// What the session decided.
    async fn follow(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Opened(_) | Event::Upgraded => {}
                Event::UpgradeFailed => self.close().await,
                Event::Closed(_) => self.write().await,
            }
        }
    }

    async fn take(&mut self, input: Input, buffer: &mut [u8]) {
        match input {
            Input::Poll(answer) => {
                // The switch to the stream may wait there while this request has overtaken it.
                for _ in 0..2 {
                    tokio::task::yield_now().await;
                    tokio::select! {
                        biased;
                        read = read(&mut self.stream, buffer) => self.received(buffer, read.unwrap_or(0)),
                        () = std::future::ready(()) => {}
                    }
                }
                match self.session.handle_poll(Instant::now()) {
                    Ok(()) => self.poll = Some(answer),
                    Err(_) => refuse(answer),
                }
            }
            Input::Post { body, binary, answer } => match self.received_payload(&body, binary) {
                Err(ProtocolError::WrongTransport) => refuse(answer),
                result => {
                    drop(answer.send((200, "text/html", b"ok".to_vec())));
                    self.judge(result);
                }
            },
            Input::Stream(stream) => {
                if self.session.handle_stream_open(Instant::now()).is_ok()
                    || self.session.data_lane() == Some(Lane::Stream)
                {
                    self.stream.get_or_insert(stream);
                }
            }
        }
    }

    fn received_payload(&mut self, body: &[u8], binary: bool) -> Result<(), ProtocolError> {
        match self.session.revision() {
            Revision::V3 => {
                payload_v3::Packets::new(body, binary)?.try_for_each(|packet| self.packet(Lane::Polling, packet?))
            }
            Revision::V4 => payload::Packets::new(body)?.try_for_each(|packet| self.packet(Lane::Polling, packet?)),
        }
    }

    /// Bytes of the stream; none: it has ended.
    fn received(&mut self, buffer: &mut [u8], n: usize) {
        if n == 0 {
            self.stream = None;
            return self.session.handle_lane_closed(Instant::now(), Lane::Stream, CloseReason::TransportClose);
        }
        let (mut at, revision) = (0, self.session.revision());
        while at < n {
            let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new(Role::Server, Limits::default()));
            let outcome = match decoder.decode(&mut buffer[at..n]) {
                Ok((used, item)) => {
                    at += used;
                    match item {
                        Some(Item::Text(text)) if revision == Revision::V3 => Packet::decode_text_v3(text).map(Some),
                        Some(Item::Text(text)) => Packet::decode_text(text).map(Some),
                        Some(Item::Binary(bytes)) => Packet::decode_binary(bytes, revision).map(Some),
                        Some(Item::Close(_)) => Ok(Some(Packet::Close)),
                        Some(Item::Ping(_) | Item::Pong(_)) | None => Ok(None),
                    }
                }
                Err(_) => return self.session.close(CloseReason::TransportError),
            };
            let result = outcome.and_then(|packet| packet.map_or(Ok(()), |packet| self.packet(Lane::Stream, packet)));
            self.judge(result);
            self.decoder = decoder;
        }
    }

    /// The application: every message comes back.
    fn packet(&mut self, lane: Lane, packet: Packet<'_>) -> Result<(), ProtocolError> {
        match self.session.handle_packet(Instant::now(), lane, packet)? {
            Some(Message::Text(text)) => self.session.send(Encoded::text(text)),
            Some(Message::Binary(bytes)) => self.session.send(Encoded::binary(&bytes)),
            None => {}
        }
        Ok(())
    }

    fn judge(&mut self, result: Result<(), ProtocolError>) {
        if let Err(error) = result {
            self.session.close(error.close_reason());
        }
    }

    async fn write(&mut self) {
        let frames: Vec<Encoded> = match self.stream {
            Some(_) => std::iter::from_fn(|| self.session.poll_transmit(Lane::Stream)).collect(),
            None => Vec::new(),
        };
        if let Some(stream) = &mut self.stream {
            for packet in frames {
                let frame = match self.session.revision() {
                    Revision::V3 => packet.frame_v3(self.takes_binary),
                    Revision::V4 => packet.frame().clone(),
                };
                drop(stream.write_all(&frame).await);
            }
            drop(stream.flush().await);
        }
        if self.poll.is_some() {
            let packets: Vec<Encoded> = std::iter::from_fn(|| self.session.poll_transmit(Lane::Polling)).collect();
            if let Some(answer) = self.poll.take_if(|_| !packets.is_empty()) {
                self.session.finish_poll();
                drop(answer.send(self.body(&packets)));
            }
        }
    }

    fn body(&self, packets: &[Encoded]) -> (u16, &'static str, Vec<u8>) {
        let mut body = Vec::new();
        match self.session.revision() {
            Revision::V3 if payload_v3::encode(&mut body, packets, self.takes_binary) => {
                return (200, "application/octet-stream", body);
            }
            Revision::V3 => {}
            Revision::V4 => packets.iter().for_each(|packet| payload::append(&mut body, packet)),
        }
        (200, TEXT, body)
    }

    async fn close(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            let mut frame = Vec::new();
            ws::encode_close(&mut frame, None, "", None);
            drop(stream.write_all(&frame).await);
            drop(stream.shutdown().await);
        }
    }
}

fn refuse(answer: Answer) {
    drop(answer.send((400, "application/json", br#"{"code":3,"message":"Bad request"}"#.to_vec())));
}

/// Reads from the stream; never resolves without one.
async fn read(stream: &mut Option<Stream>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match stream {
        Some(stream) => stream.read(buffer).await,
        None => std::future::pending().await,
    }
}

/// Resolves when the client has given up its poll.
async fn gone(poll: &mut Option<Answer>) {
    match poll {
        Some(poll) => poll.closed().await,
        None => std::future::pending().await,
    }
}

/// A link and the task behind it.
pub(crate) fn open(session: Session, takes_binary: bool) -> (Link, Task) {
    let (inputs, receiver) = mpsc::unbounded_channel();
    (Link { inputs, revision: session.revision() }, Task::new(session, receiver, takes_binary))
}
