use sockeye::Server;

fn main() {
    let io = Server::new();
    io.authorize(async |_, token: String| token == "good");
}
