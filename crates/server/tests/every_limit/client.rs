//! A client on any transport, and what it is told when it goes too far.

use std::time::Duration;

use sockeye_testing::{Frame, Net, Polling, WebSocket};

/// How a client talks to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Polling,
    Websocket,
    /// WebSocket, having begun with polling.
    Upgraded,
    /// See `webtransport.rs`.
    #[cfg(feature = "webtransport")]
    Webtransport(crate::webtransport::Way),
}

impl Transport {
    /// Whether the session began with polling and has gone over.
    pub(crate) fn is_upgraded(self) -> bool {
        match self {
            Self::Polling | Self::Websocket => false,
            Self::Upgraded => true,
            #[cfg(feature = "webtransport")]
            Self::Webtransport(way) => way == crate::webtransport::Way::Upgraded,
        }
    }
}

pub(crate) const TRANSPORTS: [Transport; 3] = [Transport::Polling, Transport::Websocket, Transport::Upgraded];

/// What a client sends.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// An Engine.IO packet as text.
    Text(String),
    /// So many bytes of an attachment.
    Binary(usize),
    /// Frames as bytes, which only streams have.
    Frames(Vec<u8>),
    /// Time passes.
    Wait(Duration),
}

/// What a client learns of having gone too far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    /// Code and reason of a close frame.
    Closed(Option<u16>, String),
    /// Status and body of the answer to a POST.
    Answered(u16, String),
}

pub(crate) enum Client {
    Polling(Polling),
    Stream(WebSocket),
}

impl Client {
    pub(crate) async fn open(net: &Net, transport: Transport) -> Self {
        match transport {
            Transport::Polling => Self::Polling(net.polling().await),
            Transport::Websocket => Self::Stream(net.websocket().await),
            Transport::Upgraded => {
                let mut stream = net.polling().await.upgrade().await;
                stream.send("2probe").await;
                stream.expect("3probe").await;
                stream.send("5").await;
                Self::Stream(stream)
            }
            #[cfg(feature = "webtransport")]
            Transport::Webtransport(_) => panic!("it has a client of its own"),
        }
    }

    /// Joins the main namespace; the id of the socket.
    pub(crate) async fn join(&mut self) -> String {
        match self {
            Self::Polling(polling) => polling.join().await,
            Self::Stream(stream) => {
                stream.send("40").await;
                stream.expect("40{\"sid\":\"…\"}").await.remove(0)
            }
        }
    }

    /// Sends all of it, whatever comes back; what the client was told.
    pub(crate) async fn send_all(&mut self, net: &Net, pieces: Vec<Piece>) -> Told {
        let mut told = Told::Nothing;
        for piece in pieces {
            let answer = self.send(net, piece).await;
            told = if told == Told::Nothing { answer } else { told };
        }
        let Self::Stream(stream) = self else { return told };
        while let Some(frame) = stream.next().await {
            if let Frame::Close(code) = frame {
                told = Told::Closed(code, stream.close_reason().to_owned());
            }
        }
        told
    }

    pub(crate) async fn send(&mut self, net: &Net, piece: Piece) -> Told {
        match (self, piece) {
            (_, Piece::Wait(time)) => net.advance(time).await,
            (Self::Stream(stream), Piece::Text(text)) => stream.send(&text).await,
            (Self::Stream(stream), Piece::Binary(length)) => stream.send_binary(&vec![0; length]).await,
            (Self::Stream(stream), Piece::Frames(bytes)) => stream.send_bytes(&bytes).await,
            (Self::Polling(polling), Piece::Text(text)) => return post(polling, &text).await,
            (Self::Polling(polling), Piece::Binary(length)) => return post(polling, &base64(length)).await,
            (Self::Polling(_), Piece::Frames(_)) => panic!("polling has no frames"),
        }
        Told::Nothing
    }

    /// The next packet is this one.
    pub(crate) async fn expect(&mut self, pattern: &str) {
        match self {
            Self::Polling(polling) => drop(polling.expect(pattern).await),
            Self::Stream(stream) => drop(stream.expect(pattern).await),
        }
    }

    /// The server has ended the session: a stream, or by CLOSE in the next GET.
    pub(crate) async fn expect_end(&mut self, what: &str) {
        match self {
            Self::Polling(polling) => {
                let answer = polling.get().answer().await;
                assert_eq!(answer.text().split('\u{1e}').next_back(), Some("1"), "{what}");
            }
            Self::Stream(stream) => assert!(stream.is_ended(), "{what}"),
        }
    }

    /// Ends the session, if the server has not.
    pub(crate) async fn leave(self) {
        match self {
            Self::Polling(polling) => drop(polling.post("1").answer().await),
            Self::Stream(stream) => drop(stream),
        }
        sockeye_testing::settle().await;
    }
}

async fn post(polling: &Polling, body: &str) -> Told {
    let answer = polling.post(body).answer().await;
    match answer.status.as_u16() {
        200 => Told::Nothing,
        status => Told::Answered(status, answer.text().to_owned()),
    }
}

/// An attachment of so many zeros, as polling carries it.
fn base64(length: usize) -> String {
    let rest = ["", "AA==", "AAA="][length % 3];
    format!("b{}{rest}", "AAAA".repeat(length / 3))
}
