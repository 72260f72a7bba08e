//! From polling to a stream, step by step.                                                          [EIO4 "upgrade"]

mod end;

use end::{End, ms};
use sockeye_engine::{CloseReason, Event, Lane, ProtocolError, Revision};

/// A server whose client has sent `2probe`.
fn paused_server() -> End {
    let mut server = End::server();
    server.open_stream().unwrap();
    assert_eq!(server.frame("2probe"), Ok(None));
    assert_eq!(server.frames(), ["3probe"]);
    server
}

/// A server whose client has switched.
fn upgraded_server() -> End {
    let mut server = paused_server();
    assert_eq!(server.frame("5"), Ok(None));
    assert_eq!(server.events(), [Event::Upgraded]);
    server
}

#[test]
fn messages_follow_the_switch() {
    let mut server = End::server();
    assert_eq!(server.get(), Ok(None));
    server.open_stream().unwrap();
    assert_eq!(server.session.data_lane(), Some(Lane::Polling));
    assert_eq!(server.frame("2probe"), Ok(None));
    assert_eq!((server.frames(), server.polled()), (vec!["3probe".to_owned()], Some("6".to_owned())));
    server.send("held");
    assert_eq!(server.session.data_lane(), None);
    assert_eq!((server.frames(), server.polled()), (vec![], None));
    assert_eq!(server.frame("5"), Ok(None));
    assert_eq!(server.events(), [Event::Upgraded]);
    assert_eq!(server.session.data_lane(), Some(Lane::Stream));
    assert_eq!(server.frames(), ["4held"]);
    assert_eq!(server.frame("4hello"), Ok(Some("hello".to_owned())));
}

#[test]
fn polls_during_the_probe_carry_messages() {
    let mut server = End::server();
    server.open_stream().unwrap();
    assert_eq!(server.get(), Ok(None));
    server.send("still by polling");
    assert_eq!((server.frames(), server.polled()), (vec![], Some("4still by polling".to_owned())));
}

#[test]
fn noop_is_answered_to_every_poll_during_upgrade() {
    let mut server = paused_server();
    server.send("held");
    for _ in 0..3 {
        assert_eq!(server.get(), Ok(Some("6".to_owned())));
    }
    assert_eq!(server.post("4up\x1e4and up"), Ok(vec!["up".to_owned(), "and up".to_owned()]));
    assert_eq!(server.frame("5"), Ok(None));
    assert_eq!(server.frames(), ["4held"]);
}

#[test]
fn a_poll_which_still_waits_at_the_switch_is_released() {
    let mut server = paused_server();
    server.session.handle_poll(server.now).unwrap();
    assert_eq!(server.frame("5"), Ok(None));
    server.send("by stream");
    assert_eq!(server.polled().as_deref(), Some("6"));
    assert_eq!(server.frames(), ["4by stream"]);
}

#[test]
fn polling_is_over_after_the_switch() {
    let mut server = upgraded_server();
    assert_eq!(server.get(), Err(ProtocolError::WrongTransport));
    assert_eq!(server.post("4late"), Err(ProtocolError::WrongTransport));
    server.cut(Lane::Polling);
    assert_eq!(server.open_stream(), Err(ProtocolError::WrongTransport));
    assert_eq!((server.events(), server.session.is_closed()), (vec![], false));
    server.send("alive");
    assert_eq!(server.frames(), ["4alive"]);
}

#[test]
fn second_stream_is_refused_and_the_first_goes_on() {
    let mut server = End::server();
    server.open_stream().unwrap();
    assert_eq!(server.open_stream(), Err(ProtocolError::WrongTransport));
    assert_eq!(server.frame("2probe"), Ok(None));
    assert_eq!(server.open_stream(), Err(ProtocolError::WrongTransport));
    assert_eq!(server.frame("5"), Ok(None));
    assert_eq!(server.events(), [Event::Upgraded]);
}

#[test]
fn probe_may_be_repeated() {
    let mut server = paused_server();
    assert_eq!(server.frame("2probe"), Ok(None));
    assert_eq!(server.frames(), ["3probe"]);
    assert_eq!(server.frame("5"), Ok(None));
    assert_eq!(server.events(), [Event::Upgraded]);
}

#[test]
fn anything_else_on_the_probing_stream_closes_only_the_stream() {
    for odd in ["2", "2prob", "3probe", "4message", "5", "6", "1", "0{}"] {
        let mut server = End::server();
        server.open_stream().unwrap();
        assert_eq!(server.frame(odd), Ok(None), "{odd}");
        assert_eq!(server.events(), [Event::UpgradeFailed], "{odd}");
        server.send("alive");
        assert_eq!(server.get(), Ok(Some("4alive".to_owned())), "{odd}");
    }
    for odd in ["2", "3probe", "4message", "6", "1"] {
        let mut server = paused_server();
        server.send("alive");
        assert_eq!(server.frame(odd), Ok(None), "{odd}");
        assert_eq!(server.events(), [Event::UpgradeFailed], "{odd}");
        assert_eq!(server.get(), Ok(Some("4alive".to_owned())), "{odd}");
    }
}

#[test]
fn given_up_upgrade_leaves_polling_and_may_be_tried_again() {
    let mut server = paused_server();
    server.send("held");
    server.advance(ms(149));
    assert_eq!(server.get(), Ok(Some("6".to_owned())));
    server.advance(ms(1));
    assert_eq!(server.events(), [Event::UpgradeFailed]);
    assert_eq!(server.get(), Ok(Some("4held".to_owned())));
    assert_eq!((server.frame("5"), server.frame("4late")), (Ok(None), Ok(None)));
    assert_eq!((server.events(), server.session.data_lane()), (vec![], Some(Lane::Polling)));
    server.open_stream().unwrap();
    assert_eq!(server.frame("2probe"), Ok(None));
    assert_eq!(server.frame("5"), Ok(None));
    assert_eq!(server.events(), [Event::Upgraded]);
}

#[test]
fn stream_without_probe_is_given_up() {
    let mut server = End::server();
    server.open_stream().unwrap();
    server.advance(ms(150));
    assert_eq!((server.events(), server.session.is_closed()), (vec![Event::UpgradeFailed], false));
}

#[test]
fn stream_closed_during_the_upgrade_leaves_polling() {
    let mut server = paused_server();
    server.send("held");
    server.cut(Lane::Stream);
    assert_eq!(server.events(), [Event::UpgradeFailed]);
    assert_eq!(server.get(), Ok(Some("4held".to_owned())));
}

#[test]
fn ping_due_during_the_upgrade_waits_for_the_switch() {
    let mut server = End::server();
    server.advance(ms(290));
    server.open_stream().unwrap();
    assert_eq!(server.frame("2probe"), Ok(None));
    server.advance(ms(100));
    assert_eq!((server.frames(), server.get()), (vec!["3probe".to_owned()], Ok(Some("6".to_owned()))));
    assert_eq!(server.frame("5"), Ok(None));
    server.advance(ms(0));
    assert_eq!(server.frames(), ["2"]);
    server.advance(ms(199));
    assert_eq!((server.frame("3"), server.events()), (Ok(None), vec![Event::Upgraded]));
}

#[test]
fn ping_of_a_v3_client_during_the_upgrade_is_answered_after_the_switch() {
    let mut server = End::accepted(Revision::V3, Lane::Polling);
    assert!(server.get().unwrap().unwrap().contains(":0{\"sid\":"));
    server.open_stream().unwrap();
    assert_eq!(server.frame("2probe"), Ok(None));
    assert_eq!(server.post("1:2"), Ok(vec![]));
    assert_eq!((server.frames(), server.get()), (vec!["3probe".to_owned()], Ok(Some("1:6".to_owned()))));
    assert_eq!(server.frame("5"), Ok(None));
    assert_eq!(server.frames(), ["3"]);
}

#[test]
fn client_switches_when_polling_has_come_to_rest() {
    let mut client = End::client();
    assert!(client.session.poll_request());
    client.send("by polling");
    assert_eq!(client.posted().as_deref(), Some("4by polling"));
    client.open_stream().unwrap();
    assert_eq!(client.frames(), ["2probe"]);
    assert_eq!(client.frame("3probe"), Ok(None));
    client.send("held");
    assert_eq!((client.frames(), client.posted()), (vec![], None));
    assert_eq!(client.answer("4last\x1e2"), Ok(vec!["last".to_owned()]));
    assert!(!client.session.poll_request());
    assert_eq!((client.frames(), client.events()), (vec![], vec![]));
    client.session.handle_post_done(client.now);
    assert_eq!(client.frames(), ["5", "3", "4held"]);
    assert_eq!((client.events(), client.session.data_lane()), (vec![Event::Upgraded], Some(Lane::Stream)));
}

#[test]
fn client_at_rest_switches_at_once() {
    let mut client = End::client();
    client.open_stream().unwrap();
    assert_eq!(client.frames(), ["2probe"]);
    assert_eq!(client.frame("3probe"), Ok(None));
    assert_eq!(client.frames(), ["5"]);
    assert!(!client.session.poll_request());
}

#[test]
fn client_polls_on_when_the_upgrade_fails() {
    for answer in ["3", "3prob", "4x", "6"] {
        let mut client = End::client();
        client.open_stream().unwrap();
        assert_eq!(client.frame(answer), Ok(None));
        assert_eq!(client.events(), [Event::UpgradeFailed], "{answer}");
        assert!(client.session.poll_request());
        client.send("alive");
        assert_eq!(client.posted().as_deref(), Some("4alive"));
    }
    let mut client = End::client();
    client.open_stream().unwrap();
    client.advance(ms(150));
    assert_eq!(client.events(), [Event::UpgradeFailed]);
    assert_eq!(client.frames(), [""; 0]);
}

#[test]
fn close_in_the_middle_is_one_close() {
    let mut server = paused_server();
    server.session.handle_poll(server.now).unwrap();
    server.send("last");
    server.session.close(CloseReason::Forced);
    assert_eq!(server.events(), [Event::Closed(CloseReason::Forced)]);
    assert_eq!(server.polled().as_deref(), Some("4last\x1e1"));
    assert!(server.session.is_finished());
    server.cut(Lane::Stream);
    server.cut(Lane::Polling);
    assert_eq!((server.frame("5"), server.events()), (Ok(None), vec![]));
}

#[test]
fn last_messages_follow_a_client_which_switches_after_the_close() {
    let mut server = paused_server();
    server.send("last");
    server.session.close(CloseReason::Forced);
    assert!(!server.session.is_finished());
    assert_eq!(server.frame("5"), Ok(None));
    assert_eq!(server.frames(), ["4last"]);
    assert!(server.session.is_finished());
    assert_eq!(server.events(), [Event::Closed(CloseReason::Forced)]);
}

#[test]
fn client_which_closes_in_the_middle_says_so_by_polling() {
    let mut client = End::client();
    client.send("first");
    assert_eq!(client.posted().as_deref(), Some("4first"));
    client.open_stream().unwrap();
    assert_eq!(client.frame("3probe"), Ok(None));
    client.send("last");
    client.session.close(CloseReason::Forced);
    assert_eq!((client.posted(), client.frames()), (None, vec![]));
    client.session.handle_post_done(client.now);
    assert_eq!(client.posted().as_deref(), Some("4last\x1e1"));
    assert!(client.session.is_finished());
    assert_eq!(client.events(), [Event::Closed(CloseReason::Forced)]);
}

#[test]
fn answer_lost_before_the_upgrade_ends_the_session() {
    let mut server = End::server();
    server.send("taken");
    assert_eq!(server.get(), Ok(Some("4taken".to_owned())));
    server.open_stream().unwrap();
    assert_eq!(server.frame("2probe"), Ok(None));
    server.cut(Lane::Polling);
    assert_eq!(server.events(), [Event::Closed(CloseReason::TransportClose)]);
}

#[test]
fn poll_dropped_while_changing_over_loses_nothing() {
    let mut server = paused_server();
    server.send("held");
    assert_eq!(server.get(), Ok(Some("6".to_owned())));
    server.cut(Lane::Polling);
    server.session.handle_poll(server.now).unwrap();
    server.cut(Lane::Polling);
    assert_eq!(server.frame("5"), Ok(None));
    assert_eq!((server.frames(), server.polled()), (vec!["4held".to_owned()], None));
    assert_eq!(server.events(), [Event::Upgraded]);
}

/// A server which sent PING 240 ms ago, and whose client has been changing over since.
fn server_asking_while_paused() -> End {
    let mut server = End::server();
    server.advance(ms(300));
    assert_eq!(server.get(), Ok(Some("2".to_owned())));
    server.advance(ms(100));
    server.open_stream().unwrap();
    assert_eq!(server.frame("2probe"), Ok(None));
    assert_eq!(server.frames(), ["3probe"]);
    server.advance(ms(140));
    assert_eq!(server.events(), []);
    server
}

#[test]
fn pong_held_back_by_the_upgrade_is_awaited_after_it() {
    let timed_out = Event::Closed(CloseReason::PingTimeout);

    let mut server = server_asking_while_paused();
    assert_eq!(server.frame("5"), Ok(None));
    server.advance(ms(199));
    assert_eq!(server.events(), [Event::Upgraded]);
    server.advance(ms(1));
    assert_eq!(server.events(), std::slice::from_ref(&timed_out));

    let mut server = server_asking_while_paused();
    server.advance(ms(10));
    assert_eq!(server.events(), [Event::UpgradeFailed]);
    server.advance(ms(199));
    assert_eq!(server.events(), []);
    server.advance(ms(1));
    assert_eq!(server.events(), [timed_out]);
}
