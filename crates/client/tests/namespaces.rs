//! Several namespaces on one connection: what fails in one is no matter of the others.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use common::{Net, pass, seconds, settle};
use serde_json::{Value, json};
use sockeye::{Refusal, Server};
use sockeye_client::{Client, ClientBuilder, Reconnect, State};

fn server() -> Server {
    let io = Server::new();
    io.on_with_ack("n", async |_, n: u32| n);
    io.of("/admin").on_with_ack("n", async |_, n: u32| n);
    io
}

/// With a source of tokens that is out of order while the flag is set.
fn with_tokens(builder: ClientBuilder, broken: &Arc<AtomicBool>) -> ClientBuilder {
    let broken = Arc::clone(broken);
    builder.try_auth_with(move || {
        let is_broken = broken.load(SeqCst);
        async move { if is_broken { Err("no tokens today") } else { Ok(json!({})) } }
    })
}

async fn until_connected(client: &Client) {
    client.watch().until(State::is_connected).await;
}

#[tokio::test(start_paused = true)]
async fn auth_that_fails_for_one_namespace_is_asked_again_and_the_other_stays() {
    let net = Net::with(&server());
    let client = net.client().connect().await.unwrap();
    let broken = Arc::new(AtomicBool::new(true));
    let admin = with_tokens(client.of("/admin"), &broken).start().unwrap();
    pass(seconds(30)).await;
    assert!(
        client.is_connected() && matches!(admin.state(), State::Waiting { attempt: 4.., .. }),
        "{:?}",
        admin.state()
    );
    broken.store(false, SeqCst);
    until_connected(&admin).await;
    assert_eq!((net.dials() > 0, client.emit_with_ack::<_, u32>("n", 7).await.unwrap()), (true, 7));
    client.disconnect().await;
    admin.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn auth_that_fails_when_the_connection_comes_back_does_not_take_the_others_with_it() {
    let net = Net::with(&server());
    let client = net.client().connect().await.unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let admin = with_tokens(client.of("/admin"), &broken).connect().await.unwrap();
    broken.store(true, SeqCst);
    net.cut();
    client.watch().until(|state| !state.is_connected()).await;
    until_connected(&client).await;
    pass(seconds(60)).await;
    assert!(client.is_connected() && admin.state().is_active() && !admin.is_connected());
    broken.store(false, SeqCst);
    until_connected(&admin).await;
    client.disconnect().await;
    admin.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_whose_attempts_are_used_up_ends_alone() {
    let net = Net::with(&server());
    let policy = Reconnect::default().attempts(3);
    let client = net.client().reconnect(policy).connect().await.unwrap();
    let error = with_tokens(client.of("/admin"), &Arc::new(AtomicBool::new(true))).connect().await.unwrap_err();
    assert!(error.to_string().contains("no tokens today"), "{error}");
    assert!(client.is_connected());
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_waits_by_itself_can_be_disconnected() {
    let net = Net::with(&server());
    let client = net.client().connect().await.unwrap();
    let admin = with_tokens(client.of("/admin"), &Arc::new(AtomicBool::new(true))).start().unwrap();
    pass(seconds(10)).await;
    admin.disconnect().await;
    client.disconnect().await;
    settle().await;
    assert_eq!((net.open(), common::tasks(), admin.state().is_active()), (0, 0, false));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_whose_admission_takes_too_long_is_asked_for_again() {
    let io = server();
    let count = Arc::new(AtomicU32::new(0));
    io.of("/admin").authorize(async move |_, _: Value| {
        if count.fetch_add(1, SeqCst) == 0 {
            pass(seconds(25)).await;
        }
        Ok::<_, Refusal>(())
    });
    let net = Net::with(&io);
    let client = net.client().connect().await.unwrap();
    let lost = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&lost);
    client.on_disconnect(async move |_, _| seen.store(true, SeqCst));
    let admin = client.of("/admin").connect().await.unwrap();
    assert!(admin.is_connected() && client.is_connected() && !lost.load(SeqCst));
    client.disconnect().await;
    admin.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_after_every_refusal_does_not_hammer_the_server() {
    let io = server();
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    io.authorize(async move |_, _: Value| match count.fetch_add(1, SeqCst) {
        0..10 => Err(Refusal::new("token expired")),
        _ => Ok(()),
    });
    let net = Net::with(&io);
    let policy = Reconnect::backoff(seconds(1), seconds(5)).jitter(0.0);
    let builder = net.client().reconnect(policy).on_connect_error(async |client, _| client.connect().await);
    let client = builder.start().unwrap();
    settle().await;
    pass(Duration::from_millis(900)).await;
    assert_eq!(asked.load(SeqCst), 2, "fresh credentials may help at once");
    pass(seconds(12)).await;
    assert_eq!(asked.load(SeqCst), 6, "after 1, 2, 4 and 5 s");
    assert!(matches!(client.state(), State::Waiting { .. }) && net.open() == 0, "no connection is held meanwhile");
    until_connected(&client).await;
    client.disconnect().await;
}
