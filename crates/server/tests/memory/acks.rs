//! A million answers that are waited for: REQ-10.1.

use std::time::Duration;

use sockeye::{AckError, Reply, Server, Socket};
use sockeye_testing::{Net, WebSocket};

use crate::counting::{allocated, alone};

/// Waited for at a time.
const CROWD: usize = 5_000;
/// For each way to settle.
const CROWDS: usize = 50;

/// How a question is settled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Answered,
    /// The application asks no more.
    Cancelled,
    /// The client goes.
    Disconnected,
    TimedOut,
}

/// Asks so many questions: what gives their answers. The client has read them.
async fn asked(socket: &Socket, client: &mut WebSocket) -> Vec<Reply<u32>> {
    let limit = Duration::from_secs(1);
    let asked = (0..CROWD).map(|_| socket.emit_with_ack::<_, u32>("q", ()).timeout(limit).send()).collect();
    assert_eq!(client.drain().await.len(), CROWD);
    asked
}

async fn crowd(io: &Server, net: &Net, end: End, first: usize, client: &mut (WebSocket, String)) {
    let socket = io.get(&client.1).expect("it has joined");
    let questions = asked(&socket, &mut client.0).await;
    assert_eq!(io.metrics().acks, CROWD as u64);
    match end {
        End::Answered => {
            let answers: Vec<String> = (first..first + CROWD).map(|id| format!("43{id}[{id}]")).collect();
            let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
            // Twice each: the second finds nobody.
            client.0.send_all(&answers).await;
            client.0.send_all(&answers).await;
            for (id, question) in questions.into_iter().enumerate() {
                assert_eq!(question.await.expect("it was answered"), u32::try_from(first + id).unwrap());
            }
        }
        End::Cancelled => drop(questions),
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
    // What nobody waits for any more is remembered until its time has come, and no longer.
    net.advance(Duration::from_secs(1)).await;
    assert_eq!(io.metrics().acks, 0, "{end:?}");
}

#[test]
fn a_million_answers_settle_once_and_leave_nothing() {
    alone(async {
        for end in [End::Answered, End::Cancelled, End::Disconnected, End::TimedOut] {
            // No heartbeats between the questions.
            let builder = Server::builder().ping_interval(Duration::from_secs(100_000));
            let io = builder.max_pending_acks(CROWD).build().unwrap();
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
            // A client that was asked has not answered, be the answer wanted or not.
            let late = if matches!(end, End::Cancelled | End::TimedOut) { all } else { 0 };
            assert_eq!(metrics.acks_timed_out, late, "{end:?}");
            client.0.close().await;
            net.assert_clean().await;
        }
    });
}
