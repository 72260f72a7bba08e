//! A million answers that are waited for: REQ-10.1.

use std::time::Duration;

use sockeye::{AckError, Reply, Server, Socket};
use sockeye_testing::{Net, WebSocket};

use crate::counting::{allocated, alone};

/// Waited for at a time.
const CROWD: usize = 5_000;
/// For each way to settle.
const CROWDS: usize = 50;

/// No heartbeats between the questions, but of those that are cancelled.
const HEARTBEAT: Duration = Duration::from_secs(100_000);

/// How a question is settled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Answered,
    /// The application asks no more, long before the time is over.
    Cancelled,
    /// The client goes.
    Disconnected,
    TimedOut,
}

/// Asks so many questions: what gives their answers. The client has read them.
async fn asked(socket: &Socket, client: &mut WebSocket, limit: Duration) -> Vec<Reply<u32>> {
    let asked = (0..CROWD).map(|_| socket.emit_with_ack::<_, u32>("q", ()).timeout(limit).send()).collect();
    assert_eq!(client.drain().await.len(), CROWD);
    asked
}

/// The client answers, twice each: the second finds nobody.
async fn answered(questions: Vec<Reply<u32>>, first: usize, client: &mut WebSocket) {
    let answers: Vec<String> = (first..first + CROWD).map(|id| format!("43{id}[{id}]")).collect();
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    client.send_all(&answers).await;
    client.send_all(&answers).await;
    for (id, question) in questions.into_iter().enumerate() {
        assert_eq!(question.await.expect("it was answered"), u32::try_from(first + id).unwrap());
    }
}

async fn crowd(io: &Server, net: &Net, end: End, first: usize, client: &mut (WebSocket, String)) {
    let socket = io.get(&client.1).expect("it has joined");
    let limit = if end == End::Cancelled { HEARTBEAT * 100 } else { Duration::from_secs(1) };
    let questions = asked(&socket, &mut client.0, limit).await;
    assert_eq!(io.metrics().acks, CROWD as u64);
    match end {
        End::Answered => answered(questions, first, &mut client.0).await,
        End::Cancelled => {
            drop(questions);
            net.advance(HEARTBEAT).await;
            client.0.expect("2").await;
            client.0.send("3").await;
        }
        End::Disconnected => {
            client.0.send("1").await;
            for question in questions {
                assert!(matches!(question.await, Err(AckError::Disconnected)));
            }
            *client = net.join().await;
        }
        End::TimedOut => {
            for question in questions {
                assert!(question.await.is_err_and(|error| error.is_timeout()));
            }
        }
    }
    assert_eq!(io.metrics().acks, 0, "{end:?}");
}

#[test]
fn a_million_answers_settle_once_and_leave_nothing() {
    alone(async || {
        for end in [End::Answered, End::Cancelled, End::Disconnected, End::TimedOut] {
            let io = Server::builder().ping_interval(HEARTBEAT).max_pending_acks(CROWD).build().unwrap();
            let net = Net::new(&io).with_buffer(256 * 1024);
            let mut client = net.join().await;
            let (mut first, mut held) = (0, 0);
            for n in 0..CROWDS {
                crowd(&io, &net, end, first, &mut client).await;
                first += CROWD;
                if n == 1 {
                    held = allocated();
                }
            }
            let now = allocated();
            assert!(now < held + 100_000, "{end:?}: {held} bytes after two crowds, {now} after all");
            let (all, metrics) = ((CROWDS * CROWD) as u64, io.metrics());
            assert_eq!(metrics.acks_unknown, if end == End::Answered { all } else { 0 }, "{end:?}");
            let late = if end == End::TimedOut { all } else { 0 };
            assert_eq!(metrics.acks_timed_out, late, "{end:?}");
            client.0.close().await;
            net.assert_clean().await;
        }
    });
}
