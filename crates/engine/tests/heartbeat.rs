//! Who pings whom, and when the peer is dead.                                                     [EIO4 "heartbeat"]

mod end;

use end::{End, ms};
use sockeye_engine::{CloseReason, Event, Lane, ProtocolError, Revision};

const TIMED_OUT: [Event; 1] = [Event::Closed(CloseReason::PingTimeout)];
const NOTHING: [Event; 0] = [];

#[test]
fn first_ping_comes_after_the_interval() {
    let mut server = End::stream_server();
    server.advance(ms(299));
    assert_eq!(server.frames(), [""; 0]);
    server.advance(ms(1));
    assert_eq!(server.frames(), ["2"]);
}

#[test]
fn unanswered_ping_closes_sharply() {
    let mut server = End::stream_server();
    server.advance(ms(499));
    assert_eq!(server.events(), NOTHING);
    server.advance(ms(1));
    assert_eq!(server.events(), TIMED_OUT);
    assert!(server.session.is_finished());
    assert_eq!(server.session.poll_timeout(), None);
}

#[test]
fn answered_pings_keep_the_session() {
    let mut server = End::stream_server();
    for _ in 0..10 {
        server.advance(ms(300));
        assert_eq!(server.frames(), ["2"]);
        server.advance(ms(150));
        assert_eq!(server.frame("3"), Ok(None));
    }
    assert_eq!(server.events(), NOTHING);
}

#[test]
fn other_packets_prolong_the_wait_once() {
    let mut server = End::stream_server();
    server.advance(ms(300));
    server.advance(ms(100));
    assert_eq!(server.frame("4a"), Ok(Some("a".to_owned())));
    server.advance(ms(199));
    assert_eq!(server.events(), NOTHING);
    assert_eq!(server.frame("4b"), Ok(Some("b".to_owned())));
    server.advance(ms(1));
    assert_eq!(server.events(), TIMED_OUT);
}

#[test]
fn every_ping_may_be_prolonged() {
    let mut server = End::stream_server();
    for _ in 0..3 {
        server.advance(ms(300 + 150));
        assert_eq!(server.frame("6"), Ok(None));
        server.advance(ms(150));
        assert_eq!(server.frame("3"), Ok(None));
    }
    assert_eq!(server.events(), NOTHING);
}

#[test]
fn bytes_of_a_large_message_keep_the_session() {
    let mut server = End::stream_server();
    server.advance(ms(300));
    for _ in 0..20 {
        server.advance(ms(190));
        server.session.handle_activity(server.now);
    }
    assert_eq!(server.events(), NOTHING);
    server.advance(ms(200));
    assert_eq!(server.events(), TIMED_OUT);
}

#[test]
fn unasked_pongs_change_nothing() {
    let mut server = End::stream_server();
    for _ in 0..100 {
        server.advance(ms(2));
        assert_eq!(server.frame("3"), Ok(None));
    }
    server.advance(ms(100));
    assert_eq!(server.frames(), ["2"]);
    server.advance(ms(200));
    assert_eq!(server.events(), TIMED_OUT);
}

#[test]
fn client_of_revision_4_may_not_ping() {
    let mut server = End::server();
    server.session.handle_poll(server.now).unwrap();
    assert_eq!(server.post("2"), Err(ProtocolError::UnexpectedPacket("ping")));
    assert_eq!(server.events(), [Event::Closed(CloseReason::TransportError)]);
    assert_eq!(server.polled().as_deref(), Some("1"));
}

#[test]
fn ping_goes_out_with_the_next_poll() {
    let mut server = End::server();
    server.advance(ms(310));
    assert_eq!(server.get(), Ok(Some("2".to_owned())));
    assert_eq!(server.post("3"), Ok(vec![]));
    server.advance(ms(299));
    assert_eq!(server.get(), Ok(None));
    server.advance(ms(1));
    assert_eq!(server.polled().as_deref(), Some("2"));
}

#[test]
fn silent_polling_client_is_closed_and_its_late_poll_refused() {
    let mut server = End::server();
    server.advance(ms(499));
    assert!(!server.session.is_closed());
    // The timer of the process has not fired yet, but the client knows what time it is.
    server.now += ms(1);
    assert_eq!(server.get(), Err(ProtocolError::WrongTransport));
    assert_eq!(server.events(), TIMED_OUT);
}

#[test]
fn waiting_poll_of_a_silent_client_is_told() {
    let mut server = End::server();
    assert_eq!(server.get(), Ok(None));
    server.advance(ms(300));
    assert_eq!(server.polled().as_deref(), Some("2"));
    assert_eq!(server.get(), Ok(None));
    server.advance(ms(200));
    assert_eq!((server.events(), server.polled().as_deref()), (TIMED_OUT.to_vec(), Some("1")));
}

#[test]
fn late_ping_is_awaited_in_full() {
    let mut server = End::stream_server();
    server.now += ms(60_000);
    server.session.handle_timeout(server.now);
    assert_eq!(server.frames(), ["2"]);
    server.advance(ms(199));
    assert_eq!((server.events(), server.frames()), (vec![], vec![]));
    server.advance(ms(1));
    assert_eq!(server.events(), TIMED_OUT);
}

#[test]
fn stalled_server_reads_before_it_judges() {
    let mut server = End::stream_server();
    server.advance(ms(300));
    assert_eq!(server.frames(), ["2"]);
    server.now += ms(60_000);
    server.session.handle_timeout(server.now);
    assert_eq!(server.events(), NOTHING);
    server.advance(ms(49));
    assert_eq!(server.frame("3"), Ok(None));
    server.advance(ms(299));
    assert_eq!((server.events(), server.frames()), (vec![], vec![]));
    server.advance(ms(1));
    assert_eq!(server.frames(), ["2"]);
}

#[test]
fn stalled_server_waits_only_once() {
    let mut server = End::stream_server();
    server.advance(ms(300));
    server.now += ms(60_000);
    server.session.handle_timeout(server.now);
    server.now += ms(60_000);
    server.session.handle_timeout(server.now);
    assert_eq!(server.events(), TIMED_OUT);
}

#[test]
fn client_of_revision_3_pings() {
    let mut server = End::accepted(Revision::V3, Lane::Polling);
    assert!(server.get().unwrap().is_some());
    for _ in 0..5 {
        server.advance(ms(400));
        assert_eq!(server.post("1:2"), Ok(vec![]));
        assert_eq!(server.get(), Ok(Some("1:3".to_owned())));
    }
    server.advance(ms(499));
    assert_eq!(server.events(), NOTHING);
    server.advance(ms(1));
    assert_eq!(server.events(), TIMED_OUT);
}

#[test]
fn messages_of_a_v3_client_count_as_life_and_its_pongs_do_not_exist() {
    let mut server = End::accepted(Revision::V3, Lane::Stream);
    assert_eq!(server.frames().len(), 1);
    server.advance(ms(450));
    assert_eq!(server.frame("4a"), Ok(Some("a".to_owned())));
    server.advance(ms(450));
    assert_eq!(server.frame("3"), Err(ProtocolError::UnexpectedPacket("pong")));
    assert_eq!(server.events(), [Event::Closed(CloseReason::TransportError)]);
}

#[test]
fn client_answers_pings_and_closes_after_silence() {
    let mut client = End::client();
    for _ in 0..5 {
        client.advance(ms(400));
        assert!(client.session.poll_request());
        assert_eq!(client.answer("2"), Ok(vec![]));
        assert_eq!(client.posted().as_deref(), Some("3"));
        client.session.handle_post_done(client.now);
    }
    client.advance(ms(499));
    assert_eq!(client.events(), NOTHING);
    client.advance(ms(1));
    assert_eq!(client.events(), TIMED_OUT);
    assert_eq!(client.posted().as_deref(), Some("1"));
    assert!(client.session.is_finished());
}

#[test]
fn client_takes_its_times_from_the_handshake() {
    let mut client = End::connecting(Revision::V4, Lane::Stream);
    assert_eq!(client.frame(r#"0{"sid":"a","upgrades":[],"pingInterval":5000,"pingTimeout":2000}"#), Ok(None));
    client.advance(ms(6999));
    assert!(!client.session.is_closed());
    client.advance(ms(1));
    assert!(client.session.is_closed());
}

#[test]
fn client_of_revision_3_asks_and_is_answered() {
    let mut client = End::connecting(Revision::V3, Lane::Stream);
    assert_eq!(client.frame(r#"0{"sid":"a","upgrades":[],"pingInterval":300,"pingTimeout":200}"#), Ok(None));
    assert!(matches!(client.events()[..], [Event::Opened(_)]));
    for _ in 0..5 {
        client.advance(ms(299));
        assert_eq!(client.frames(), [""; 0]);
        client.advance(ms(1));
        assert_eq!(client.frames(), ["2"]);
        assert_eq!(client.frame("3"), Ok(None));
    }
    client.advance(ms(499));
    assert_eq!((client.frames(), client.events()), (vec!["2".to_owned()], vec![]));
    client.advance(ms(1));
    assert_eq!(client.events(), TIMED_OUT);
    let mut client = End::connecting(Revision::V3, Lane::Stream);
    assert_eq!(client.frame(r#"0{"sid":"a","upgrades":[],"pingInterval":300,"pingTimeout":200}"#), Ok(None));
    assert_eq!(client.frame("2"), Err(ProtocolError::UnexpectedPacket("ping")));
}

#[test]
fn server_which_never_says_open_is_left() {
    for (lane, revision) in Lane::ALL.into_iter().flat_map(|lane| [(lane, Revision::V3), (lane, Revision::V4)]) {
        let mut client = End::connecting(revision, lane);
        client.advance(ms(499));
        assert_eq!(client.events(), NOTHING);
        client.advance(ms(1));
        assert_eq!(client.events(), [Event::Closed(CloseReason::TransportError)]);
        assert!(client.session.is_finished());
    }
}

#[test]
fn lingering_end_has_a_deadline() {
    let mut server = End::server();
    server.send("nobody reads this");
    server.session.close(CloseReason::Forced);
    assert_eq!(server.events(), [Event::Closed(CloseReason::Forced)]);
    server.advance(ms(499));
    assert!(!server.session.is_finished());
    server.advance(ms(1));
    assert!(server.session.is_finished());
    assert_eq!((server.events(), server.session.queued_bytes()), (vec![], 0));
}

#[test]
fn lateness_of_the_timer_does_not_add_up() {
    let mut server = End::stream_server();
    server.now += ms(310);
    server.session.handle_timeout(server.now);
    assert_eq!(server.frames(), ["2"]);
    server.advance(ms(189));
    assert_eq!(server.events(), NOTHING);
    server.advance(ms(1));
    assert_eq!(server.events(), TIMED_OUT);
}
