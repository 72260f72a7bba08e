use sockeye::{Event, Server, Socket};

const LEFT: Event<()> = Event::new("disconnect");

fn main() {
    let io = Server::new();
    io.on(LEFT, async |_: Socket, (): ()| ());
}
