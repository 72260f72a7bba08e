//! A chat for the terminal: the other end of the demo, whose page is one for the browser.
//!
//!     cargo xtask demo
//!     cargo run -p sockeye-examples --bin chat_client Ada http://localhost:3000
//!
//! Type a line to say it in the room you are in; `/join ROOM`, `/to PERSON TEXT`, `/quit`. It comes back by itself when the
//! connection breaks, into the same room, and what was typed meanwhile is sent then.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sockeye_client::{BoxError, Client, Event};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;

/// Where everybody begins.
const LOBBY: &str = "lobby";

/// What the demo answers with.
type Answer<T> = Result<T, String>;

const ANNOUNCEMENT: Event<String> = Event::new("announcement");
const GOODBYE: Event<String> = Event::new("goodbye");
const JOIN: Event<String, Answer<()>> = Event::new("join");
const LEFT: Event<String> = Event::new("left");
const MESSAGE: Event<Message> = Event::new("message");
const SAY: Event<Draft, Answer<Receipt>> = Event::new("message");
const WELCOME: Event<Welcome> = Event::new("welcome");

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Person(String),
    Room(String),
}

#[derive(Serialize)]
struct Draft {
    to: Place,
    text: String,
}

#[derive(Deserialize)]
struct Message {
    id: u64,
    from: String,
    to: Place,
    text: String,
    picture: Option<Picture>,
}

#[derive(Deserialize)]
struct Picture {
    name: String,
    bytes: bytes::Bytes,
}

#[derive(Deserialize)]
struct Receipt {
    id: u64,
}

#[derive(Deserialize)]
struct Welcome {
    people: Vec<Person>,
}

#[derive(Deserialize)]
struct Person {
    nickname: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    eprintln!("chat_client: {error}");
    ExitCode::FAILURE
}

async fn run() -> Result<(), BoxError> {
    let mut words = std::env::args().skip(1);
    let nickname = words.next().ok_or("usage: chat_client NICKNAME [URL]")?;
    let url = words.next().unwrap_or_else(|| "http://localhost:3000".into());
    let room = Arc::new(Mutex::new(LOBBY.to_owned()));
    let (ready, mut is_ready) = watch::channel(false);
    let client = chat(&url, nickname, Arc::clone(&room), ready).connect().await?;
    let mut state = client.watch();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        tokio::select! {
            _ = is_ready.wait_for(|ready| *ready) => {}
            _ = state.until(|state| !state.is_active()) => break,
        }
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("", "") => {}
            ("/quit", _) => break,
            ("/join", name) => match client.emit_with_ack(JOIN, name.to_owned()).await {
                Ok(Ok(())) => name.clone_into(&mut lock(&room)),
                Ok(Err(problem)) => println!("* {problem}"),
                Err(error) => println!("* {error}"),
            },
            ("/to", rest) => match rest.split_once(' ') {
                Some((person, text)) => say(&client, Place::Person(person.to_owned()), text).await,
                None => println!("* /to PERSON TEXT"),
            },
            _ => {
                let room = lock(&room).clone();
                say(&client, Place::Room(room), &line).await;
            }
        }
    }
    client.disconnect().await;
    Ok(())
}

/// A client which prints what happens, and goes back to its room; `ready` tells when it is there.
fn chat(
    url: &str,
    nickname: String,
    room: Arc<Mutex<String>>,
    ready: watch::Sender<bool>,
) -> sockeye_client::ClientBuilder {
    // Proves that the nickname is still ours when we come back.
    #[expect(clippy::disallowed_methods, reason = "any number that differs from the last one")]
    let now = std::time::SystemTime::now();
    let key = format!("{:x}-{now:?}", std::process::id());
    let key: String = key.chars().filter(char::is_ascii_hexdigit).take(64).collect();
    // Who comes back is shown the latest messages again.
    let latest = Arc::new(Mutex::new(0));
    let ready = Arc::new(ready);
    let lost = Arc::clone(&ready);
    Client::builder(url)
        .auth(json!({ "nickname": nickname, "key": key }))
        .ack_timeout(Duration::from_secs(60))
        .on(WELCOME, async |_, welcome| {
            let names: Vec<String> = welcome.people.into_iter().map(|person| person.nickname).collect();
            println!("* here are: {}", names.join(", "));
        })
        .on(MESSAGE, async move |_, message| {
            let mut latest = lock(&latest);
            if message.id > *latest {
                *latest = message.id;
                show(&message);
            }
        })
        .on(LEFT, async |_, nickname| println!("* {nickname} has left"))
        .on(ANNOUNCEMENT, async |_, text| println!("* announcement: {text}"))
        .on(GOODBYE, async |_, why| println!("* you are out: {why}"))
        .on_connect(async move |client| {
            let name = lock(&room).clone();
            // If the connection is lost again, the next one tries again.
            if name != LOBBY
                && let Err(problem) = client.emit_with_ack(JOIN, name).await?
            {
                println!("* {problem}");
                LOBBY.clone_into(&mut lock(&room));
            }
            ready.send_replace(true);
            Ok::<_, BoxError>(())
        })
        .on_disconnect(async move |client, reason| {
            lost.send_replace(false);
            let why = client.last_disconnect().map_or_else(|| reason.to_string(), |last| last.to_string());
            println!("* disconnected: {why}");
        })
        .on_connect_error(async |_, error| println!("* {error}"))
}

fn show(Message { from, to, text, picture, .. }: &Message) {
    let place = match to {
        Place::Person(nickname) => format!("@{nickname}"),
        Place::Room(name) => format!("#{name}"),
    };
    println!("{place} {from}: {text}");
    if let Some(Picture { name, bytes }) = picture {
        println!("{place} {from}: a picture, {name}, {} bytes", bytes.len());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn say(client: &Client, to: Place, text: &str) {
    let draft = Draft { to, text: text.to_owned() };
    match client.emit_with_ack(SAY, draft).await {
        Ok(Ok(receipt)) => println!("* sent as {}", receipt.id),
        Ok(Err(problem)) => println!("* not sent: {problem}"),
        Err(error) => println!("* not sent: {error}"),
    }
}
