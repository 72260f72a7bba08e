use sockeye::{Server, Socket};

fn main() {
    let io = Server::new();
    io.on("sum", async |_: Socket, (a, b): (u32, u32)| a + b);
}
