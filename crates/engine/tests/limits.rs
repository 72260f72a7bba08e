//! What a hostile or broken peer can do: nothing worse than end its own session, once.

mod end;

use end::{End, OPEN, ms};
use sockeye_engine::{CloseReason, Encoded, Event, Lane, Packet, ProtocolError, Revision, Session};

#[test]
fn session_is_small() {
    assert!(size_of::<Session>() <= 200, "{}", size_of::<Session>());
}

#[test]
fn control_packets_cost_nothing() {
    let mut server = End::stream_server();
    for _ in 0..100_000 {
        for packet in ["3", "6", "5"] {
            assert_eq!(server.frame(packet), Ok(None));
        }
    }
    assert_eq!((server.frames(), server.events(), server.session.queued_bytes()), (vec![], vec![], 0));
}

#[test]
fn thousand_pings_are_answered_by_one_pong() {
    let mut server = End::accepted(Revision::V3, Lane::Polling);
    assert!(server.get().unwrap().is_some());
    assert_eq!(server.post(&"1:2".repeat(1000)), Ok(vec![]));
    assert_eq!(server.get(), Ok(Some("1:3".to_owned())));
}

#[test]
fn second_get_ends_the_session() {
    let mut server = End::server();
    assert_eq!(server.get(), Ok(None));
    assert_eq!(server.session.handle_poll(server.now), Err(ProtocolError::OverlappingPoll));
    assert_eq!(server.polled().as_deref(), Some("1"));
    assert_eq!(server.events(), [Event::Closed(CloseReason::TransportError)]);
    assert_eq!(server.get(), Err(ProtocolError::WrongTransport));
}

#[test]
fn aborted_get_ends_the_session() {
    let mut server = End::server();
    assert_eq!(server.get(), Ok(None));
    server.cut(Lane::Polling);
    assert_eq!(server.events(), [Event::Closed(CloseReason::TransportClose)]);
    assert_eq!(server.get(), Err(ProtocolError::WrongTransport));
}

#[test]
fn close_packet_releases_the_waiting_poll() {
    let mut server = End::server();
    assert_eq!(server.get(), Ok(None));
    assert_eq!(server.post("4before\x1e1\x1e4after"), Ok(vec!["before".to_owned()]));
    assert_eq!(server.polled().as_deref(), Some("6"));
    assert_eq!(server.events(), [Event::Closed(CloseReason::TransportClose)]);
    assert!(server.session.is_finished());
}

#[test]
fn close_packet_on_a_stream_ends_the_session() {
    let mut server = End::stream_server();
    assert_eq!(server.frame("1"), Ok(None));
    assert_eq!(server.events(), [Event::Closed(CloseReason::TransportClose)]);
    assert!(server.session.is_finished());
}

#[test]
fn forced_close_sends_what_is_queued_first() {
    let mut server = End::server();
    server.send("last words");
    server.session.close(CloseReason::Forced);
    server.send("too late");
    assert_eq!(server.get(), Ok(Some("4last words\x1e1".to_owned())));
    assert!(server.session.is_finished());

    let mut server = End::stream_server();
    server.send("last words");
    server.session.close(CloseReason::Forced);
    assert_eq!((server.frames(), server.session.is_finished()), (vec!["4last words".to_owned()], true));
}

#[test]
fn failure_drops_what_is_queued() {
    let mut server = End::server();
    server.send("lost");
    assert_eq!(server.post("abc"), Err(ProtocolError::UnknownPacketType(b'a')));
    assert_eq!(server.events(), [Event::Closed(CloseReason::ParseError)]);
    assert!(server.session.is_finished());
    assert_eq!(server.get(), Err(ProtocolError::WrongTransport));
}

#[test]
fn garbage_tells_the_waiting_poll() {
    for body in ["", "abc", "4a\x1e", "\x1e", "b!!", "42\x1e7"] {
        let mut server = End::server();
        assert_eq!(server.get(), Ok(None));
        assert!(server.post(body).is_err(), "{body:?}");
        assert_eq!(server.polled().as_deref(), Some("1"), "{body:?}");
        assert_eq!(server.events(), [Event::Closed(CloseReason::ParseError)], "{body:?}");
    }
}

#[test]
fn closed_is_reported_once() {
    let mut server = End::stream_server();
    server.session.close(CloseReason::ParseError);
    server.session.close(CloseReason::Forced);
    server.cut(Lane::Stream);
    server.cut(Lane::Polling);
    server.advance(ms(10_000));
    assert_eq!((server.frame("4late"), server.frame("1")), (Ok(None), Ok(None)));
    assert!(server.open_stream().is_err());
    assert_eq!(server.events(), [Event::Closed(CloseReason::ParseError)]);
    assert_eq!(server.frames(), [""; 0]);
}

#[test]
fn upgrade_is_refused_where_it_is_not_allowed() {
    let mut server = End::stream_server();
    assert_eq!(server.open_stream(), Err(ProtocolError::WrongTransport));
    let mut client = End::connecting(Revision::V4, Lane::Polling);
    assert_eq!(client.open_stream(), Err(ProtocolError::WrongTransport));
    let mut server = End::server();
    assert_eq!((server.frame("2probe"), server.frames()), (Ok(None), vec![]));
    assert!(!server.session.is_closed());
}

#[test]
fn packets_of_the_wrong_side_end_the_session() {
    let mut server = End::stream_server();
    assert_eq!(server.frame("0{}"), Err(ProtocolError::UnexpectedPacket("open")));
    assert_eq!(server.events(), [Event::Closed(CloseReason::TransportError)]);
    let mut client = End::client();
    assert!(client.session.poll_request());
    assert_eq!(client.answer(OPEN), Err(ProtocolError::UnexpectedPacket("open")));
    let mut client = End::connecting(Revision::V4, Lane::Stream);
    assert_eq!(client.frame("4early"), Err(ProtocolError::UnexpectedPacket("message")));
    assert_eq!(client.events(), [Event::Closed(CloseReason::TransportError)]);
}

#[test]
fn bad_handshake_ends_the_client() {
    for open in ["0", "0{}", "0{bad", "0[]", "0{\"sid\":\"a\"}"] {
        let mut client = End::connecting(Revision::V4, Lane::Stream);
        assert_eq!(client.frame(open), Err(ProtocolError::InvalidHandshake), "{open}");
        assert_eq!(client.events(), [Event::Closed(CloseReason::ParseError)], "{open}");
        assert!(client.session.is_finished());
    }
}

#[test]
fn client_sends_nothing_before_open() {
    let mut client = End::connecting(Revision::V4, Lane::Stream);
    client.send("early");
    assert_eq!((client.frames(), client.session.data_lane()), (vec![], None));
    assert_eq!(client.frame(OPEN), Ok(None));
    assert_eq!(client.frames(), ["4early"]);
}

#[test]
fn client_has_one_get_and_one_post_at_a_time() {
    let mut client = End::client();
    assert!(client.session.poll_request());
    assert!(!client.session.poll_request());
    client.send("a");
    client.send("b");
    assert_eq!(client.posted().as_deref(), Some("4a\x1e4b"));
    client.send("c");
    assert_eq!(client.posted(), None);
    client.session.handle_post_done(client.now);
    assert_eq!(client.posted().as_deref(), Some("4c"));
    assert_eq!(client.answer("6"), Ok(vec![]));
    assert!(client.session.poll_request());
}

#[test]
fn client_leaves_with_a_close_packet() {
    let mut client = End::client();
    assert!(client.session.poll_request());
    client.send("bye");
    client.session.close(CloseReason::Forced);
    assert_eq!(client.posted().as_deref(), Some("4bye\x1e1"));
    assert!(client.session.is_finished());
    assert!(!client.session.poll_request());
    assert_eq!(client.events(), [Event::Closed(CloseReason::Forced)]);
}

#[test]
fn server_which_closes_is_believed() {
    let mut client = End::client();
    assert!(client.session.poll_request());
    client.send("lost");
    assert_eq!(client.answer("4last\x1e1"), Ok(vec!["last".to_owned()]));
    assert_eq!(client.events(), [Event::Closed(CloseReason::TransportClose)]);
    assert_eq!(client.posted(), None);
}

#[test]
fn queue_counts_bytes_and_peek_measures_bodies() {
    let mut server = End::server();
    server.session.send(Encoded::text("hello"));
    server.session.send(Encoded::binary(&[1, 2, 3, 4]));
    assert_eq!(server.session.queued_bytes(), 8 + 6);
    assert_eq!(server.session.peek_transmit(Lane::Polling), None);
    server.session.handle_poll(server.now).unwrap();
    assert_eq!(server.session.peek_transmit(Lane::Polling), Some("4hello".len()));
    server.session.poll_transmit(Lane::Polling).unwrap();
    assert_eq!(server.session.peek_transmit(Lane::Polling), Some("bAQIDBA==".len()));
    server.session.poll_transmit(Lane::Polling).unwrap();
    assert_eq!((server.session.queued_bytes(), server.session.peek_transmit(Lane::Polling)), (0, None));

    let mut server = End::stream_server();
    server.session.send(Encoded::text("hello"));
    assert_eq!(server.session.peek_transmit(Lane::Stream), Some(8));
}

#[test]
fn frames_of_control_packets_are_whole() {
    let mut server = End::stream_server();
    server.advance(ms(300));
    assert_eq!(server.session.poll_transmit(Lane::Stream).unwrap().frame()[..], *b"\x81\x012");
    let mut server = End::server();
    server.open_stream().unwrap();
    assert_eq!(server.session.handle_packet(server.now, Lane::Stream, Packet::Ping("probe")), Ok(None));
    assert_eq!(server.session.poll_transmit(Lane::Stream).unwrap().frame()[..], *b"\x81\x063probe");
}

#[test]
fn ten_thousand_messages_keep_their_order() {
    let mut server = End::stream_server();
    let expected: Vec<_> = (0..10_000).map(|number| format!("4{number}")).collect();
    (0..10_000).for_each(|number| server.send(&number.to_string()));
    assert_eq!(server.frames(), expected);
    assert_eq!(server.session.queued_bytes(), 0);
}
