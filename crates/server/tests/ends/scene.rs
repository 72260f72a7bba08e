//! A server that writes down who comes and who goes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::{Server, ServerBuilder, Socket};
use sockeye_testing::{Net, settle};

pub(crate) struct Scene {
    pub(crate) io: Server,
    pub(crate) net: Net,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    came: usize,
    /// Namespaces and reasons.
    went: Vec<String>,
}

impl Scene {
    /// Hooks take so long; who goes meanwhile has been there all the same.
    pub(crate) fn new(builder: ServerBuilder, pause: Duration) -> Self {
        let io = builder.build().expect("the options agree");
        let log = Arc::<Mutex<Log>>::default();
        for path in ["/", "/chat"] {
            let (came, went, namespace) = (Arc::clone(&log), Arc::clone(&log), io.of(path));
            namespace.on_connect(async move |socket: Socket| {
                came.lock().unwrap().came += 1;
                socket.join(["a", "b"]);
                tokio::time::sleep(pause).await;
                socket.join("c");
            });
            namespace.on_disconnect(async move |socket: Socket, reason| {
                let rooms = socket.rooms();
                assert!(rooms.starts_with(&[socket.id().into(), "a".into(), "b".into()]), "{rooms:?}");
                assert!(!socket.is_connected());
                socket.join("after");
                assert_eq!(socket.rooms(), rooms, "a join after the end is refused");
                went.lock().unwrap().went.push(format!("{path} {reason}"));
                tokio::time::sleep(pause).await;
            });
        }
        let net = Net::new(&io);
        Self { io, net, log }
    }

    pub(crate) fn gone(&self) -> usize {
        self.log.lock().unwrap().went.len()
    }

    /// Why each went, in the order of the paths.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let mut went = self.log.lock().unwrap().went.clone();
        went.sort();
        went
    }

    /// Everybody who came has gone once, and nothing is left.
    pub(crate) async fn is_over(&self, what: &str) {
        pass(90).await;
        let went = self.reasons();
        let came = self.log.lock().unwrap().came;
        assert_eq!(came, went.len(), "{what}: {went:?}");
        assert_eq!(self.io.metrics().handler_errors, 0, "{what}: a handler saw what it must not");
        let counted: u64 = self.io.metrics().disconnects.iter().map(|(_, count)| count).sum();
        assert_eq!(counted, went.len() as u64, "{what}");
        self.net.assert_clean().await;
    }
}

/// Lets so many seconds pass, each of them at once.
pub(crate) async fn pass(seconds: usize) {
    for _ in 0..seconds {
        tokio::time::advance(Duration::from_secs(1)).await;
        settle().await;
    }
}
