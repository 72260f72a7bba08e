use sockeye::{Event, Server};

const CHAT: Event<String> = Event::new("chat");

fn main() {
    let io = Server::new();
    let _ = io.emit(CHAT, 7_u32);
}
