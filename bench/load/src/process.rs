//! What the operating system knows of a process: processor time, memory, descriptors.

use std::fs;
use std::process::Command;
use std::time::Duration;

/// User and system time of all threads so far, in nanoseconds where the kernel counts them.
pub(crate) fn cpu(pid: u32) -> Result<Duration, String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| format!("process {pid}: {error}"))?;
    let mut nanos = 0;
    for task in tasks.flatten() {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        nanos += text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// Time that all processors together were not idle since the machine started, in steps of its clock tick.
pub(crate) fn machine_busy() -> Duration {
    // What this counts in is 10 ms on every Linux, whatever the kernel's own tick.
    const TICK: Duration = Duration::from_millis(10);
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u32> = text.split_whitespace().skip(1).take(8).map(|field| field.parse().unwrap_or(0)).collect();
    match fields.as_slice() {
        [user, nice, system, _idle, _wait, irq, softirq, steal] => {
            TICK * user.wrapping_add(*nice).wrapping_add(*system + irq + softirq + steal)
        }
        _ => Duration::ZERO,
    }
}

/// Resident memory in bytes, exact (the counters of `status` lag behind by pages per processor).
pub(crate) fn resident(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find(|line| line.starts_with("Rss:")).ok_or("no Rss line")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|field| field.parse().ok()).ok_or("no Rss figure")?;
    Ok(kilobytes * 1024)
}

/// Open descriptors.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Where processes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Placement {
    /// Server on core 0 with one worker, load on core 1.
    Pinned,
    /// Server with two workers, everything wherever the kernel likes.
    Free,
}

impl Placement {
    pub(crate) fn workers(self) -> usize {
        match self {
            Self::Pinned => 1,
            Self::Free => 2,
        }
    }

    /// Name in results files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Free => "free",
        }
    }

    /// What a reader sees.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Pinned => "Server on one core with one worker, load on another",
            Self::Free => "Server with two workers, not pinned",
        }
    }

    /// Command that starts a server in this placement.
    pub(crate) fn server(self, program: &str) -> Command {
        match self {
            Self::Pinned => {
                let mut command = Command::new("taskset");
                command.args(["-c", "0", program]);
                command
            }
            Self::Free => Command::new(program),
        }
    }

    /// Moves the load generator, that is this process.
    pub(crate) fn load(self) -> Result<(), String> {
        let cores = match self {
            Self::Pinned => "1".into(),
            Self::Free => format!("0-{}", cores() - 1),
        };
        let pid = std::process::id().to_string();
        let output = Command::new("taskset").args(["-a", "-c", "-p", &cores, &pid]).output();
        let output = output.map_err(|error| format!("taskset: {error}"))?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().into()) }
    }
}

/// Processors of the machine, not those this process is pinned to.
pub(crate) fn cores() -> usize {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

/// Processor and kernel, for the record.
pub(crate) fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // The part behind the first dash names the builder of the kernel, not the kernel.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    format!("{} × {model}, Linux {kernel}", cores())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_own_process() {
        let pid = std::process::id();
        let before = cpu(pid).unwrap();
        let mut sum = 0_u64;
        while cpu(pid).unwrap() < before + Duration::from_millis(5) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(resident(pid).unwrap() > 100_000);
        assert!(descriptors(pid) > 2);
        assert!(machine_busy() > cpu(pid).unwrap());
        assert!(cpu(0).is_err());
    }
}
