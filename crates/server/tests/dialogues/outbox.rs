//! Clients that read slowly, or not at all: memory stays bounded, and nobody else notices.

use sockeye::{EmitError, WhenFull};

use crate::common::*;

const PADDING: usize = 900;

fn event(n: u32) -> String {
    format!("42[\"e\",{n},\"{}\"]", "x".repeat(PADDING))
}

/// Emits numbers to a client that reads nothing, through a pipe of 1 KiB; what each call returned.
async fn flood(policy: WhenFull) -> (Server, Net, WebSocket, Socket, Vec<Result<(), EmitError>>) {
    let io = Server::builder().outbox(20_000, 1_000).when_full(policy).build().unwrap();
    let net = Net::new(&io).with_buffer(1024);
    let (alice, id) = net.join().await;
    let socket = io.get(&id).unwrap();
    let mut results = Vec::new();
    for n in 0..50 {
        results.push(socket.emit("e", (n, "x".repeat(PADDING))));
        settle().await;
        assert!(socket.queued().bytes <= 20_000, "{:?}", socket.queued());
    }
    (io, net, alice, socket, results)
}

/// The numbers that arrived.
async fn numbers(alice: &mut WebSocket) -> Vec<u32> {
    let all = alice.drain().await;
    let number = |text: &String| (0..50).find(|n| *text == event(*n)).unwrap_or_else(|| panic!("{text}"));
    all.iter().map(number).collect()
}

#[tokio::test(start_paused = true)]
async fn the_slow_consumer_is_disconnected() {
    let (io, net, mut alice, socket, results) = flood(WhenFull::Disconnect).await;
    let full = results.iter().position(Result::is_err).unwrap();
    assert!(results[full..].iter().all(|result| matches!(result, Err(EmitError::Closed))));
    assert_eq!(io.metrics().slow_consumers, 1);
    assert_eq!(socket.queued().packets, 0);
    net.advance(secs(6)).await;
    alice.drain().await;
    assert!(alice.is_ended(), "it is not waited for any longer");
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn emit_fails_when_that_is_the_policy() {
    let (io, net, mut alice, socket, results) = flood(WhenFull::Fail).await;
    let full = results.iter().position(Result::is_err).unwrap();
    assert!(results[full..].iter().all(|result| matches!(result, Err(EmitError::Full))));
    io.emit("e", (49, "x".repeat(PADDING))).unwrap();
    assert_eq!(io.metrics().dropped_full, 50 - full as u64 + 1);
    assert_eq!(numbers(&mut alice).await, (0..u32::try_from(full).unwrap()).collect::<Vec<_>>());
    socket.emit("e", (7, "x".repeat(PADDING))).unwrap();
    assert_eq!(numbers(&mut alice).await, [7]);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn new_events_are_dropped_when_that_is_the_policy() {
    let (io, net, mut alice, _, results) = flood(WhenFull::DropNew).await;
    assert!(results.iter().all(Result::is_ok));
    let arrived = numbers(&mut alice).await;
    assert_eq!(arrived, (0..u32::try_from(arrived.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(io.metrics().dropped_full, 50 - arrived.len() as u64);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn old_events_are_dropped_when_that_is_the_policy() {
    let (io, net, mut alice, _, results) = flood(WhenFull::DropOldest).await;
    assert!(results.iter().all(Result::is_ok));
    let arrived = numbers(&mut alice).await;
    assert!(arrived.is_sorted());
    assert_eq!(arrived.last(), Some(&49));
    assert_eq!(io.metrics().dropped_full, 50 - arrived.len() as u64);
    alice.close().await;
    net.assert_clean().await;
}

/// Without the answer to CONNECT the client would wait for ever.
#[tokio::test(start_paused = true)]
async fn the_answer_to_connect_is_not_among_what_is_dropped() {
    let (io, net, mut alice, socket, _) = flood(WhenFull::DropOldest).await;
    io.of("/late");
    alice.send("40/late,").await;
    for n in 0..50 {
        socket.emit("e", (n, "x".repeat(PADDING))).unwrap();
    }
    let texts = alice.drain().await;
    assert_eq!(texts.iter().filter(|text| text.starts_with("40/late,{")).count(), 1);
    alice.close().await;
    net.assert_clean().await;
}

/// Answers of the protocol itself have a bound too, or asking and never reading would fill the memory.
#[tokio::test(start_paused = true)]
async fn a_client_that_asks_and_never_reads_is_disconnected() {
    for policy in [WhenFull::Disconnect, WhenFull::Fail, WhenFull::DropNew, WhenFull::DropOldest] {
        let io = Server::builder().outbox(2_000, 1_000).when_full(policy).build().unwrap();
        let net = Net::new(&io).with_buffer(1024);
        let (mut alice, _) = net.join().await;
        for _ in 0..200 {
            alice.send("40/nowhere,").await;
        }
        assert_eq!(io.metrics().slow_consumers, 1, "{policy:?}");
        drop(alice);
        net.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn packets_are_bounded_in_number_too() {
    let io = Server::builder().outbox(1_000_000, 10).when_full(WhenFull::Fail).build().unwrap();
    let net = Net::new(&io);
    let bob = net.polling().await;
    let socket = io.get(&bob.join().await).unwrap();
    let sent = (0..20).filter(|n| socket.emit("e", n).is_ok()).count();
    assert_eq!((sent, socket.queued().packets), (10, 10));
    assert!(matches!(socket.emit_with_ack::<_, ()>("e", ()).await, Err(sockeye::AckError::Emit(EmitError::Full))));
    assert_eq!(io.metrics().acks, 0);
    bob.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn one_packet_always_fits_an_empty_outbox() {
    let io = Server::builder().outbox(100, 1).build().unwrap();
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    let large = "x".repeat(50_000);
    io.emit("e", &large).unwrap();
    alice.expect(&format!("42[\"e\",\"{large}\"]")).await;
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_member_delays_nobody() {
    let (io, net) = plain();
    let (slow, _) = net.with_buffer(1024).join().await;
    let (mut fast, _) = net.join().await;
    for n in 0..50 {
        io.emit("e", (n, "x".repeat(PADDING))).unwrap();
        fast.expect(&event(n)).await;
    }
    drop(slow);
    fast.close().await;
    net.assert_clean().await;
}

/// What waits for a polling client goes in bodies of about `max_payload`, and all of it.
#[tokio::test(start_paused = true)]
async fn a_backlog_goes_in_several_bodies() {
    let io = Server::builder().max_payload(5_000).build().unwrap();
    let net = Net::new(&io);
    let bob = net.polling().await;
    bob.join().await;
    for n in 0..20 {
        io.emit("e", (n, "x".repeat(PADDING))).unwrap();
    }
    let (mut arrived, mut bodies) = (Vec::new(), 0);
    while arrived.len() < 20 {
        let answer = bob.get().answer().await;
        assert!(answer.body.len() <= 6_000, "{}", answer.body.len());
        arrived.extend(answer.text().split('\u{1e}').map(str::to_owned));
        bodies += 1;
    }
    assert_eq!(arrived, (0..20).map(event).collect::<Vec<_>>());
    assert_eq!(bodies, 4);
    bob.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn volatile_events_do_not_queue_behind_a_reader_that_is_stuck() {
    let (io, net) = plain();
    let (mut alice, id) = net.with_buffer(1024).join().await;
    for n in 0..50 {
        io.volatile().emit("e", (n, "x".repeat(PADDING))).unwrap();
        settle().await;
    }
    assert_eq!(io.get(&id).unwrap().queued().packets, 0);
    let arrived = numbers(&mut alice).await;
    assert_eq!(arrived, (0..u32::try_from(arrived.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(io.metrics().dropped_volatile, 50 - arrived.len() as u64);
    assert!(arrived.len() < 5);
    alice.close().await;
    net.assert_clean().await;
}

/// REQ-2.4: whoever reads gets the first of a burst, on each transport; what does not arrive is counted.
#[tokio::test(start_paused = true)]
async fn the_first_of_a_burst_of_volatile_events_arrives() {
    const BURST: usize = 100;
    let (io, net) = plain();
    let (mut alice, _) = net.join().await;
    let bob = net.polling().await;
    bob.join().await;
    let waiting = bob.get();
    waiting.expect_waiting().await;
    for n in 0..BURST {
        io.volatile().emit("e", n).unwrap();
    }
    let answer = waiting.answer().await;
    let by = [alice.drain().await, answer.text().split('\u{1e}').map(str::to_owned).collect()];
    for arrived in &by {
        let first: Vec<String> = (0..arrived.len()).map(|n| format!("42[\"e\",{n}]")).collect();
        assert!(!arrived.is_empty() && *arrived == first, "{arrived:?}");
    }
    let arrived = by.concat().len();
    assert_eq!(io.metrics().dropped_volatile, (2 * BURST - arrived) as u64, "{arrived} arrived");
    alice.close().await;
    bob.close().await;
    net.assert_clean().await;
}

/// Large frames are written from where they are; what follows them must not overtake.
#[tokio::test(start_paused = true)]
async fn large_and_small_packets_keep_their_order() {
    let (io, net) = plain();
    let (mut alice, _) = net.with_buffer(3_000).join().await;
    let sizes = [1, 20_000, 5, 70_000, 70_000, 1, 1, 16_384, 2];
    for size in sizes {
        io.emit("e", ("x".repeat(size), bytes::Bytes::from(vec![7; size]))).unwrap();
    }
    for size in sizes {
        let text = "x".repeat(size);
        alice.expect(&format!("451-[\"e\",\"{text}\",{{\"_placeholder\":true,\"num\":0}}]")).await;
        alice.expect_binary(&vec![7; size]).await;
    }
    alice.close().await;
    net.assert_clean().await;
}

/// Threads that emit packets with attachments to one socket at the same time: no packet gets between another's parts.
#[tokio::test(start_paused = true)]
async fn packets_with_attachments_never_interleave() {
    const THREADS: u8 = 64;
    const EACH: u8 = 20;
    let (io, net) = plain();
    let (mut alice, id) = net.join().await;
    let socket = io.get(&id).unwrap();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let socket = socket.clone();
            std::thread::spawn(move || {
                for n in 0..EACH {
                    let part = |part: u8| bytes::Bytes::from(vec![thread, n, part]);
                    socket.emit("e", (thread, n, part(0), part(1), part(2))).unwrap();
                }
            })
        })
        .collect();
    let mut expected = [0; THREADS as usize];
    for _ in 0..usize::from(THREADS) * usize::from(EACH) {
        let Frame::Text(text) = read(&mut alice).await else { panic!("an attachment came first") };
        let parts = text.strip_prefix("453-[\"e\",").unwrap_or_else(|| panic!("{text}"));
        let numbers: Vec<u8> = parts.split(',').take(2).map(|n| n.parse().unwrap()).collect();
        assert_eq!(expected[usize::from(numbers[0])], numbers[1], "events of one thread keep their order");
        expected[usize::from(numbers[0])] += 1;
        for part in 0..3 {
            assert_eq!(read(&mut alice).await, Frame::Binary(vec![numbers[0], numbers[1], part]));
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
    alice.expect_nothing().await;
    alice.close().await;
    net.assert_clean().await;
}

/// The next frame, of threads which this runtime does not know of.
async fn read(alice: &mut WebSocket) -> Frame {
    loop {
        if let Some(frame) = alice.next().await {
            return frame;
        }
        assert!(!alice.is_ended());
    }
}
