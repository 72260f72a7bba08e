//! Polling by scripts and forms: what goes in and out this way is what goes in and out by plain bodies, and no script holds
//! anything but a text.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sockeye::{Raw, Server};
use sockeye_testing::{Answer, Net};

use crate::input::{Input, text};
use crate::target::Target;

pub(crate) const JSONP: Target = Target {
    name: "jsonp",
    run: jsonp,
    // The first byte: revision, and whether the body is a form as it is; then the index of the function, and the body.
    seeds: &[
        b"\x00\x01042[\"echo\",\"hello\"]",
        b"\x00\x032a;42[\"echo\",\"</script><!-- \xe2\x80\xa8\xe2\x80\xa9 \xc3\xa9\",\"\\n\\\\n\\\\\\n\"]\x1e3x",
        b"\x00\x021142[\"echo\",\"a b+c%20&d=e;\"]\x1e451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x1ebYWI=",
        b"\x01\x01012:42[\"echo\",1]1:3",
        b"\x01\x01021:42[\"echo\",\"\\u2028\xe2\x80\xa9\xc3\xa9\"]",
        b"\x02\x010d=42%5B%22echo%22%2C%22%C3%A9+%5Cn%22%5D&x=y",
        b"\x03\x010x=1&d=%31%32%3A42[%22echo%22,1]",
    ],
    mutations: 200,
};

fn jsonp(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let (revision, is_form) = (if choice & 1 == 0 { 4 } else { 3 }, choice & 2 != 0);
    let index = input.chunk();
    let body = input.rest();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O can be built").block_on(async {
        let scripts = format!("EIO={revision}&transport=polling&j={}", escaped(index));
        let digits: Vec<u8> = index.iter().copied().filter(u8::is_ascii_digit).collect();
        if is_form {
            let posted = exchange(&scripts, body).await;
            for answer in &posted {
                let _ = payload(answer, &digits);
            }
            return;
        }
        let body = text(body);
        let by_script = exchange(&scripts, format!("d={}", escaped(line_ends(body).as_bytes())).as_bytes()).await;
        let plain = exchange(&format!("EIO={revision}&transport=polling&b64=1"), body.as_bytes()).await;
        // A backslash before a line end becomes one that was escaped: packets are JSON, and have no line ends.
        if !body.contains("\\\n") {
            let by_script: Vec<_> = by_script.iter().map(|answer| payload(answer, &digits)).collect();
            let plain: Vec<_> = plain.iter().map(|answer| comparable(answer, answer.text())).collect();
            assert_eq!(by_script, plain, "the same body by a form, and as it is");
        }
    });
}

/// A session that joins the main namespace: the answers to a POST of `body`, and to the GET behind it, if there is one.
async fn exchange(query: &str, body: &[u8]) -> Vec<Answer> {
    let sessions = AtomicUsize::new(0);
    let id = move |_: &_| format!("s{}", sessions.fetch_add(1, Ordering::SeqCst));
    let io = Server::builder().allow_eio3(true).allow_jsonp(true).generate_id(id).build().expect("the options agree");
    io.on("echo", async |socket: sockeye::Socket, args: Raw| {
        let _ = socket.emit("echo", args);
    });
    let net = Net::new(&io);
    let target = format!("/socket.io/?{query}");
    let mut answers = vec![net.request("GET", &target, &[], "").answer().await];
    let target = format!("{target}&sid=s0");
    if query.contains("EIO=4") {
        let join = if query.contains("&j=") { "d=40" } else { "40" };
        answers.push(net.request("POST", &target, &[], join).answer().await);
        answers.push(net.request("GET", &target, &[], "").answer().await);
    }
    answers.push(net.request("POST", &target, &[], body.to_vec()).answer().await);
    let status = answers.last().map(|answer| answer.status.as_u16());
    assert!(matches!(status, Some(200 | 400)), "a POST was answered with {status:?}");
    // There is always something to say.
    let _ = io.emit("end", ());
    let get = net.request("GET", &target, &[], "");
    if io.metrics().sockets > 0 {
        answers.push(get.answer().await);
    }
    net.advance(Duration::from_secs(100)).await;
    net.assert_clean().await;
    answers
}

/// The payload in a script, which is a call with one text; or what else was answered.
fn payload(answer: &Answer, digits: &[u8]) -> (u16, String) {
    let script = answer.text();
    let Some(rest) = script.strip_prefix("___eio[") else { return comparable(answer, script) };
    let (index, rest) = rest.split_once("](").expect("a call with an index");
    assert_eq!(index.as_bytes(), digits, "another index than the digits of what was asked for");
    let literal = rest.strip_suffix(");").expect("a call is one statement");
    let breaks_out = |text: &str| literal.contains(text);
    assert!(!["<", "\u{2028}", "\u{2029}", "\n", "\r"].into_iter().any(breaks_out), "{literal} is more than a text");
    // JSON without line separators is JavaScript.
    let payload: String = serde_json::from_str(literal).expect("a text");
    comparable(answer, &payload)
}

/// Without the ids of sockets, which are random.
fn comparable(answer: &Answer, payload: &str) -> (u16, String) {
    let packets = payload.split('\x1e').filter(|packet| !packet.starts_with("40{\"sid\""));
    (answer.status.as_u16(), packets.collect::<Vec<_>>().join("\x1e"))
}

/// As the official client does it: browsers change line ends in forms.                [JS engine.io-client 3.5 polling-jsonp.js]
fn line_ends(body: &str) -> String {
    body.replace("\\n", "\\\\n").replace('\n', "\\n")
}

/// As a value in a query or a form.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02x}").expect("a text takes everything");
        }
        text
    })
}
