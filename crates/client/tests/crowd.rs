//! A crowd of clients that loses its server at once, and comes back to one that lets in only so many at a time.

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Far, Net, WAYS, pass, seconds, settle};
use parking_lot::Mutex;
use sockeye::{ErrorCode, Limit, Peer, Server, Socket};
use sockeye_client::{Client, ConnectError, Reconnect};
use tokio::sync::mpsc;
use tokio::time::Instant;

const CLIENTS: u32 = 500;
const RATE: u32 = 50;
const BURST: u32 = 20;
/// What the server asks for at this rate.
const ASKED: Duration = Duration::from_secs(1);

/// Who was told to stay away, and who came all the same.
#[derive(Clone, Default)]
struct Doorman(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    told: HashMap<u32, Instant>,
    early: Vec<u32>,
}

impl Doorman {
    fn told(&self, client: u32, error: &ConnectError) {
        if let Some(wait) = error.retry_after() {
            self.0.lock().told.insert(client, Instant::now() + wait);
        }
    }

    fn came(&self, peer: &Peer) {
        let client = peer.header("x-client").expect("all say it").parse().expect("a number");
        let mut book = self.0.lock();
        if book.told.get(&client).is_some_and(|until| Instant::now() < *until) {
            book.early.push(client);
        }
    }
}

/// The server to which they come back, and the numbers that it gets.
fn successor(doorman: &Doorman) -> (Server, mpsc::UnboundedReceiver<u32>) {
    let (refused, admitted) = (doorman.clone(), doorman.clone());
    let builder = Server::builder().handshake_rate(RATE, BURST);
    let io = builder.on_connection_error(move |error| refused.came(error.peer())).build().expect("the options agree");
    io.on_connect(async move |socket: Socket| admitted.came(socket.peer()));
    let (told, heard) = mpsc::unbounded_channel();
    io.on("n", async move |_, n: u32| {
        let _ = told.send(n);
    });
    (io, heard)
}

/// In no time were more let in than the burst and what the rate gives in that time.
fn assert_rate(opened: &[(Instant, u64)]) {
    for (at, (then, before)) in opened.iter().enumerate() {
        for (now, after) in &opened[at..] {
            let passed = now.duration_since(*then);
            let most = u128::from(BURST) + u128::from(RATE) * passed.as_millis() / 1_000;
            assert!(u128::from(after - before) <= most, "{} in {passed:?}", after - before);
        }
    }
}

/// Those with the default, and those who would be back before they may.
#[tokio::test(start_paused = true)]
async fn a_crowd_that_lost_its_server_comes_back_as_fast_as_it_may_and_loses_nothing() {
    let patient = Reconnect::default();
    lose_and_return(&patient, seconds(u64::from(CLIENTS / RATE)) + (Duration::from_millis(7_500) + ASKED) * 2).await;
    // These come together, after 1.05 to 1.3 s: each time no fewer than the burst are let in.
    let hasty = Reconnect::backoff(Duration::from_millis(100), Duration::from_millis(200));
    lose_and_return(&hasty, (Duration::from_millis(300) + ASKED) * (CLIENTS / BURST + 1)).await;
}

/// All lose it in the same moment, and each has something to say before it is back.
async fn lose_and_return(reconnect: &Reconnect, within: Duration) {
    let (doorman, first) = (Doorman::default(), Server::new());
    let net = Net::with(&first);
    let mut clients: Vec<Client> = Vec::new();
    for (n, way) in (0..CLIENTS).zip(WAYS.into_iter().cycle()) {
        let doorman = doorman.clone();
        let builder = net.client().transports(way).reconnect(reconnect.clone()).header("X-Client", &n.to_string());
        let builder = builder.on_connect_error(async move |_, error| doorman.told(n, &error));
        clients.push(builder.connect().await.expect("the first lets all in"));
    }
    net.set(Far::Refuses);
    net.cut();
    settle().await;
    for (n, client) in (0..CLIENTS).zip(&clients) {
        assert!(!client.state().is_connected());
        client.emit("n", n).expect("there is room for it offline");
    }
    let ((io, mut heard), restart) = (successor(&doorman), Instant::now());
    net.set(Far::Server(io.clone()));
    let mut opened = vec![(Instant::now(), 0)];
    while !clients.iter().map(Client::state).all(|state| state.is_connected()) {
        pass(Duration::from_millis(100)).await;
        opened.push((Instant::now(), io.metrics().sessions_opened));
        assert!(restart.elapsed() <= within, "{:?} are back", opened.last());
    }
    let refused = io.metrics().refusals.get(ErrorCode::Busy);
    assert_rate(&opened);
    assert_eq!(doorman.0.lock().early.len(), 0, "came before they should");
    assert!(refused > 0 && io.metrics().limits.get(Limit::Handshakes) == refused, "{refused} were refused");
    assert_eq!(io.metrics().sessions_opened, u64::from(CLIENTS));
    settle().await;
    let mut numbers: Vec<_> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..CLIENTS), "{} of {CLIENTS}", numbers.len());
    for client in clients {
        client.disconnect().await;
    }
    assert_eq!(net.open(), 0);
}
