use sockeye::{Event, Server, Socket};

const CHAT: Event<String> = Event::new("chat");

async fn chat(_: Socket, _: u32) {}

fn main() {
    let io = Server::new();
    io.on(CHAT, chat);
}
