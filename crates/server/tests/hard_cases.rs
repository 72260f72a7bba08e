//! Cases in which servers of this kind went wrong, or might: moments that coincide, ends in the middle of something, things
//! that come in two halves. What belongs to one feature alone is tested beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sockeye::{EmitError, Recovery, Server, Socket, WhenFull};
use sockeye_testing::{Frame, Net, Polling, WebSocket, settle};

/// How a client goes.
#[derive(Debug, Clone, Copy)]
enum End {
    CloseFrame,
    Fin,
    Goodbye,
    Reset,
}

/// What is under way when it goes.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Idle,
    HalfAFrame,
    HalfAPacket,
    ServerWrites,
    DuringOnConnect,
    DuringHandler,
    ServerAsks,
}

async fn go(mut client: WebSocket, end: End) {
    match end {
        End::CloseFrame => client.send_frame(0x88, &1000_u16.to_be_bytes()).await,
        End::Fin => {}
        End::Goodbye => client.send("41").await,
        End::Reset => return client.reset(),
    }
    drop(client);
}

/// A server whose hooks take a second, and how often each of them was called.
fn slow_server() -> (Server, Arc<[AtomicUsize; 2]>) {
    let io = Server::new();
    let calls: Arc<[AtomicUsize; 2]> = Arc::default();
    let (came, went) = (Arc::clone(&calls), Arc::clone(&calls));
    io.on_connect(async move |socket: Socket| {
        came[0].fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        socket.join("late");
    });
    io.on("wait", async |socket: Socket, (): ()| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        socket.join("later");
        // That the client has gone is what is tested; who says so is not asked.
        let _ = socket.emit("done", ());
    });
    io.on_disconnect(async move |socket: Socket, _| {
        socket.join("too late");
        tokio::time::sleep(Duration::from_secs(1)).await;
        went[1].fetch_add(1, Ordering::SeqCst);
    });
    (io, calls)
}

/// Brings a client to a moment.
async fn client_at(moment: Moment, io: &Server, net: &Net) -> WebSocket {
    let net = net.with_buffer(2_048);
    let (mut client, id) = net.join().await;
    if !matches!(moment, Moment::DuringOnConnect) {
        net.advance(Duration::from_secs(2)).await;
    }
    let socket = io.get(&id).expect("it has joined");
    match moment {
        Moment::Idle | Moment::DuringOnConnect => {}
        // The head of a frame of 5 bytes, its mask, and one byte.
        Moment::HalfAFrame => client.send_bytes(&[0x81, 0x85, 0, 0, 0, 0, b'4']).await,
        Moment::HalfAPacket => client.send("451-[\"wait\",{\"_placeholder\":true,\"num\":0}]").await,
        Moment::ServerWrites => socket.emit("much", "x".repeat(100_000)).expect("there is room"),
        Moment::DuringHandler => client.send("42[\"wait\"]").await,
        Moment::ServerAsks => drop(socket.emit_with_ack::<_, ()>("asked", ()).send()),
    }
    settle().await;
    client
}

#[tokio::test(start_paused = true)]
async fn whenever_and_however_a_client_goes_it_goes_once() {
    use Moment::{DuringHandler, DuringOnConnect, HalfAFrame, HalfAPacket, Idle, ServerAsks, ServerWrites};
    for moment in [Idle, HalfAFrame, HalfAPacket, ServerWrites, DuringOnConnect, DuringHandler, ServerAsks] {
        for end in [End::CloseFrame, End::Fin, End::Goodbye, End::Reset] {
            let (io, calls) = slow_server();
            let net = Net::new(&io);
            go(client_at(moment, &io, &net).await, end).await;
            // Where a goodbye cannot be heard, since it follows half of something, silence is what ends it.
            net.advance(Duration::from_mins(2)).await;
            let counted = [calls[0].load(Ordering::SeqCst), calls[1].load(Ordering::SeqCst)];
            assert_eq!(counted, [1, 1], "{moment:?}, {end:?}");
            assert!(io.of("/").rooms().is_empty(), "{moment:?}, {end:?}: {:?}", io.of("/").rooms());
            net.assert_clean().await;
        }
    }
}

/// socketioxide#627, socket.io#4380
#[tokio::test(start_paused = true)]
async fn a_join_after_the_end_leaves_no_ghost() {
    let io = Server::new();
    let joined = Arc::new(AtomicUsize::new(0));
    let joins = Arc::clone(&joined);
    io.on_connect(async move |socket: Socket| {
        // As a database would take it.
        let late = socket.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(20)).await;
            late.join(["red", "blue"]);
            assert!(late.emit("welcome", ()).is_err_and(|error| matches!(error, EmitError::Closed)));
            joins.fetch_add(1, Ordering::SeqCst);
        });
    });
    let net = Net::new(&io);
    let (client, _) = net.join().await;
    net.advance(Duration::from_secs(1)).await;
    client.close().await;
    net.advance(Duration::from_secs(30)).await;
    assert_eq!(joined.load(Ordering::SeqCst), 1);
    assert!(io.of("/").rooms().is_empty() && io.of("/").is_empty());
    let mut replies = io.to("red").emit_with_ack::<_, ()>("anybody?", ());
    assert!(replies.next().await.is_none());
    net.assert_clean().await;
}

async fn upgrade(bob: &Polling) -> WebSocket {
    let mut stream = bob.upgrade().await;
    stream.send("2probe").await;
    stream.expect("3probe").await;
    bob.expect("6").await;
    stream
}

/// Down, a packet and its attachments go by one transport, however large they are. Up, the order is what counts.
#[tokio::test(start_paused = true)]
async fn attachments_may_meet_an_upgrade() {
    let io = Server::builder().max_payload(1_000).build().expect("the options agree");
    io.on_with_ack("up", async |_, bytes: Bytes| bytes.len());
    let net = Net::new(&io);
    let bob = net.polling().await;
    let id = bob.join().await;
    let part = |byte| Bytes::from(vec![byte; 900]);
    for event in ["by polling", "by websocket"] {
        io.to(&id).emit(event, (part(1), part(2))).expect("there is room");
    }
    let body = bob.get().answer().await;
    let packets: Vec<_> = body.text().split('\u{1e}').map(|packet| &packet[..5]).collect();
    assert_eq!(packets, ["452-[", "bAQEB", "bAgIC"]);
    bob.send("451-1[\"up\",{\"_placeholder\":true,\"num\":0}]").await;

    let mut stream = bob.upgrade().await;
    stream.send("2probe").await;
    stream.expect("3probe").await;
    stream.send("5").await;
    stream.expect("452-[\"by websocket\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]").await;
    stream.expect_binary(&part(1)).await;
    stream.expect_binary(&part(2)).await;
    stream.send_binary(b"bytes").await;
    stream.expect("431[5]").await;
    stream.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_with_a_full_outbox_loses_nothing() {
    let io = Server::new();
    let net = Net::new(&io);
    let bob = net.polling().await;
    let id = bob.join().await;
    let mut stream = upgrade(&bob).await;
    for n in 0..10_000 {
        io.to(&id).emit("n", n).expect("there is room");
    }
    stream.send("5").await;
    for n in 0..10_000 {
        stream.expect(&format!("42[\"n\",{n}]")).await;
    }
    stream.close().await;
    net.assert_clean().await;
}

/// What is compressed is not what was announced: nothing is inflated.
#[tokio::test(start_paused = true)]
async fn compressed_bodies_are_not_inflated() {
    /// `42["up",1]`
    const GZIP: [u8; 30] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 51, 49, 138, 86, 42, 45, 80, 210, 49, 140, 5, 0, 50, 235, 237, 152, 10, 0, 0,
        0,
    ];
    let io = Server::new();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    io.on("up", async move |_, _: u32| _ = count.fetch_add(1, Ordering::SeqCst));
    let net = Net::new(&io);
    let bob = net.polling().await;
    bob.join().await;
    let headers = [("content-encoding", "gzip"), ("content-type", "text/plain")];
    let answer = net.request("POST", &bob.target(), &headers, GZIP.to_vec()).answer().await;
    // Taken and found to be no packets, which ends the session.
    assert_eq!((answer.text(), seen.load(Ordering::SeqCst), io.metrics().protocol_errors), ("ok", 0, 1));
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_packet_with_attachments_is_queued_whole_or_not_at_all() {
    for room in (1_000..1_500).step_by(7) {
        let io = Server::builder().outbox(room, 1_000).when_full(WhenFull::Fail).build().expect("the options agree");
        let net = Net::new(&io);
        let (mut client, id) = net.with_buffer(64).join().await;
        let socket = io.get(&id).expect("it has joined");
        let part = Bytes::from_static(&[7; 40]);
        let mut queued = 0;
        while socket.emit("e", (part.clone(), part.clone(), part.clone())).is_ok() {
            queued += 1;
        }
        let mut whole = 0;
        while let Some(frame) = client.next().await {
            assert!(matches!(&frame, Frame::Text(text) if text.starts_with("453-[\"e\",")), "{frame:?}");
            for _ in 0..3 {
                client.expect_binary(&part).await;
            }
            whole += 1;
        }
        assert_eq!(whole, queued, "room for {room} bytes");
        assert!(whole > 0);
    }
}

/// U+001E stands between the packets of a polling body; JSON has it escaped.
#[tokio::test(start_paused = true)]
async fn a_separator_inside_a_text_is_no_separator() {
    let io = Server::new();
    io.on_with_ack("echo", async |_, text: String| text);
    let net = Net::new(&io);
    let bob = net.polling().await;
    bob.join().await;
    bob.send("420[\"echo\",\"a\\u001eb\"]").await;
    bob.expect("430[\"a\\u001eb\"]").await;
    // Not escaped it is one, and each half is no packet.
    bob.send("421[\"echo\",\"a\u{1e}b\"]").await;
    assert_eq!(io.metrics().protocol_errors, 1);
    bob.expect("1").await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_come_before_it_is_waited_for_or_when_nobody_waits() {
    let io = Server::new();
    let net = Net::new(&io);
    let (mut client, id) = net.join().await;
    let socket = io.get(&id).expect("it has joined");
    let early = socket.emit_with_ack::<_, u32>("early", ()).send();
    client.expect("420[\"early\"]").await;
    client.send("430[1]").await;
    assert_eq!(early.await.expect("it is here"), 1);
    let dropped = socket.emit_with_ack::<_, u32>("dropped", ()).send();
    client.expect("421[\"dropped\"]").await;
    drop(dropped);
    client.send("431[2]").await;
    // A second answer, one for another namespace, one never asked for.
    client.send_all(&["430[3]", "4399[4]"]).await;
    client.expect_nothing().await;
    client.close().await;
    net.assert_clean().await;
}

/// At the deadline itself either may win, but one of them does.
#[tokio::test(start_paused = true)]
async fn an_answer_in_the_moment_of_its_deadline_settles_once() {
    let io = Server::new();
    let net = Net::new(&io);
    let (mut client, id) = net.join().await;
    let socket = io.get(&id).expect("it has joined");
    for early in [0, 1, 2] {
        let limit = Duration::from_secs(1);
        let question = tokio::spawn(socket.emit_with_ack::<_, u32>("q", ()).timeout(limit).into_future());
        settle().await;
        let asked = client.next().await;
        let Some(Frame::Text(asked)) = asked else { panic!("{asked:?}") };
        let ack: String = asked.chars().skip(2).take_while(char::is_ascii_digit).collect();
        net.advance(Duration::from_millis(1_000 - early)).await;
        client.send(&format!("43{ack}[7]")).await;
        net.advance(Duration::from_secs(1)).await;
        let answer = question.await.expect("it does not panic");
        let won = early > 0;
        assert_eq!(answer.as_ref().is_ok_and(|value| *value == 7), won, "{early} ms before: {answer:?}");
        assert!(won || answer.is_err_and(|error| error.is_timeout()));
    }
    assert_eq!((io.metrics().acks, io.metrics().acks_unknown, io.metrics().acks_timed_out), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_events_are_handled_in_their_order() {
    let io = Server::new();
    let handled = Arc::new(AtomicUsize::new(0));
    let expected = Arc::clone(&handled);
    io.on("n", async move |_, n: usize| {
        tokio::time::sleep(Duration::from_micros((n as u64 * 7_919) % 3_000)).await;
        // A number that comes too early or too late stays the last.
        let _ = expected.compare_exchange(n, n + 1, Ordering::SeqCst, Ordering::SeqCst);
    });
    let net = Net::new(&io);
    let (mut client, _) = net.join().await;
    for n in 0..10_000 {
        client.send(&format!("42[\"n\",{n}]")).await;
        if n % 100 == 0 {
            net.advance(Duration::from_millis(300)).await;
        }
    }
    net.advance(Duration::from_secs(10)).await;
    assert_eq!(handled.load(Ordering::SeqCst), 10_000);
    client.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn events_and_answers_keep_the_order_in_which_they_were_made() {
    let io = Server::new();
    io.on_with_ack("first", async |socket: Socket, (): ()| {
        socket.emit("a", ()).expect("it is connected");
        1
    });
    io.on("then", async |socket: Socket, (): ()| socket.emit("b", ()));
    let net = Net::new(&io);
    let (mut client, _) = net.join().await;
    client.send_all(&["420[\"first\"]", "42[\"then\"]", "421[\"first\"]"]).await;
    for expected in ["42[\"a\"]", "430[1]", "42[\"b\"]", "42[\"a\"]", "431[1]"] {
        client.expect(expected).await;
    }
    client.close().await;
    net.assert_clean().await;
}

async fn join_recoverable(net: &Net) -> (WebSocket, String, String) {
    let mut client = net.websocket().await;
    client.send("40").await;
    let ids = client.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
    (client, ids[0].clone(), ids[1].clone())
}

#[tokio::test(start_paused = true)]
async fn the_window_of_recovery_is_exact() {
    let window = Duration::from_secs(60);
    for (away, is_the_same) in [(Duration::from_millis(59_999), true), (Duration::from_millis(60_001), false)] {
        let io = Server::builder().recovery(Recovery::default().window(window)).build().expect("the options agree");
        let net = Net::new(&io);
        let (client, sid, pid) = join_recoverable(&net).await;
        client.reset();
        net.advance(away).await;
        let mut client = net.websocket().await;
        client.send(&format!("40{{\"pid\":\"{pid}\"}}")).await;
        let ids = client.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
        assert_eq!((ids[0] == sid, ids[1] == pid), (is_the_same, is_the_same), "after {away:?}");
    }
}

/// Two clients come back as the same one: the later of them is it, and there is one socket with that id.
#[tokio::test(start_paused = true)]
async fn two_who_come_back_as_one_are_one() {
    let io = Server::builder().recovery(Recovery::default()).build().expect("the options agree");
    let net = Net::new(&io);
    let (client, sid, pid) = join_recoverable(&net).await;
    client.reset();
    net.advance(Duration::from_secs(1)).await;
    let (mut one, mut two) = (net.websocket().await, net.websocket().await);
    let again = format!("40{{\"pid\":\"{pid}\"}}");
    // Both are on their way before the server looks at either.
    tokio::join!(one.send(&again), two.send(&again));
    let answers = [one.drain().await, two.drain().await];
    let same = |answers: &Vec<String>| answers.first().is_some_and(|answer| answer.contains(&sid));
    assert!(answers.iter().any(same), "{answers:?}");
    assert_eq!(io.of("/").sockets().iter().filter(|socket| socket.id() == sid).count(), 1, "{answers:?}");
    io.to(&sid).emit("who", ()).expect("it is there");
    let heard = [one.drain().await, two.drain().await].iter().filter(|told| !told.is_empty()).count();
    assert_eq!(heard, 1, "one of them is who it says");
}
