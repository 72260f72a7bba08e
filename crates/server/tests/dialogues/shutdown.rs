//! `close`: who is told, what is waited for, and what is cut.

use sockeye::adapter::{Adapter, AdapterFuture, Command, Selection};
use sockeye::parser::{NamespacePath, OwnedArgs};
use sockeye::{ClusterError, SocketInfo};

use crate::common::*;
use crate::polling::slow_body;

/// Closes in the background and lets everything run.
async fn closing(io: &Server, grace: Duration) -> tokio::task::JoinHandle<()> {
    let io = io.clone();
    let closing = tokio::spawn(async move { io.close(grace).await });
    settle().await;
    closing
}

fn watched() -> (Server, Net, Log) {
    let (io, net) = plain();
    let log = Log::default();
    let left = log.clone();
    io.on_disconnect(async move |_, reason| left.add(reason));
    (io, net, log)
}

#[tokio::test(start_paused = true)]
async fn everybody_is_told_and_gets_what_was_emitted_before() {
    let (io, net, log) = watched();
    let (mut alice, _) = net.join().await;
    let bob = net.polling().await;
    bob.join().await;
    let waiting = bob.get();
    waiting.expect_waiting().await;
    let carol = net.polling().await;
    carol.join().await;
    io.emit("last words", ()).unwrap();
    let closing = closing(&io, secs(5)).await;
    alice.expect("42[\"last words\"]").await;
    alice.expect_closed(Some(1001)).await;
    waiting.expect(200, "42[\"last words\"]").await;
    carol.expect("42[\"last words\"]").await;
    bob.expect("1").await;
    carol.expect("1").await;
    settle().await;
    assert!(closing.is_finished());
    assert_eq!(log.take(), ["server shutting down"; 3]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_any_more() {
    let (io, net, _) = watched();
    io.close(secs(1)).await;
    let open = net.request("GET", "/socket.io/?EIO=4&transport=polling", &[], "").answer().await;
    assert!(open.status.is_client_error() || open.status.is_server_error(), "{}", open.status);
    let (client, server) = tokio::io::duplex(1024);
    let serving = io.clone();
    let serving = tokio::spawn(async move { serving.serve_stream(server, None).await });
    settle().await;
    assert!(serving.is_finished());
    drop(client);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_does_not_outlive_the_server() {
    let (io, _, _) = watched();
    let (client, server) = tokio::io::duplex(1024);
    let serving = io.clone();
    let serving = tokio::spawn(async move { serving.serve_stream(server, None).await });
    settle().await;
    assert!(!serving.is_finished());
    io.close(secs(1)).await;
    settle().await;
    assert!(serving.is_finished());
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn handlers_end_within_the_grace() {
    let (io, net, log) = watched();
    let seen = log.clone();
    io.on("work", async move |socket: Socket, (): ()| {
        tokio::time::sleep(secs(3)).await;
        seen.add(format!("done {}", socket.emit("result", ()).is_err()));
    });
    let (mut alice, _) = net.join().await;
    alice.send("42[\"work\"]").await;
    let closing = closing(&io, secs(5)).await;
    assert_eq!(log.take(), ["server shutting down"]);
    net.advance(millis(2_900)).await;
    assert!(!closing.is_finished());
    net.advance(millis(200)).await;
    assert!(closing.is_finished());
    assert_eq!(log.take(), ["done true"]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_stuck_is_cut_after_the_grace() {
    let (io, net, log) = watched();
    io.on("stuck", async |_, (): ()| std::future::pending::<()>().await);
    let (mut alice, _) = net.join().await;
    alice.send("42[\"stuck\"]").await;
    let closing = closing(&io, secs(5)).await;
    net.advance(millis(4_900)).await;
    assert!(!closing.is_finished());
    net.advance(millis(200)).await;
    assert!(closing.is_finished());
    assert_eq!(log.take(), ["server shutting down"]);
    net.assert_clean().await;
}

/// A broker that does not answer; how often it was said farewell to.
#[derive(Debug, Default)]
struct Stuck(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Adapter for Stuck {
    fn publish(&self, _: &NamespacePath, _: &Selection, _: Command<'_>) -> Result<(), ClusterError> {
        Ok(())
    }

    fn fetch_sockets<'a>(
        &'a self,
        _: &'a NamespacePath,
        _: &'a Selection,
        _: Duration,
    ) -> AdapterFuture<'a, Vec<SocketInfo>> {
        Box::pin(std::future::pending())
    }

    fn server_side_emit<'a>(
        &'a self,
        _: &'a NamespacePath,
        _: &'a str,
        _: &'a OwnedArgs,
        _: Option<Duration>,
    ) -> AdapterFuture<'a, Vec<OwnedArgs>> {
        Box::pin(std::future::pending())
    }

    fn close(&self) -> AdapterFuture<'_, ()> {
        Box::pin(async {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            std::future::pending().await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_stuck_does_not_hold_the_server() {
    for (grace, early) in [(5_000, 4_900), (0, 0)] {
        let broker = Stuck::default();
        let farewells = std::sync::Arc::clone(&broker.0);
        let io = Server::builder().adapter(broker).build().unwrap();
        let net = Net::new(&io);
        let (alice, _) = net.join().await;
        drop(alice);
        let closing = closing(&io, millis(grace)).await;
        net.advance(millis(early)).await;
        assert_eq!(closing.is_finished(), grace == 0);
        net.advance(millis(200)).await;
        assert!(closing.is_finished(), "{grace}");
        assert_eq!(farewells.load(std::sync::atomic::Ordering::SeqCst), 1);
        net.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_grace_on_disconnect_is_called_all_the_same() {
    let (io, net, log) = watched();
    let (alice, _) = net.join().await;
    let bob = net.polling().await;
    bob.join().await;
    io.close(Duration::ZERO).await;
    assert_eq!(log.take(), ["server shutting down"; 2]);
    drop(alice);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_not_waited_for_beyond_the_grace() {
    let (io, net, log) = watched();
    let (alice, _) = net.with_buffer(512).join().await;
    io.emit("e", "x".repeat(10_000)).unwrap();
    settle().await;
    let closing = closing(&io, secs(2)).await;
    assert!(!closing.is_finished());
    net.advance(millis(2_001)).await;
    assert!(closing.is_finished());
    assert_eq!(log.take(), ["server shutting down"]);
    drop(alice);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn half_upgrades_end() {
    let (io, net, log) = watched();
    let (probing, paused) = (net.polling().await, net.polling().await);
    probing.join().await;
    paused.join().await;
    let (mut a, mut b) = (probing.upgrade().await, paused.upgrade().await);
    b.send("2probe").await;
    b.expect("3probe").await;
    let closing = closing(&io, secs(5)).await;
    assert_eq!(log.take(), ["server shutting down"; 2]);
    net.advance(secs(6)).await;
    assert!(closing.is_finished());
    a.drain().await;
    b.drain().await;
    assert!(a.is_ended() && b.is_ended());
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_to_be_let_in_is_not() {
    let (io, net, log) = watched();
    io.authorize(async |_, (): ()| std::future::pending().await);
    let mut alice = net.websocket().await;
    alice.send("40").await;
    let closing = closing(&io, secs(5)).await;
    assert!(closing.is_finished());
    alice.expect_closed(Some(1001)).await;
    assert_eq!(log.take(), [""; 0]);
    net.assert_clean().await;
}

/// What comes while the connection is being closed must not bring a socket to life again.
#[tokio::test(start_paused = true)]
async fn a_connect_that_comes_too_late_is_not_heard() {
    let (io, net, log) = watched();
    let connects = log.clone();
    io.on_connect(async move |_| connects.add("connect"));
    let bob = net.polling().await;
    bob.join().await;
    io.emit("not fetched yet", ()).unwrap();
    let closing = closing(&io, secs(5)).await;
    drop(bob.post("40\u{1e}42[\"late\"]").answer().await);
    assert_eq!(log.take(), ["connect", "server shutting down"]);
    assert!(!closing.is_finished());
    bob.expect("42[\"not fetched yet\"]").await;
    bob.expect("1").await;
    settle().await;
    assert!(closing.is_finished());
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_under_way_does_not_hold_the_server() {
    let (io, net, _) = watched();
    let bob = net.polling().await;
    bob.join().await;
    let (sending, body) = slow_body();
    let slow = net.send(http::Request::builder().method("POST").uri(bob.target()).body(body).unwrap());
    slow.expect_waiting().await;
    let closing = closing(&io, secs(5)).await;
    net.advance(secs(6)).await;
    assert!(closing.is_finished());
    sending.send("42[\"late\"]".into()).await.unwrap();
    drop(sending);
    slow.expect(400, "{\"code\":1,\"message\":\"Session ID unknown\"}").await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_close_the_server() {
    let (io, net, log) = watched();
    let server = io.clone();
    io.on("shut down", async move |_, (): ()| server.close(secs(1)).await);
    let ((mut alice, _), (bob, _)) = (net.join().await, net.join().await);
    alice.send("42[\"shut down\"]").await;
    assert_eq!(log.take(), ["server shutting down"; 2]);
    net.advance(millis(1_001)).await;
    drop((alice, bob));
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn closing_twice_is_closing_once() {
    let (io, net, log) = watched();
    let (alice, _) = net.join().await;
    let (first, second) = (closing(&io, secs(1)).await, closing(&io, secs(1)).await);
    net.advance(secs(2)).await;
    assert!(first.is_finished() && second.is_finished());
    assert_eq!(log.take(), ["server shutting down"]);
    drop(alice);
    net.assert_clean().await;
}

/// All come back where they went, so they must not all go at once.
#[tokio::test(start_paused = true)]
async fn many_are_told_one_after_the_other() {
    let (io, net, log) = watched();
    io.on("echo", async |socket: Socket, (): ()| socket.emit("echo", ()));
    let mut clients = Vec::new();
    for _ in 0..1_000 {
        clients.push(net.join().await.0);
    }
    assert!(io.is_ready());
    let closing = closing(&io, secs(10)).await;
    assert!(!io.is_ready());
    assert_eq!(log.take().len(), 16, "the first are told at once");
    let mut told = 16;
    for part in 1..=20 {
        net.advance(millis(100)).await;
        told += log.take().len();
        assert!((told..told + 33).contains(&(16 + part * 50)), "{told} of 1,000 after {part} parts of 20");
        let refused = net.request("GET", "/socket.io/?EIO=4&transport=polling", &[], "").answer().await;
        refused.expect(503, "{\"code\":4,\"message\":\"Server shutting down\"}");
        assert!(refused.headers.contains_key("retry-after"));
    }
    assert_eq!(told, 1_000);
    assert!(closing.is_finished());
    drop(clients);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn who_was_not_told_yet_is_served() {
    let (io, net) = echo();
    let mut clients = Vec::new();
    for _ in 0..500 {
        clients.push(net.join().await.0);
    }
    let bob = net.polling().await;
    bob.join().await;
    let closing = closing(&io, secs(60)).await;
    net.advance(millis(500)).await;
    let (mut served, mut gone) = (0, 0);
    for client in &mut clients {
        client.send("42[\"echo\",\"x\"]").await;
        match client.next().await {
            Some(Frame::Text(text)) if text == "42[\"echo\",\"x\"]" => served += 1,
            Some(Frame::Close(Some(1001))) => gone += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(served > 200 && gone > 200, "{served} are served, {gone} are gone");
    net.advance(millis(600)).await;
    bob.expect("1").await;
    net.advance(millis(1)).await;
    assert!(closing.is_finished());
    drop(clients);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_are_told_in_a_fifth_of_a_second() {
    let (io, net, log) = watched();
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(net.join().await.0);
    }
    let began = tokio::time::Instant::now();
    io.close(secs(30)).await;
    assert!(began.elapsed() < millis(250), "{:?}", began.elapsed());
    assert_eq!(log.take().len(), 100);
    drop(clients);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn half_of_the_grace_is_for_telling_however_many_there_are() {
    let (io, net, log) = watched();
    let mut clients = Vec::new();
    for _ in 0..1_000 {
        clients.push(net.join().await.0);
    }
    let closing = closing(&io, millis(400)).await;
    net.advance(millis(100)).await;
    let told = log.take().len();
    assert!((450..=550).contains(&told), "{told}");
    net.advance(millis(101)).await;
    assert_eq!(told + log.take().len(), 1_000);
    assert!(closing.is_finished());
    drop(clients);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_end_may_give_up() {
    let (io, net, log) = watched();
    io.on("stuck", async |_, (): ()| std::future::pending::<()>().await);
    let (mut alice, _) = net.join().await;
    alice.send("42[\"stuck\"]").await;
    let closing = closing(&io, secs(5)).await;
    closing.abort();
    net.advance(millis(4_900)).await;
    assert_eq!(io.metrics().tasks, 1);
    net.advance(millis(200)).await;
    assert_eq!(log.take(), ["server shutting down"]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_shortest_grace_counts() {
    let (io, net, _) = watched();
    io.on("stuck", async |_, (): ()| std::future::pending::<()>().await);
    let (mut alice, _) = net.join().await;
    alice.send("42[\"stuck\"]").await;
    let (patient, hurried) = (closing(&io, Duration::MAX).await, closing(&io, secs(1)).await);
    net.advance(millis(900)).await;
    assert!(!patient.is_finished() && !hurried.is_finished());
    net.advance(millis(200)).await;
    assert!(patient.is_finished() && hurried.is_finished());
    net.assert_clean().await;
}

/// Everything that may hold up an end, at once.
#[tokio::test(start_paused = true)]
async fn whatever_is_under_way_the_end_comes_at_the_deadline() {
    let (io, net, log) = watched();
    io.on("stuck", async |_: Socket, (): ()| std::future::pending::<()>().await);
    io.of("/undecided").authorize(async |_, (): ()| std::future::pending().await);
    let net = net.with_buffer(1_024);
    let (mut stuck, _) = net.join().await;
    stuck.send("42[\"stuck\"]").await;
    let (deaf, id) = net.join().await;
    io.to(id).emit("long", "x".repeat(100_000)).unwrap();
    let mut undecided = net.websocket().await;
    undecided.send("40/undecided,").await;
    let upgrading = net.polling().await;
    upgrading.join().await;
    let mut probe = net.open(&upgrading.target().replace("=polling", "=websocket"), &[]).await;
    probe.send("2probe").await;
    let mut parked = Vec::new();
    for _ in 0..1_000 {
        let polling = net.polling().await;
        polling.join().await;
        parked.push(polling.get());
    }
    let began = tokio::time::Instant::now();
    let server = io.clone();
    let closing = tokio::spawn(async move { server.close(secs(10)).await });
    while !closing.is_finished() {
        net.advance(secs(1)).await;
        assert!(began.elapsed() <= secs(11), "the end does not come");
    }
    let mut reasons = log.take();
    assert_eq!(reasons.len(), 1_003);
    reasons.dedup();
    assert_eq!(reasons, ["server shutting down"]);
    assert_eq!((io.metrics().sessions, io.metrics().tasks), (0, 0));
    drop((stuck, deaf, undecided, probe, parked));
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_client_waits_for_is_sent_before_the_end() {
    let (io, net, log) = watched();
    io.on_with_ack("work", async |_, (): ()| {
        tokio::time::sleep(secs(3)).await;
        "done"
    });
    let (mut alice, _) = net.join().await;
    let bob = net.polling().await;
    bob.join().await;
    alice.send("420[\"work\"]").await;
    bob.send("420[\"work\"]").await;
    let closing = closing(&io, secs(8)).await;
    assert_eq!(log.take(), Vec::<String>::new(), "nobody has left yet");
    net.advance(millis(3_001)).await;
    alice.expect("430[\"done\"]").await;
    alice.expect_closed(Some(1001)).await;
    bob.expect("430[\"done\"]").await;
    bob.expect("1").await;
    settle().await;
    assert!(closing.is_finished());
    assert_eq!(log.take(), ["server shutting down"; 2]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_client_is_heard_before_the_end_and_nothing_new() {
    let (io, net, log) = watched();
    let seen = log.clone();
    io.on("late", async move |_, (): ()| seen.add("heard"));
    let (mut alice, _) = net.join().await;
    let socket = io.of("/").sockets().pop().unwrap();
    let asked = tokio::spawn(socket.emit_with_ack::<_, String>("ask", ()).send());
    alice.expect("420[\"ask\"]").await;
    let closing = closing(&io, secs(8)).await;
    alice.send("42[\"late\"]").await;
    alice.send("430[\"yes\"]").await;
    assert_eq!(asked.await.unwrap().unwrap(), "yes");
    alice.expect_closed(Some(1001)).await;
    settle().await;
    assert!(closing.is_finished());
    assert_eq!(log.take(), ["server shutting down"]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn answers_are_not_waited_for_in_the_last_quarter_of_the_grace() {
    let (io, net, log) = watched();
    io.on_with_ack("stuck", async |_, (): ()| std::future::pending::<()>().await);
    let (mut alice, _) = net.join().await;
    alice.send("420[\"stuck\"]").await;
    let closing = closing(&io, secs(8)).await;
    net.advance(millis(5_900)).await;
    assert_eq!(log.take(), Vec::<String>::new());
    net.advance(millis(200)).await;
    assert_eq!(log.take(), ["server shutting down"]);
    alice.expect_closed(Some(1001)).await;
    assert!(!closing.is_finished(), "the handler is still there");
    net.advance(millis(2_000)).await;
    assert!(closing.is_finished());
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn closing_again_with_less_grace_waits_less_for_answers() {
    let (io, net, log) = watched();
    io.on_with_ack("stuck", async |_, (): ()| std::future::pending::<()>().await);
    let (mut alice, _) = net.join().await;
    alice.send("420[\"stuck\"]").await;
    let patient = closing(&io, secs(80)).await;
    let hasty = closing(&io, secs(4)).await;
    net.advance(millis(3_100)).await;
    assert_eq!(log.take(), ["server shutting down"]);
    net.advance(millis(1_000)).await;
    assert!(patient.is_finished() && hasty.is_finished());
    net.assert_clean().await;
}
