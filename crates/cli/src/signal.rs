//! Being asked to stop.

use std::io;

/// Ctrl-C, and what service managers send.
pub(crate) struct StopSignal {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

/// Which of them came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Interrupt,
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such signal"))]
    Terminate,
}

impl StopSignal {
    /// From here on the signals do not end the process by themselves.
    #[cfg_attr(not(unix), expect(clippy::unnecessary_wraps, reason = "the same on all systems"))]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Stop {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => Stop::Interrupt,
            _ = self.terminate.recv() => Stop::Terminate,
        }
        #[cfg(not(unix))]
        {
            drop(tokio::signal::ctrl_c().await);
            Stop::Interrupt
        }
    }
}

impl Stop {
    /// The exit code by which shells tell that a process was ended by this signal.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}
