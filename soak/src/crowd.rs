//! A process full of clients.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, stdin};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::load::Load;

/// So many connect at the same time when all are to be there at once.
const AT_ONCE: usize = 200;

/// Lets all clients live until standard input ends, and tells what they have seen.
pub(crate) async fn run(load: Load) {
    let load = Arc::new(load);
    let mut clients = JoinSet::new();
    for number in load.first..load.first + load.clients {
        clients.spawn(Client::new(number, Arc::clone(&load)).run());
    }
    // Nothing is ever written there.
    let _ = stdin().read(&mut [0]).await;
    load.over.send_replace(true);
    while let Some(ended) = clients.join_next().await {
        if let Err(error) = ended {
            load.faults.add(format!("a client failed: {error}"));
        }
    }
    println!("{}", load.report());
}

/// Connects all clients, says so, and waits to be killed.
pub(crate) async fn hold(load: Load) -> io::Result<()> {
    let load = Arc::new(load);
    let (mut clients, places) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    for number in load.first..load.first + load.clients {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        let before = Arc::clone(&load);
        clients.spawn(async move { Client::new(number, before).hold(|| drop(place)).await });
    }
    let _all = places.acquire_many(u32::try_from(AT_ONCE).unwrap_or(u32::MAX)).await.map_err(io::Error::other)?;
    println!("{}", load.report());
    // It ends with who started it, in whatever way that ends.
    let (mut orders, mut none) = (stdin(), [0]);
    tokio::select! {
        _ = orders.read(&mut none) => Ok(()),
        Some(ended) = clients.join_next() => ended?,
    }
}
