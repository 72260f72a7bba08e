#![deny(unused_must_use)]

use sockeye::Socket;

pub async fn ask(socket: Socket) {
    socket.emit_with_ack::<_, u32>("how many", ());
}

fn main() {}
