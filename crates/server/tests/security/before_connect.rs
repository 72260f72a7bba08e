//! What a stranger can do before there is a socket.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::FutureExt;
use socket2::SockRef;
use sockeye::{Cookie, Refusal, SameSite, Server};
use sockeye_testing::{Frame, Net};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::raw::{Raw, UPGRADE, exchange};

/// A whole request that opens a polling session.
const HANDSHAKE: &str = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: sockeye.test\r\n\r\n";

/// Ids came from a weak source.
#[tokio::test(start_paused = true)]
async fn cve_2017_16031_ids_cannot_be_guessed() {
    let io = Server::builder().recovery(sockeye::Recovery::default()).build().unwrap();
    let net = Net::new(&io);
    let mut ids = Vec::new();
    for _ in 0..5_000 {
        let polling = net.polling().await;
        polling.send("40").await;
        let told = polling.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
        ids.extend([polling.sid().to_owned(), told[0].clone(), told[1].clone()]);
        polling.close().await;
    }
    assert!(ids.iter().all(|id| id.len() == 22));
    let unique: HashSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), 15_000, "session, socket and private ids are all different");
    no_bit_is_likelier_than_others(&ids);
    no_two_are_akin(ids);
}

/// Neither in one place, nor from one id to the next: five hundred counts, of which chance takes one seven standard
/// deviations away in a billion runs.
fn no_bit_is_likelier_than_others(ids: &[String]) {
    let bits: Vec<[bool; 120]> = ids.iter().map(|id| bits(id)).collect();
    // Of a fair coin thrown so many times.
    let is_fair = |ones: usize, of: usize| 4 * ones.abs_diff(of / 2).pow(2) < 49 * of;
    for place in 0..120 {
        let ones = bits.iter().filter(|bits| bits[place]).count();
        assert!(is_fair(ones, bits.len()), "bit {place} is set in {ones} of {} ids", bits.len());
        // The three of one client, and the same of the next client: no counter, no clock.
        for apart in [1, 2, 3] {
            let turned = bits.iter().zip(&bits[apart..]).filter(|(one, other)| one[place] != other[place]).count();
            assert!(is_fair(turned, bits.len() - apart), "bit {place} turns {turned} times");
        }
    }
}

/// Whatever they have in common at either end is chance: among 15,000 ids some two share four or five characters, and
/// nine in one of a hundred million runs.
fn no_two_are_akin(mut ids: Vec<String>) {
    for _ in 0..2 {
        ids.sort();
        for pair in ids.windows(2) {
            let same = pair[0].bytes().zip(pair[1].bytes()).take_while(|(one, other)| one == other).count();
            assert!(same <= 8, "{pair:?}");
        }
        for id in &mut ids {
            *id = id.chars().rev().collect();
        }
    }
}

/// What its characters stand for.
fn bits(id: &str) -> [bool; 120] {
    let mut bits = [false; 120];
    for (at, bit) in bits.iter_mut().enumerate() {
        *bit = value(id.as_bytes()[at / 6]) >> (at % 6) & 1 == 1;
    }
    bits
}

/// The six bits that a character of an id stands for.
fn value(byte: u8) -> u32 {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.iter().position(|other| *other == byte).expect("ids are of letters, digits, - and _");
    u32::try_from(at).unwrap()
}

/// Pages of any origin could use a visitor's cookies, and WebSockets know no such rule at all unless the server has one.
#[tokio::test(start_paused = true)]
async fn cve_2020_28481_foreign_pages_get_nothing_by_default() {
    let net = Net::new(&Server::new());
    for origin in ["https://evil.example", "null", "file://", "https://sockeye.test.evil.example"] {
        let poll = net.request("GET", "/socket.io/?EIO=4&transport=polling", &[("origin", origin)], "").answer().await;
        assert!(!poll.headers.contains_key("access-control-allow-origin"), "{origin}");
        let refused = net.try_open("/socket.io/?EIO=4&transport=websocket", &[("Origin", origin)]).await.unwrap_err();
        assert!(refused.starts_with("HTTP/1.1 403 "), "{origin}: {refused}");
    }
    net.open("/socket.io/?EIO=4&transport=websocket", &[("Origin", "https://sockeye.test")]).await;
}

/// A frame that is against the rules, in the same segment as the request: nobody was listening for the error yet.
#[tokio::test(start_paused = true)]
async fn cve_2022_21676_malformed_frames_may_come_with_the_request() {
    let io = Server::new();
    let net = Net::new(&io);
    let (mut witness, _) = net.join().await;
    let frames: [&[u8]; 8] = [
        b"\xf1\x80\0\0\0\0",
        b"\xc1\x80\0\0\0\0",
        b"\x83\x80\0\0\0\0",
        b"\x81\x00",
        b"\x80\x80\0\0\0\0",
        b"\x09\x80\0\0\0\0",
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        b"\x88\x81\0\0\0\0\x03",
    ];
    for frame in frames {
        let mut raw = Raw::open(&io);
        raw.write(&[UPGRADE.as_bytes(), b"\r\n", frame].concat()).await;
        let told = raw.read_to_end().await;
        assert!(told.starts_with("HTTP/1.1 101 "), "{frame:x?}: {told}");
        raw.leave().await;
    }
    assert_eq!(io.metrics().sessions, 1);
    witness.send("1").await;
    assert!(matches!(witness.next().await, Some(Frame::Close(_))));
    net.assert_clean().await;
}

/// The raw socket failed while an upgrade was refused or unfinished, and nobody was listening for that.
#[tokio::test(start_paused = true)]
async fn cve_2022_41940_an_upgrade_may_break_at_any_byte() {
    let io = Server::new();
    let net = Net::new(&io);
    let whole = format!("{UPGRADE}\r\n");
    for request in [whole.clone(), whole.replace("EIO=4", "EIO=9"), whole.replace("Version: 13", "Version: 12")] {
        for end in 0..=request.len() {
            let mut raw = Raw::open(&io);
            raw.write(&request.as_bytes()[..end]).await;
            raw.leave().await;
        }
    }
    // After the switch, with a reset instead of an end.
    net.websocket().await.reset();
    net.advance(Duration::from_secs(50)).await;
    net.assert_clean().await;
}

/// The same by a reset, which is an error where an end is none, with real TCP; also amid the body of a session's POST.
#[tokio::test]
async fn cve_2022_41940_a_reset_may_come_at_any_byte() {
    let soon = Duration::from_millis(300);
    // The last of them are sessions in order, whose clients are missed by their heartbeats alone.
    let io = Server::builder().ping_interval(soon).ping_timeout(soon).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = io.clone();
    tokio::spawn(async move { server.serve(listener).await });
    let mut resets = 0;
    for request in [format!("{UPGRADE}\r\n\u{1}\u{2}"), HANDSHAKE.to_owned()] {
        for end in 0..=request.len() {
            reset(TcpStream::connect(address).await.unwrap(), &request.as_bytes()[..end]).await;
            resets += 1;
        }
    }
    let answered = "\r\n\r\n0{\"sid\":\"";
    for left in 0..16 {
        let mut polling = TcpStream::connect(address).await.unwrap();
        polling.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        let mut told = String::new();
        while !told.ends_with('}') {
            let mut bytes = [0; 1024];
            let read = polling.read(&mut bytes).await.unwrap();
            told.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        let sid = told.split_once(answered).unwrap().1.split('"').next().unwrap();
        let post = format!(
            "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n{}",
            "40{\"token\":\"aaa\"}".get(..16 - left).unwrap()
        );
        reset(polling, post.as_bytes()).await;
        resets += 1;
    }
    assert!(resets > 250, "{resets}");
    while io.metrics().connections > 0 || io.metrics().tasks > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut honest = TcpStream::connect(address).await.unwrap();
    honest.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    honest.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

/// Writes, and has the system throw the connection away.
async fn reset(mut stream: TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Names that every JavaScript object has were looked up among sessions and transports.
#[tokio::test(start_paused = true)]
async fn engine_io_6_6_7_ids_are_only_ids() {
    let net = Net::new(&Server::new());
    let long = "x".repeat(20_000);
    for sid in ["__proto__", "constructor", "hasOwnProperty", "%00", "..%2f", "%f0%9f%98%80", &long] {
        let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        for method in ["GET", "POST"] {
            let answer = net.request(method, &target, &[], "40").answer().await;
            answer.expect(400, "{\"code\":1,\"message\":\"Session ID unknown\"}");
        }
        let upgrade = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
        let refused = net.try_open(&upgrade, &[]).await.unwrap_err();
        let refusals = ["400", "414", "431"].map(|status| format!("HTTP/1.1 {status} "));
        assert!(refusals.iter().any(|refusal| refused.starts_with(refusal)), "{refused}");
    }
    for transport in ["__proto__", "constructor", "toString", "polling&transport=websocket"] {
        let answer = net.request("GET", &format!("/socket.io/?EIO=4&transport={transport}"), &[], "").answer().await;
        answer.expect(400, "{\"code\":0,\"message\":\"Transport unknown\"}");
    }
    net.assert_clean().await;
}

/// One transport did not ask the middleware that the others asked.
#[tokio::test(start_paused = true)]
async fn engine_io_6_6_7_no_transport_goes_round_the_check() {
    let io = Server::builder().allow_request(async |_| Err(Refusal::new("no"))).build().unwrap();
    let net = Net::new(&io);
    net.request("GET", "/socket.io/?EIO=4&transport=polling", &[], "")
        .answer()
        .await
        .expect(403, "{\"code\":4,\"message\":\"no\"}");
    let refused = net.try_open("/socket.io/?EIO=4&transport=websocket", &[]).await.unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");

    let io = Server::new();
    io.authorize(async |_: sockeye::Peer, _: serde_json::Value| Err(Refusal::new("not you")));
    let net = Net::new(&io);
    let refusal = "44{\"message\":\"not you\"}";
    let mut stream = net.websocket().await;
    stream.send("40{}").await;
    stream.expect(refusal).await;
    let polling = net.polling().await;
    polling.send("40{}").await;
    polling.expect(refusal).await;
    let polling = net.polling().await;
    let mut upgraded = polling.upgrade().await;
    upgraded.send("2probe").await;
    upgraded.expect("3probe").await;
    upgraded.send("5").await;
    upgraded.send("40{}").await;
    upgraded.expect(refusal).await;
    assert_eq!(io.metrics().sockets, 0);
}

/// A handshake that failed left its timer, its reader and its session behind.
#[tokio::test(start_paused = true)]
async fn engine_io_6_6_8_failed_handshakes_leave_nothing() {
    let io = Server::new();
    let net = Net::new(&io);
    let good = format!("{UPGRADE}\r\n");
    let bad = [
        good.replace("EIO=4", "EIO=5"),
        good.replace("transport=websocket", "transport=webtransport"),
        good.replace("Version: 13", "Version: 8"),
        good.replace("ZQ==", ""),
        good.replace("dGhl", ""),
        good.replace("websocket&", "websocket&sid=AAAAAAAAAAAAAAAAAAAA&")
            .replace("websocket HTTP", "websocket&sid=AAAA HTTP"),
    ];
    for request in bad.iter().cycle().take(300) {
        let told = exchange(&io, &request.replace("Host: ", "Host: a")).await;
        assert!(told.starts_with("HTTP/1.1 4"), "{told}");
    }
    net.assert_clean().await;
    assert_eq!(io.metrics().sessions_opened, 0);
}

/// Characters that end a cookie's attribute, or the header, were taken into its name, path and domain.
#[test]
fn cve_2024_47764_cookies_hold_what_cookies_may_hold() {
    let refused = |cookie: Cookie| Server::builder().cookie(cookie).build().is_err();
    assert!(!refused(Cookie::new("io").path("/chat").domain("a.example")));
    for bad in ["a\r\nSet-Cookie: b=c", "a;b", "a\0", "a\u{e9}", ""] {
        assert!(refused(Cookie::new(bad)), "name {bad:?}");
        assert!(refused(Cookie::new("io").path(bad)), "path {bad:?}");
        assert!(refused(Cookie::new("io").domain(bad)), "domain {bad:?}");
    }
    assert!(refused(Cookie::new("io").same_site(SameSite::None)), "browsers would drop it in silence");
}

/// More headers than the server keeps: the ones it needed were among those it did not see.
#[tokio::test(start_paused = true)]
async fn cve_2024_37890_too_many_headers_are_refused() {
    let io = Server::new();
    for count in [1, 50, 99, 100, 101, 1_000, 10_000] {
        for first in [true, false] {
            let many = "X-Many: y\r\n".repeat(count);
            let (line, rest) = UPGRADE.split_at(UPGRADE.find("\r\n").unwrap() + 2);
            let request = if first { format!("{line}{many}{rest}\r\n") } else { format!("{UPGRADE}{many}\r\n") };
            let mut raw = Raw::open(&io);
            raw.write(request.as_bytes()).await;
            let mut status = [0; 12];
            tokio::io::AsyncReadExt::read_exact(&mut raw.pipe, &mut status).await.expect("an answer");
            let expected: &[&[u8]] =
                if count <= 50 { &[b"HTTP/1.1 101"] } else { &[b"HTTP/1.1 101", b"HTTP/1.1 400", b"HTTP/1.1 431"] };
            assert!(expected.contains(&status.as_slice()), "{count}: {}", status.escape_ascii());
            assert!(count < 1_000 || status != *b"HTTP/1.1 101", "{count} headers were taken");
            raw.leave().await;
        }
    }
    Net::new(&io).assert_clean().await;
}

/// A header that came byte by byte was parsed anew for each byte, and could be as long as it liked.
#[tokio::test(start_paused = true)]
async fn cve_2023_43669_a_header_that_never_ends_is_cut_off() {
    let io = Server::new();
    // By its length:
    let mut raw = Raw::open(&io);
    raw.write(UPGRADE.as_bytes()).await;
    raw.write(b"X-Long: ").await;
    let (mut sent, mut ended) = (0, false);
    while !ended && sent < 4_000_000 {
        ended = tokio::io::AsyncWriteExt::write_all(&mut raw.pipe, &[b'x'; 8192]).await.is_err();
        sent += 8192;
        sockeye_testing::settle().await;
    }
    assert!(ended, "{sent} bytes of one header were taken");
    raw.leave().await;
    // Byte by byte, with the first that is too much:
    let mut raw = Raw::open(&io);
    raw.write(UPGRADE.as_bytes()).await;
    raw.write(b"X-Long: ").await;
    let mut sent = UPGRADE.len() + 8;
    let mut told = [0; 12];
    while raw.pipe.read_exact(&mut told).now_or_never().is_none_or(|read| read.is_err()) {
        assert!(sent < 1 << 24, "all of it was taken");
        raw.write(b"x").await;
        sent += 1;
    }
    assert_eq!((sent, &told), (16 * 1024 + 1, b"HTTP/1.1 431"));
    raw.leave().await;
    // By the time it takes:
    let mut raw = Raw::open(&io);
    let began = tokio::time::Instant::now();
    for byte in UPGRADE.bytes().cycle() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if tokio::io::AsyncWriteExt::write_all(&mut raw.pipe, &[byte]).await.is_err() {
            break;
        }
    }
    assert!(began.elapsed() <= Duration::from_mins(1), "{:?}", began.elapsed());
    raw.leave().await;
}
