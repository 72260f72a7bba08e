//! What is asked of TCP for each connection.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// After so much silence the system asks whether the other end is still there, if heartbeats do not do so earlier.
const SILENCE: Duration = Duration::from_mins(1);
/// Systems take no time that is much longer.
const LONGEST: Duration = Duration::from_hours(2);
/// Time between two questions, and how many of them may stay without an answer.
#[cfg(target_os = "linux")]
const QUESTION: Duration = Duration::from_secs(10);
#[cfg(target_os = "linux")]
const QUESTIONS: u32 = 3;

/// Small packets are not held back, and who has gone without a word is noticed, whatever its connection waits for.
/// `heartbeat` is the time in which a session notices by itself: the system is not to be quicker.
pub(super) fn tune(socket: &SockRef<'_>, heartbeat: Duration) {
    if let Err(error) = socket.set_tcp_nodelay(true).and_then(|()| watch(socket, heartbeat.clamp(SILENCE, LONGEST))) {
        tracing::trace!(%error, "an option of TCP is not set");
    }
}

#[cfg(target_os = "linux")]
fn watch(socket: &SockRef<'_>, silence: Duration) -> io::Result<()> {
    let questions = TcpKeepalive::new().with_time(silence).with_interval(QUESTION).with_retries(QUESTIONS);
    socket.set_tcp_keepalive(&questions)?;
    // Overrides the number of questions, hence room for all of them.
    socket.set_tcp_user_timeout(Some(silence + QUESTION * QUESTIONS))
}

/// The rest is as the system has it.
#[cfg(not(target_os = "linux"))]
fn watch(socket: &SockRef<'_>, silence: Duration) -> io::Result<()> {
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(silence))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_are_watched_and_no_sooner_than_heartbeats_do() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = SockRef::from(&stream);
        for (heartbeat, idle) in [(45, 60), (600, 600), (1_000_000, 7_200)] {
            tune(&socket, Duration::from_secs(heartbeat));
            assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(idle));
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(idle + 30)));
        }
    }
}
