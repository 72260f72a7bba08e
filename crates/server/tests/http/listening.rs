//! Connections: kept alive, pipelined, over Unix sockets.

use std::time::Duration;

use sockeye::{Server, Socket};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::wire::{HANDSHAKE, Wire};

#[tokio::test]
async fn requests_on_one_connection_may_be_sent_at_once() {
    let io = Server::new();
    let mut wire = Wire::open(&io);
    let uri = format!("{HANDSHAKE}&sid={}", wire.get(HANDSHAKE).await.sid());
    let post = format!("POST {uri} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40");
    let get = format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n");
    let again = format!("POST {uri} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1");
    wire.write(format!("{post}{get}{again}{get}")).await;
    assert_eq!(wire.response().await.text(), "ok");
    assert!(wire.response().await.text().starts_with("40{\"sid\":"));
    assert_eq!(wire.response().await.text(), "ok");
    let gone = wire.response().await;
    assert_eq!((gone.status, gone.text()), (400, "{\"code\":1,\"message\":\"Session ID unknown\"}"));
}

/// The bound for messages before CONNECT is lifted by joining, however that came about.
#[tokio::test]
async fn the_first_message_may_be_long() {
    let io = Server::builder().allow_eio3(true).build().unwrap();
    io.authorize(async |_, ()| {
        tokio::task::yield_now().await;
        Ok(())
    });
    io.on("length", async |socket: Socket, text: String| socket.emit("length", text.len()));
    let packet = format!("42[\"length\",\"{}\"]", "x".repeat(50_000));
    let mut wire = Wire::open(&io);
    wire.upgrade("/socket.io/?EIO=4&transport=websocket", &[]).await;
    wire.join().await;
    wire.say(&packet).await;
    assert_eq!(wire.hear().await, "42[\"length\",50000]");
    let mut wire = Wire::open(&io);
    wire.upgrade("/socket.io/?EIO=3&transport=websocket", &[]).await;
    assert!(wire.hear().await.starts_with("0{"));
    assert_eq!(wire.hear().await, "40");
    wire.say(&packet).await;
    assert_eq!(wire.hear().await, "42[\"length\",50000]");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_cut_off() {
    let io = Server::new();
    let (mut ours, theirs) = tokio::io::duplex(100);
    let began = tokio::time::Instant::now();
    let serving = tokio::spawn(async move { io.serve_stream(theirs, None).await });
    assert_eq!(ours.read(&mut [0; 100]).await.unwrap(), 0);
    serving.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn closing_ends_connections_that_wait_for_requests() {
    let io = Server::new();
    let (mut ours, theirs) = tokio::io::duplex(100);
    let server = io.clone();
    let serving = tokio::spawn(async move { server.serve_stream(theirs, None).await });
    tokio::task::yield_now().await;
    io.close(Duration::from_secs(1)).await;
    assert_eq!(ours.read(&mut [0; 100]).await.unwrap(), 0);
    serving.await.unwrap();
}

/// An address of IPv6 alone, and all addresses of a machine, which are those of both families where the system lets one
/// socket have both.
#[tokio::test]
async fn ipv6_is_listened_on() {
    let io = Server::new();
    for bound in ["[::1]:0", "[::]:0"] {
        let listener = match TcpListener::bind(bound).await {
            Ok(listener) => listener,
            Err(error) => {
                // A machine without IPv6: then the server says so, too.
                println!("{bound}: {error}: that the server tells this is all that can be tested here");
                assert_eq!(io.listen(bound).await.unwrap_err().kind(), error.kind());
                continue;
            }
        };
        let port = listener.local_addr().unwrap().port();
        let has_both = bound == "[::]:0" && !socket2::SockRef::from(&listener).only_v6().unwrap();
        let server = io.clone();
        let serving = tokio::spawn(async move { server.serve(listener).await });
        for (host, is_served) in [("::1", true), ("127.0.0.1", has_both)] {
            let connected = TcpStream::connect((host, port)).await;
            assert_eq!(connected.is_ok(), is_served, "{bound} from {host}");
            if let Ok(stream) = connected {
                assert_eq!(Wire::over(stream).get(HANDSHAKE).await.status, 200, "{bound} from {host}");
            }
        }
        serving.abort();
    }
}

/// Who polls needs new connections until its session is over.
#[tokio::test]
async fn while_it_closes_polls_come_through_and_handshakes_do_not() {
    let io = Server::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = io.clone();
    let serving = tokio::spawn(async move { server.serve(listener).await });
    let connect = async || Wire::over(TcpStream::connect(address).await.unwrap());
    let uri = format!("{HANDSHAKE}&sid={}", connect().await.get(HANDSHAKE).await.sid());
    assert_eq!(connect().await.post(&uri, "text/plain", "40").await.text(), "ok");
    assert!(connect().await.get(&uri).await.text().starts_with("40{"));
    io.emit("last words", ()).unwrap();
    let server = io.clone();
    let closing = tokio::spawn(async move { server.close(Duration::from_secs(5)).await });
    while io.is_ready() {
        tokio::task::yield_now().await;
    }
    assert_eq!(connect().await.get(HANDSHAKE).await.status, 503);
    assert_eq!(connect().await.get(&uri).await.text(), "42[\"last words\"]");
    assert_eq!(connect().await.get(&uri).await.text(), "1");
    closing.await.unwrap();
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[cfg(unix)]
mod unix {
    use std::path::PathBuf;

    use tokio::net::UnixStream;

    use super::*;

    /// A folder that goes away at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("sockeye-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    async fn connect(path: &std::path::Path) -> Wire<UnixStream> {
        loop {
            match UnixStream::connect(path).await {
                Ok(stream) => return Wire::over(stream),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test]
    async fn a_unix_socket_serves_all_transports() {
        let folder = Folder::new("serves");
        let path = folder.0.join("chat.sock");
        // What a process that was killed leaves behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let io = Server::new();
        io.on("address", async |socket: Socket, ()| socket.emit("address", socket.peer().address().is_none()));
        let (server, at) = (io.clone(), path.clone());
        let serving = tokio::spawn(async move { server.listen_unix(at).await });
        assert_eq!(connect(&path).await.get(HANDSHAKE).await.status, 200);
        let mut wire = connect(&path).await;
        assert_eq!(wire.upgrade("/socket.io/?EIO=4&transport=websocket", &[]).await.status, 101);
        wire.join().await;
        wire.say("42[\"address\"]").await;
        assert_eq!(wire.hear().await, "42[\"address\",true]");
        let second = io.listen_unix(&path).await.unwrap_err();
        assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse, "a server that lives is not replaced");
        io.close(Duration::from_secs(1)).await;
        serving.await.unwrap().unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_not_replaced() {
        let folder = Folder::new("file");
        let path = folder.0.join("notes.txt");
        std::fs::write(&path, "dear diary").unwrap();
        assert!(Server::new().listen_unix(&path).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary");
    }
}
