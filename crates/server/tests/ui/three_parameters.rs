use sockeye::{Server, Socket};

fn main() {
    let io = Server::new();
    io.on("move", async |_: Socket, x: f32, y: f32| println!("{x} {y}"));
}
