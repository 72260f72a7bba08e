//! One server under test, as a process of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::figures::Metrics;
use crate::peer::Peer;
use crate::process::{self, Placement};

/// The running server; dropping it ends the process.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts the peer and waits until it accepts connections.
    pub(crate) fn start(peer: &Peer, placement: Placement, arguments: &[&str]) -> Result<Self, String> {
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let (program, fixed) = peer.command.split_first().ok_or("no command")?;
        let mut command = placement.server(program);
        command.args(fixed).args(["--port", &port.to_string(), "--workers", &placement.workers().to_string()]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        let mut server = Self { child, port };
        server.wait_until_listening()?;
        Ok(server)
    }

    fn wait_until_listening(&mut self) -> Result<(), String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let give_up = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server ended with {status}"));
            }
            if Instant::now() > give_up {
                return Err("the server did not listen within 20 seconds".into());
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    pub(crate) fn cpu(&self) -> Result<Duration, String> {
        process::cpu(self.child.id())
    }

    pub(crate) fn resident(&self) -> Result<u64, String> {
        process::resident(self.child.id())
    }

    pub(crate) fn descriptors(&self) -> usize {
        process::descriptors(self.child.id())
    }

    /// Waits until the server has used less than 1 % of a core for a while, at most `limit`.
    pub(crate) fn settle(&self, limit: Duration) -> Result<(), String> {
        let give_up = Instant::now() + limit;
        let step = Duration::from_millis(250);
        let mut calm = 0;
        let mut before = self.cpu()?;
        while calm < 2 && Instant::now() < give_up {
            sleep(step);
            let now = self.cpu()?;
            calm = if now.saturating_sub(before) < step / 100 { calm + 1 } else { 0 };
            before = now;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended by itself; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stretch of time over which processor use is counted.
pub(crate) struct Window {
    begun: Instant,
    server: Duration,
    load: Duration,
    machine: Duration,
}

impl Window {
    pub(crate) fn open(server: &Server) -> Result<Self, String> {
        let load = process::cpu(std::process::id())?;
        Ok(Self { begun: Instant::now(), server: server.cpu()?, load, machine: process::machine_busy() })
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Server time for each of `operations`, their rate, and how busy both sides and others were.
    pub(crate) fn close(&self, server: &Server, operations: u64, metrics: &mut Metrics) -> Result<(), String> {
        let wall = self.begun.elapsed().as_secs_f64();
        let used = server.cpu()?.saturating_sub(self.server).as_secs_f64();
        let load = process::cpu(std::process::id())?.saturating_sub(self.load).as_secs_f64();
        if operations == 0 {
            return Err("nothing came back".into());
        }
        metrics.set("cpu_us", used * 1e6 / operations as f64);
        metrics.set("per_second", operations as f64 / wall);
        metrics.set("server_busy", used / wall);
        metrics.set("load_busy", load / wall);
        // Whatever else ran, on a shared machine often much: it disturbs latencies first.
        let machine = process::machine_busy().saturating_sub(self.machine).as_secs_f64();
        metrics.set("others_busy", ((machine - used - load) / wall).max(0.0));
        Ok(())
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
