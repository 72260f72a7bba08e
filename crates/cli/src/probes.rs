//! What machines ask: is it alive, may it get clients, how does it do.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::routing::get;
use sockeye::Server;

use crate::process;

/// Whether new clients are welcome.
#[derive(Clone, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// The end has been asked for, though it has not begun yet.
    pub(crate) fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_ready(&self, io: &Server) -> bool {
        io.is_ready() && !self.0.load(Ordering::Relaxed)
    }
}

/// `/healthz`, `/readyz` and `/metrics`.
pub(crate) fn routes(io: &Server, readiness: &Readiness) -> Router {
    let (ready, server) = (readiness.clone(), io.clone());
    let readyz = move || {
        let (status, text) = if ready.is_ready(&server) {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
        };
        std::future::ready((status, plain("text/plain"), text))
    };
    let (ready, server) = (readiness.clone(), io.clone());
    let metrics = move || {
        let text = metrics(&server, ready.is_ready(&server));
        std::future::ready((plain("text/plain; version=0.0.4"), text))
    };
    Router::new()
        .route("/healthz", get(async || (plain("text/plain"), "alive\n")))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

fn plain(kind: &'static str) -> [(HeaderName, &'static str); 2] {
    [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")]
}

/// The server's figures, and those of the process, with the names that Prometheus has for these.
fn metrics(io: &Server, is_ready: bool) -> String {
    let mut text = io.metrics().to_prometheus();
    let mut gauge = |name: &str, help: &str, value: Option<u64>| {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            let _ = match name {
                "sockeye_build_info" => writeln!(text, "{name}{{version=\"{}\"}} {value}", env!("CARGO_PKG_VERSION")),
                _ => writeln!(text, "{name} {value}"),
            };
        }
    };
    gauge("sockeye_build_info", "The version that runs.", Some(1));
    gauge("sockeye_ready", "Whether new clients are welcome.", Some(u64::from(is_ready)));
    gauge("process_resident_memory_bytes", "Resident memory.", process::memory_bytes());
    gauge("process_open_fds", "Open file descriptors.", process::open_files());
    gauge("process_max_fds", "File descriptors that may be open.", process::max_files());
    gauge("process_start_time_seconds", "When the process began, in Unix time.", process::started());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_ends_before_the_server_does() {
        let (io, readiness) = (Server::new(), Readiness::default());
        assert!(readiness.is_ready(&io));
        assert!(metrics(&io, true).contains("\nsockeye_ready 1\n"));
        readiness.end();
        assert!(io.is_ready() && !readiness.is_ready(&io));
        let other = Readiness::default();
        io.close(std::time::Duration::ZERO).await;
        assert!(!other.is_ready(&io));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_process_is_described() {
        let text = metrics(&Server::new(), true);
        for name in ["resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds"] {
            let line = text.lines().find(|line| line.starts_with(&format!("process_{name} "))).unwrap();
            assert!(line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap() > 0, "{line}");
        }
    }
}
