use sockeye::{Event, Server};

const ORDER: Event<u32, String> = Event::new("order");

fn main() {
    let io = Server::new();
    let _ = io.emit_with_ack::<_, bool>(ORDER, 7);
}
