//! The end that the fuzzing server tests.

use std::io;

use sockeye_engine::Role;
use sockeye_engine::ws::Item;
use sockeye_engine::ws::deflate::Params;
use sockeye_engine::ws::handshake::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::echo;
use crate::wire::{DEFLATE, decoder};

/// Runs all cases, and has the report written.
pub(crate) async fn run(address: &str, agent: &str) -> io::Result<()> {
    let count: usize = case_count(address).await?;
    for case in 1..=count {
        let (stream, deflate, early) = open(address, &format!("/runCase?case={case}&agent={agent}")).await?;
        // That connections fail is the point of many cases; the suite judges how.
        let _ = echo::run(stream, Role::Client, deflate.as_ref(), early).await;
        if case % 50 == 0 || case == count {
            println!("{case} of {count} cases");
        }
    }
    let (stream, deflate, early) = open(address, &format!("/updateReports?agent={agent}")).await?;
    // When the reports are written the suite lets go of the connection in any way it likes.
    let _ = echo::run(stream, Role::Client, deflate.as_ref(), early).await;
    Ok(())
}

async fn case_count(address: &str) -> io::Result<usize> {
    let (mut stream, deflate, mut read) = open(address, "/getCaseCount").await?;
    let mut decoder = decoder(Role::Client, deflate.as_ref());
    loop {
        match decoder.decode(&mut read) {
            Ok((_, Some(Item::Text(count)))) => return count.parse().map_err(io::Error::other),
            Ok((_, Some(_))) => return Err(io::Error::other("the suite did not tell its number of cases")),
            Ok((_, None)) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
        read.clear();
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Opens a WebSocket: what was agreed, and what came behind the head.
async fn open(address: &str, path: &str) -> io::Result<(TcpStream, Option<Params>, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let request = Request { host: address, path, key, headers: &[], protocols: &[], deflate: Some(&DEFLATE) };
    let mut out = Vec::new();
    let mut handshake = request.encode(&mut out).map_err(io::Error::other)?;
    stream.write_all(&out).await?;
    loop {
        let mut read = Vec::with_capacity(16 * 1024);
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (used, established) = handshake.read(&read).map_err(io::Error::other)?;
        if let Some(established) = established {
            return Ok((stream, established.deflate, read.split_off(used)));
        }
    }
}
