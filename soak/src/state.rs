//! What a server holds at one moment.

use std::fs;
use std::io;

use serde_json::{Value, json};

/// Gauges. All but the last three are zero when the last client is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) sessions: u64,
    pub(crate) sockets: u64,
    pub(crate) tasks: u64,
    pub(crate) acks: u64,
    /// Clients that are away and may come back, and events kept for them.
    pub(crate) kept: u64,
    pub(crate) rooms: usize,
    /// Sockets by group of clients, as the application counted them.
    pub(crate) connected: [u64; 2],
    /// Tasks of the runtime: those of sessions, of HTTP connections, and of the server itself. A task owns its timers.
    pub(crate) spawned: usize,
    pub(crate) descriptors: usize,
    /// Bytes allocated and not freed.
    pub(crate) heap: usize,
    /// Bytes of memory that the kernel has given to the process.
    pub(crate) resident: usize,
}

impl State {
    pub(crate) fn to_json(self) -> Value {
        json!({
            "sessions": self.sessions, "sockets": self.sockets, "tasks": self.tasks, "acks": self.acks, "kept": self.kept,
            "rooms": self.rooms, "connected": self.connected, "spawned": self.spawned,
            "descriptors": self.descriptors, "heap": self.heap, "resident": self.resident,
        })
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let number = |name: &str| value[name].as_u64();
        let size = |name: &str| number(name).and_then(|number| usize::try_from(number).ok());
        Some(Self {
            sessions: number("sessions")?,
            sockets: number("sockets")?,
            tasks: number("tasks")?,
            acks: number("acks")?,
            kept: number("kept")?,
            rooms: size("rooms")?,
            connected: [value["connected"][0].as_u64()?, value["connected"][1].as_u64()?],
            spawned: size("spawned")?,
            descriptors: size("descriptors")?,
            heap: size("heap")?,
            resident: size("resident")?,
        })
    }

    /// The gauges that tell of clients.
    pub(crate) fn is_empty(&self) -> bool {
        let [first, second] = self.connected;
        let held = [self.sessions, self.sockets, self.tasks, self.acks, self.kept, first, second];
        held == [0; 7] && self.rooms == 0
    }
}

/// Open file descriptors of this process.
pub(crate) fn descriptors() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> io::Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<usize>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("no VmRSS in /proc/self/status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_the_way_between_processes() {
        let state = State { sessions: 1, rooms: 2, connected: [3, 4], heap: 5, ..State::default() };
        assert_eq!(State::from_json(&state.to_json()), Some(state));
        assert!(!state.is_empty() && State::default().is_empty());
        assert!(!State { connected: [0, 1], ..State::default() }.is_empty());
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        assert!(resident().unwrap() > 100_000 && descriptors().unwrap() > 2);
    }
}
