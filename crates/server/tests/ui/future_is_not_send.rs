use std::rc::Rc;

use sockeye::{Server, Socket};

fn main() {
    let io = Server::new();
    io.on("count", async |_: Socket, n: u32| {
        let shared = Rc::new(n);
        std::future::ready(()).await;
        println!("{shared}");
    });
}
