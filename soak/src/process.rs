//! The processes of a run: a server, and loads of clients. Each is this program again.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use sockeye::BoxError;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Nothing that one process tells another takes longer.
const ANSWER: Duration = Duration::from_mins(3);

/// One of them. It ends with us.
pub(crate) struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Stops all threads of a process, or lets them go on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Stop,
    Continue,
}

impl Process {
    pub(crate) fn start(words: &[String]) -> Result<Self, BoxError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).process_group(0);
        let mut child = command.spawn()?;
        let (orders, output) = (child.stdin.take(), child.stdout.take().ok_or("a process without output")?);
        Ok(Self { child, orders, lines: BufReader::new(output).lines() })
    }

    /// The next line that it prints.
    pub(crate) async fn line(&mut self) -> Result<String, BoxError> {
        Ok(timeout(ANSWER, self.lines.next_line()).await??.ok_or("a process ended early")?)
    }

    /// The next line, which is JSON.
    pub(crate) async fn report(&mut self) -> Result<Value, BoxError> {
        Ok(serde_json::from_str(&self.line().await?)?)
    }

    pub(crate) async fn order(&mut self, order: &str) -> Result<(), BoxError> {
        let orders = self.orders.as_mut().ok_or("it takes no orders any more")?;
        Ok(orders.write_all(format!("{order}\n").as_bytes()).await?)
    }

    /// Tells it to end; it reports once more.
    pub(crate) async fn finish(mut self) -> Result<Value, BoxError> {
        drop(self.orders.take());
        let report = self.report().await?;
        let status = timeout(ANSWER, self.child.wait()).await??;
        if status.success() { Ok(report) } else { Err(format!("a process ended: {status}").into()) }
    }

    /// Ends it at once: the kernel closes what it leaves behind.
    pub(crate) async fn kill(mut self) -> Result<(), BoxError> {
        Ok(self.child.kill().await?)
    }

    /// Sends a signal to its process group.
    pub(crate) async fn signal(&self, signal: Signal) -> Result<(), BoxError> {
        let group = self.child.id().ok_or("it has ended")?;
        let signal = match signal {
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
        };
        let status = Command::new("kill").args([signal, "--", &format!("-{group}")]).status().await?;
        if status.success() { Ok(()) } else { Err(format!("kill {signal}: {status}").into()) }
    }
}
