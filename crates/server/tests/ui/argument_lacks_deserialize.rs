use sockeye::{Server, Socket};

struct Chat {
    text: String,
}

fn main() {
    let io = Server::new();
    io.on("chat", async |_: Socket, chat: Chat| println!("{}", chat.text));
}
