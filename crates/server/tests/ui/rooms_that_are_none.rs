use sockeye::Server;

fn main() {
    let io = Server::new();
    let _ = io.to(7).emit("e", ());
}
