//! Clients whose handlers are behind: not read, but not forgotten.

use crate::common::*;

/// What waits behind `forever` before nothing more is read.
const MOST: usize = 10;

/// A handler that never ends, and a bound of events that wait.
fn server() -> (Server, Net, Log) {
    let io = Server::builder().max_waiting_events(MOST, 1_000_000).build().unwrap();
    io.on("forever", async |_, (): ()| std::future::pending::<()>().await);
    io.on("slow", async |_, (): ()| tokio::time::sleep(secs(600)).await);
    io.on("e", async |_, _: Option<String>| ());
    let log = Log::default();
    let seen = log.clone();
    io.on_disconnect(async move |_, reason| seen.add(reason));
    let net = Net::new(&io);
    (io, net, log)
}

/// Sends `first` and more events than may wait, each of so many bytes.
async fn jam(client: &mut WebSocket, first: &str, events: usize, length: usize) {
    client.send(first).await;
    let event = format!("42[\"e\",\"{}\"]", "x".repeat(length));
    client.send_all(&vec![&event[..]; MOST + events]).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_while_its_handlers_are_behind_is_noticed() {
    for how in ["end", "reset", "close frame, and end"] {
        let (io, net, log) = server();
        let (mut alice, _) = net.join().await;
        jam(&mut alice, "42[\"forever\"]", 20, 10).await;
        assert_eq!(io.metrics().sockets, 1, "{how}");
        match how {
            "reset" => alice.reset(),
            "end" => drop(alice),
            _ => {
                alice.send_frame(0x88, &1000_u16.to_be_bytes()).await;
                drop(alice);
            }
        }
        settle().await;
        net.advance(secs(1)).await;
        assert_eq!(log.take(), [if how == "reset" { "transport error" } else { "transport close" }], "{how}");
        assert_eq!((io.metrics().sockets, io.metrics().sessions), (0, 0), "{how}");
        // Join, the handler, and all the others: what came before the end is heard.
        assert_eq!(io.metrics().messages_received, 1 + 1 + MOST as u64 + 20, "{how}");
    }
}

/// Of what it said more than a little is unread: then its end cannot be seen, but pings cannot be written.
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_and_leaves_much_unread_is_noticed_by_a_ping() {
    let (io, net, log) = server();
    let (mut alice, _) = net.join().await;
    jam(&mut alice, "42[\"forever\"]", 50, 1_000).await;
    drop(alice);
    net.advance(secs(24)).await;
    assert_eq!((io.metrics().sockets, log.take()), (1, vec![]));
    net.advance(secs(2)).await;
    assert_eq!((io.metrics().sockets, log.take()), (0, vec!["transport error".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_while_its_handlers_are_behind_is_dead() {
    let (io, net, log) = server();
    let (mut alice, _) = net.join().await;
    jam(&mut alice, "42[\"forever\"]", 20, 10).await;
    net.advance(millis(44_900)).await;
    assert_eq!((io.metrics().sockets, log.take()), (1, vec![]));
    net.advance(millis(200)).await;
    assert_eq!((io.metrics().sockets, log.take()), (0, vec!["ping timeout".to_owned()]));
    drop(alice);
}

/// Its answers stand behind what is not read; it lives, and is pinged all the while.
#[tokio::test(start_paused = true)]
async fn a_client_that_lives_while_its_handlers_are_behind_is_not_taken_for_dead() {
    for length in [10, 1_000] {
        let (io, net, log) = server();
        let (mut alice, _) = net.join().await;
        jam(&mut alice, "42[\"slow\"]", 50, length).await;
        for _ in 0..24 {
            net.advance(millis(25_001)).await;
            alice.expect("2").await;
            alice.send("3").await;
        }
        assert_eq!((io.metrics().sockets, log.take()), (1, vec![]), "{length}");
        assert_eq!(io.metrics().messages_received, 1 + 1 + MOST as u64 + 50, "{length}: the handler has ended");
        net.advance(secs(1)).await;
        alice.send("42[\"e\"]").await;
        assert_eq!(io.metrics().messages_received, 1 + 1 + MOST as u64 + 51, "{length}");
        alice.close().await;
        net.assert_clean().await;
    }
}

/// A body larger than what may wait.
fn body(first: &str) -> String {
    format!("{first}{}", "\u{1e}42[\"e\"]".repeat(MOST + 5))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_polls_no_more_while_its_handlers_are_behind_is_dead() {
    // With a POST that is not taken yet, and without.
    for waits in [true, false] {
        let (io, net, log) = server();
        let bob = net.polling().await;
        bob.join().await;
        let post = waits.then(|| bob.post(&body("42[\"forever\"]")));
        if !waits {
            bob.send(&format!("42[\"forever\"]{}", "\u{1e}42[\"e\"]".repeat(MOST))).await;
        }
        net.advance(millis(25_001)).await;
        bob.expect("2").await;
        // While a POST waits, a GET is as good as PONG, which may stand behind it.
        net.advance(secs(if waits { 44 } else { 19 })).await;
        assert_eq!((io.metrics().sockets, log.take()), (1, vec![]));
        net.advance(secs(2)).await;
        assert_eq!((io.metrics().sockets, log.take()), (0, vec!["ping timeout".to_owned()]), "{waits}");
        drop(post);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gives_up_a_post_while_its_handlers_are_behind_is_gone() {
    let (io, net, log) = server();
    let bob = net.polling().await;
    bob.join().await;
    let post = bob.post(&body("42[\"forever\"]"));
    post.expect_waiting().await;
    drop(post);
    settle().await;
    assert_eq!((io.metrics().sockets, log.take()), (0, vec!["transport error".to_owned()]));
    net.advance(secs(60)).await;
    assert_eq!(io.metrics().sessions, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_polls_while_its_handlers_are_behind_is_not_taken_for_dead() {
    let (io, net, log) = server();
    let bob = net.polling().await;
    bob.join().await;
    let post = bob.post(&body("42[\"slow\"]"));
    let mut get = bob.get();
    for _ in 0..23 {
        net.advance(millis(25_001)).await;
        get.expect(200, "2").await;
        get = bob.get();
        post.expect_waiting().await;
    }
    net.advance(secs(25)).await;
    post.expect(200, "ok").await;
    get.expect(200, "2").await;
    bob.send("3").await;
    assert_eq!((io.metrics().sockets, log.take()), (1, vec![]));
    bob.close().await;
    net.assert_clean().await;
}

/// One socket may be at an event of any size, or no such event could be handled; the others count with those that wait,
/// also when they have left.
#[tokio::test(start_paused = true)]
async fn what_handlers_of_many_sockets_are_at_was_not_counted() {
    for leaves in [false, true] {
        let io = Server::builder().max_waiting_events(1_000, 100_000).build().unwrap();
        for path in ["/", "/a", "/b"] {
            io.of(path).on("work", async |_, _: String| tokio::time::sleep(secs(60)).await);
        }
        io.of("/").on_with_ack("ask", async |_, ()| true);
        let net = Net::new(&io);
        let mut alice = net.websocket().await;
        for path in ["/a", "/b", "/"] {
            alice.send(&format!("40{path},")).await;
            alice.next().await;
        }
        let work = |path: &str, length: usize| format!("42{path},[\"work\",\"{}\"]", "x".repeat(length));
        alice.send(&work("/a", 400_000)).await;
        if leaves {
            alice.send("41/a,").await;
        }
        alice.send("421[\"ask\"]").await;
        alice.expect("431[true]").await;
        alice.send(&work("/b", 90_000)).await;
        if leaves {
            alice.send("41/b,").await;
        }
        alice.send("422[\"ask\"]").await;
        alice.expect("432[true]").await;
        alice.send(&work("/", 20_000)).await;
        let read = io.metrics().messages_received;
        alice.send("42[\"work\",\"\"]").await;
        assert_eq!(io.metrics().messages_received, read, "leaves: {leaves}");
        // A handler ends: then it goes on.
        net.advance(secs(25)).await;
        alice.expect("2").await;
        alice.send("3").await;
        net.advance(secs(24)).await;
        assert_eq!(io.metrics().messages_received, read);
        net.advance(secs(12)).await;
        assert_eq!(io.metrics().messages_received, read + 1);
        alice.close().await;
        net.advance(secs(300)).await;
        net.assert_clean().await;
    }
}
