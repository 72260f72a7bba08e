use sockeye::{Server, Socket};

struct Db;

impl Db {
    async fn save(&self, _: &str) {}
}

fn main() {
    let io = Server::new();
    let db = Db;
    io.on("chat", async move |_: Socket, text: String| db.save(&text).await);
}
