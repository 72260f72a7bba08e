//! The end that the fuzzing client tests.

use std::io;

use sockeye_engine::Role;
use sockeye_engine::ws::deflate::Params;
use sockeye_engine::ws::handshake;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::echo;
use crate::wire::DEFLATE;

pub(crate) async fn run(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // That connections fail is the point of many cases; the suite judges how.
            let _ = serve(stream).await;
        });
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
        if let Some(Judged { size, deflate, answer }) = judge(&read)? {
            stream.write_all(&answer).await?;
            return echo::run(stream, Role::Server, deflate.as_ref(), read.split_off(size)).await;
        }
    }
}

/// A request that was accepted.
struct Judged {
    /// Size of its head.
    size: usize,
    deflate: Option<Params>,
    /// The head of the response.
    answer: Vec<u8>,
}

/// Judges a request; `None` if its head is not complete.
fn judge(read: &[u8]) -> io::Result<Option<Judged>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(size) = request.parse(read).map_err(io::Error::other)? else { return Ok(None) };
    let method = request.method.unwrap_or_default().as_bytes();
    let headers = request.headers.iter().map(|header| (header.name.as_bytes(), header.value));
    let accepted = handshake::accept(method, headers, Some(&DEFLATE), |_| true).map_err(io::Error::other)?;
    let mut answer = Vec::new();
    accepted.encode(&mut answer);
    Ok(Some(Judged { size, deflate: accepted.deflate, answer }))
}
