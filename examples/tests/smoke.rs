//! Each example is started and spoken to, in literal wire text.

mod wire;

use std::process::Command;

use wire::Program;

#[test]
fn chat() {
    let program = Program::start(env!("CARGO_BIN_EXE_chat"));
    let (mut alice, mut bob) = (program.join(""), program.join(""));
    alice.send(r#"42["name","Alice"]"#);
    bob.expect(r#"42["joined","Alice"]"#);
    alice.send(r#"42["say","hello"]"#);
    bob.expect(r#"42["said","Alice","hello"]"#);
    bob.send(r#"42["say","I have no name"]"#);
    bob.send(r#"42["name","Bob"]"#);
    alice.expect(r#"42["joined","Bob"]"#);
    drop(alice);
    bob.expect(r#"42["left","Alice"]"#);
}

#[test]
fn rooms() {
    let program = Program::start(env!("CARGO_BIN_EXE_rooms"));
    let (mut alice, mut bob) = (program.join(""), program.join(""));
    let (alice_id, bob_id) = (alice.id.clone(), bob.id.clone());
    alice.send(r#"420["join","red"]"#);
    alice.expect(&format!(r#"430[["{alice_id}","red"]]"#));
    bob.send(r#"42["say",["red","not two arguments"]]"#);
    bob.send(r#"42["say","red","to the reds"]"#);
    alice.expect(r#"42["said","to the reds"]"#);
    bob.send(r#"42["say to all but","red","not to the reds"]"#);
    bob.send(&format!(r#"42["whisper","{alice_id}","only you"]"#));
    alice.expect(&format!(r#"42["whispered","{bob_id}","only you"]"#));
    bob.send(r#"421["who","red"]"#);
    bob.expect(&format!(r#"431[["{alice_id}"]]"#));
    bob.send(r#"42["close room","red"]"#);
    alice.expect(r#"42["closed","red"]"#);
    bob.send(r#"422["who","red"]"#);
    bob.expect("432[[]]");
    alice.send(r#"421["join","blue"]"#);
    alice.expect(&format!(r#"431[["{alice_id}","blue"]]"#));
    bob.send(r#"423["join","blue"]"#);
    bob.expect(&format!(r#"433[["{bob_id}","blue"]]"#));
    bob.send(r#"424["leave","green"]"#);
    bob.expect("434[]");
    drop(alice);
    bob.expect(&format!(r#"42["gone","{alice_id}"]"#));
}

#[test]
fn acks() {
    let program = Program::start(env!("CARGO_BIN_EXE_acks"));
    let (mut alice, mut bob) = (program.join(""), program.join(""));
    alice.send(r#"420["sum",2,3]"#);
    alice.expect("430[5]");
    alice.send(r#"421["divide",6,3]"#);
    alice.expect(r#"431[{"ok":2}]"#);
    alice.send(r#"422["divide",6,0]"#);
    alice.expect(r#"432[{"error":"there is no such number"}]"#);
    alice.send(r#"423["job",1]"#);
    alice.expect(r#"433["done"]"#);
    alice.send(r#"42["ask me","how are you?"]"#);
    let question = alice.text();
    let id = question.strip_prefix("42").and_then(|rest| rest.strip_suffix(r#"["question","how are you?"]"#)).unwrap();
    alice.send(&format!(r#"43{id}["well"]"#));
    alice.expect(r#"42["you said","well"]"#);
    bob.send(r#"424["vote","tea?"]"#);
    for (client, vote) in [(&mut alice, true), (&mut bob, false)] {
        let question = client.text();
        let id = question.strip_prefix("42").and_then(|rest| rest.strip_suffix(r#"["vote","tea?"]"#)).unwrap();
        client.send(&format!("43{id}[{vote}]"));
    }
    bob.expect("434[1,1,0]");
    bob.send(r#"425["vote","coffee?"]"#);
    assert!(alice.text().ends_with(r#"["vote","coffee?"]"#));
    let question = bob.text();
    let id = question.strip_prefix("42").and_then(|rest| rest.strip_suffix(r#"["vote","coffee?"]"#)).unwrap();
    bob.send(&format!("43{id}[true]"));
    drop(alice); // who leaves settles at once
    bob.expect("435[1,0,1]");
}

#[test]
fn namespaces() {
    let program = Program::start(env!("CARGO_BIN_EXE_namespaces"));
    let mut alice = program.join("");
    alice.expect(r#"42["welcome","the main namespace"]"#);
    let mut bob = program.connect("&name=bob");
    bob.enter("/news", "");
    bob.expect(r#"42/news,["welcome","the news"]"#);
    alice.send(r#"42["publish","Sockeye is written"]"#);
    bob.expect(r#"42/news,["headline","Sockeye is written"]"#);
    for shop in ["/shop-1", "/shop-2"] {
        bob.enter(shop, "");
        bob.expect(&format!(r#"42{shop},["welcome","{shop}"]"#));
    }
    alice.enter("/shop-1", "");
    alice.expect(r#"42/shop-1,["welcome","/shop-1"]"#);
    alice.send(r#"42/shop-1,["price","tea",3]"#);
    bob.expect(r#"42/shop-1,["price","tea",3]"#);
    alice.send(r#"42["sale",10]"#);
    alice.expect(r#"42/shop-1,["sale",10]"#);
    let mut sales = [bob.text(), bob.text()];
    sales.sort();
    assert_eq!(sales, [r#"42/shop-1,["sale",10]"#, r#"42/shop-2,["sale",10]"#]);
    bob.enter("/user/bob", "");
    bob.expect(r#"42/user/bob,["welcome","/user/bob"]"#);
    bob.send("40/user/alice,");
    bob.expect(r#"44/user/alice,{"message":"Invalid namespace"}"#);
}

#[test]
fn auth() {
    let program = Program::start(env!("CARGO_BIN_EXE_auth"));
    let mut stranger = program.connect("");
    stranger.send("40");
    stranger.expect(r#"44{"message":"invalid auth"}"#);
    stranger.send(r#"40{"token":"a guess"}"#);
    stranger.expect(r#"44{"message":"not authorized","data":{"reason":"unknown token"}}"#);

    let (mut alice, mut bob) = (program.connect(""), program.connect(""));
    alice.enter("", r#"{"token":"token of alice"}"#);
    alice.expect(r#"42["hello","Alice"]"#);
    bob.enter("", r#"{"token":"token of bob"}"#);
    bob.expect(r#"42["hello","Bob"]"#);
    bob.send(r#"42["shout","dropped by the filter"]"#);
    bob.send(r#"42["ping"]"#);
    bob.expect(r#"42["pong"]"#);
    alice.send(r#"42["shout","hear me"]"#);
    bob.expect(r#"42["shouted","hear me"]"#);
    bob.send(r#"40/admin,{"token":"token of bob"}"#);
    bob.expect(r#"44/admin,{"message":"forbidden","data":{"needs":"admin"}}"#);
    alice.enter("/admin", r#"{"token":"token of alice"}"#);
    alice.send(r#"42/admin,["announce","tea is ready"]"#);
    alice.expect(r#"42["announcement","tea is ready"]"#);
    bob.expect(r#"42["announcement","tea is ready"]"#);
}

#[test]
fn typed_events() {
    let program = Program::start(env!("CARGO_BIN_EXE_typed_events"));
    let (mut alice, mut bob) = (program.join(""), program.join(""));
    alice.send(r#"420["order",{"item":"tea","count":2}]"#);
    let question = alice.text();
    let id = question.strip_prefix("42").and_then(|rest| rest.strip_suffix(r#"["confirm",1]"#)).unwrap();
    alice.send(&format!("43{id}[true]"));
    alice.expect(r#"430[{"number":1,"total":6}]"#);
    bob.expect(r#"42["ordered",{"item":"tea","count":2}]"#);
    alice.send(r#"42["move",1.5,2.5]"#);
    bob.expect(r#"42["moved",1.5,2.5]"#);
}

#[test]
fn binary() {
    let program = Program::start(env!("CARGO_BIN_EXE_binary"));
    let (mut alice, mut bob) = (program.join(""), program.join(""));
    alice.send(r#"451-0["size",{"_placeholder":true,"num":0}]"#);
    alice.send_binary(&[1, 2, 3]);
    alice.expect("430[3]");
    alice.send(r#"451-1["reverse",{"_placeholder":true,"num":0}]"#);
    alice.send_binary(&[1, 2, 3]);
    alice.expect(r#"461-1[{"_placeholder":true,"num":0}]"#);
    alice.expect_binary(&[3, 2, 1]);
    alice.send(r#"451-["picture",{"name":"dot","data":{"_placeholder":true,"num":0}}]"#);
    alice.send_binary(&[4, 5]);
    bob.expect(r#"451-["picture",{"name":"dot","data":{"_placeholder":true,"num":0}}]"#);
    bob.expect_binary(&[4, 5]);
    bob.send(r#"452-["forward",{"a":[{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":0}]"#);
    bob.send_binary(&[6]);
    bob.send_binary(&[7]);
    let forwarded = alice.text();
    let (first, second) = if forwarded.contains(r#"{"a":[{"_placeholder":true,"num":0}]}"#) { (7, 6) } else { (6, 7) };
    assert!(forwarded.starts_with(r#"452-["forwarded",{"a":[{"_placeholder":true,"num":"#), "{forwarded}");
    alice.expect_binary(&[first]);
    alice.expect_binary(&[second]);
}

#[test]
fn recovery() {
    let program = Program::start(env!("CARGO_BIN_EXE_recovery"));
    let mut alice = program.connect("");
    alice.send("40");
    let answer = alice.text();
    let ids: Vec<&str> = answer.split('"').collect();
    let (id, pid) = (ids[3], ids[7]);
    assert_eq!(answer, format!(r#"40{{"sid":"{id}","pid":"{pid}"}}"#));
    let welcome = alice.text();
    let offset = welcome.split('"').nth(5).unwrap();
    assert_eq!(welcome, format!(r#"42["welcome","{id}","{offset}"]"#));
    let mut bob = program.connect("");
    bob.send("40");
    assert!(bob.text().starts_with(r#"40{"sid":""#) && bob.text().starts_with(r#"42["welcome","#));
    drop(alice);
    bob.send(r#"42["publish","while Alice is away"]"#);
    assert!(bob.text().starts_with(r#"42["headline","while Alice is away","#));

    let mut alice = program.connect("");
    alice.send(&format!(r#"40{{"pid":"{pid}","offset":"{offset}"}}"#));
    alice.expect(&format!(r#"40{{"sid":"{id}","pid":"{pid}"}}"#));
    assert!(alice.text().starts_with(r#"42["headline","while Alice is away","#));
}

#[test]
fn client() {
    let program = Program::start(env!("CARGO_BIN_EXE_acks"));
    let output = Command::new(env!("CARGO_BIN_EXE_client")).arg(program.url()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let expected = "connected\n2 + 3 = 5\nI was asked: how are you?\ngone: io client disconnect\n";
    assert_eq!(out, expected, "{err}");
    assert!(output.status.success());
}

#[test]
fn in_axum() {
    let program = Program::start(env!("CARGO_BIN_EXE_in_axum"));
    assert!(program.get("/online").ends_with("\r\n\r\n0 online"));
    let mut alice = program.join("");
    assert!(program.get("/online").ends_with("\r\n\r\n1 online"));
    alice.send(r#"420["from"]"#);
    alice.expect(r#"430["127.0.0.1"]"#);
    let polling = program.get("/socket.io/?EIO=4&transport=polling");
    assert!(polling.starts_with("HTTP/1.1 200 ") && polling.contains("\r\n\r\n0{\"sid\":\""), "{polling}");
}

#[test]
fn in_hyper() {
    let program = Program::start(env!("CARGO_BIN_EXE_in_hyper"));
    let mut alice = program.join("");
    alice.send(r#"42["echo","hello"]"#);
    alice.expect(r#"42["echo","hello"]"#);
    let polling = program.get("/socket.io/?EIO=4&transport=polling");
    assert!(polling.starts_with("HTTP/1.1 200 ") && polling.contains("\r\n\r\n0{\"sid\":\""), "{polling}");
}

#[test]
fn the_page_and_the_chat_speak_of_the_same_events() {
    let (page, chat) = (include_str!("../browser/index.html"), include_str!("../chat.rs"));
    let names = |text: &str, before: &str, quote: char| {
        let pieces = text.split(before).skip(1);
        let mut names: Vec<String> = pieces.filter_map(|piece| piece.split(quote).next()).map(String::from).collect();
        names.sort();
        names.dedup();
        names
    };
    let own = ["connect", "connect_error", "disconnect"];
    let mut heard = names(page, "socket.on('", '\'');
    heard.retain(|name| !own.contains(&name.as_str()));
    assert_eq!(heard, names(chat, ".emit(\"", '"'), "from the server");
    assert_eq!(names(page, "socket.emit('", '\''), names(chat, "io.on(\"", '"'), "to the server");
}
