//! Handles of clients that have gone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::{Server, Socket};
use sockeye_testing::{Net, WebSocket};

use crate::counting::{allocated, alone};

const CLIENTS: usize = 20;
/// What waits for each of them: more than goes in one write.
const BACKLOG: usize = 200_000;

/// How a client goes.
#[derive(Clone, Copy, Debug)]
enum End {
    CloseFrame,
    Disconnected,
    Reset,
    Silence,
}

/// A server whose handlers keep what they can get hold of.
fn server(kept: &Arc<Mutex<Vec<Socket>>>, captured: &Arc<()>) -> Server {
    let io = Server::new();
    let (keep, captured) = (Arc::clone(kept), Arc::clone(captured));
    io.on_connect(async move |socket: Socket| {
        let (own, itself) = (Arc::clone(&captured), socket.clone());
        socket.on("own", async move |_, (): ()| drop((own, itself)));
        let (own, itself) = (Arc::clone(&captured), socket.clone());
        socket.on_disconnect(async move |_, _| drop((own, itself)));
        let (own, itself) = (Arc::clone(&captured), socket.clone());
        socket.on_any_outgoing(move |_, _| _ = (&own, &itself));
        socket.join(["red", "blue"]);
        keep.lock().unwrap().push(socket);
    });
    io.on("slow", async |_: Socket, _: String| tokio::time::sleep(Duration::from_secs(3)).await);
    io
}

/// A client with everything that a client can have, and to whom everything is sent.
async fn client(net: &Net, io: &Server) -> WebSocket {
    let (mut client, id) = net.with_buffer(1_024).join().await;
    let socket = io.get(&id).expect("it has joined");
    let said = format!("42[\"slow\",\"{}\"]", "x".repeat(1_000));
    for _ in 0..10 {
        client.send(&said).await;
    }
    client.send("451-[\"slow\",{\"_placeholder\":true,\"num\":0}]").await;
    drop(socket.emit_with_ack::<_, ()>("asked", ()).timeout(Duration::MAX).send());
    for _ in 0..10 {
        socket.emit("much", "x".repeat(BACKLOG / 10)).expect("there is room");
    }
    client
}

async fn go(client: WebSocket, end: End, io: &Server, net: &Net) {
    match end {
        End::CloseFrame => {
            let mut client = client;
            client.send_frame(0x88, b"\x03\xe8").await;
            drop(client);
        }
        End::Disconnected => {
            io.local().disconnect_and_close().expect("alone");
            net.advance(Duration::from_secs(1)).await;
            drop(client);
        }
        End::Reset => client.reset(),
        End::Silence => {
            net.advance(Duration::from_mins(1)).await;
            drop(client);
        }
    }
}

/// REQ-1.4. What a handle still tells (its id, its rooms, its peer) is small, and it is all that is left.
#[test]
fn a_handle_that_is_kept_holds_no_buffers() {
    alone(async || {
        for end in [End::CloseFrame, End::Disconnected, End::Reset, End::Silence] {
            let (kept, captured) = (Arc::<Mutex<Vec<Socket>>>::default(), Arc::new(()));
            let io = server(&kept, &captured);
            let net = Net::new(&io);
            let mut held = [0, 0];
            // The first crowd makes tables as large as they get; its handles are not kept.
            for crowd in [0, 1] {
                let before = allocated();
                let mut clients = Vec::new();
                for _ in 0..CLIENTS {
                    clients.push(client(&net, &io).await);
                }
                held[0] = (allocated() - before) / CLIENTS;
                for client in clients {
                    go(client, end, &io, &net).await;
                }
                net.advance(Duration::from_mins(3)).await;
                net.assert_clean().await;
                assert_eq!(kept.lock().unwrap().len(), CLIENTS);
                assert_eq!(Arc::strong_count(&captured), 2, "{end:?}: handlers of a socket go with it");
                if crowd == 1 {
                    held[1] = allocated().saturating_sub(before) / CLIENTS;
                }
                kept.lock().unwrap().clear();
            }
            let [alive, gone] = held;
            assert!(alive > BACKLOG, "{end:?}: {alive} bytes for each while it is there");
            assert!((64..5_000).contains(&gone), "{end:?}: {gone} bytes for each handle");
        }
    });
}
