//! A byte stream whose reader must keep up.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// So much must be taken within the limit: a byte now and then does not count as reading.
const LEAST: usize = 16 * 1024;

/// A byte stream on which a write fails when the other end has taken less than 16 KiB of it in a time.
///
/// HTTP libraries give requests a deadline, but not answers: whoever asks and does not read keeps connection and answer
/// for as long as it likes. [`Server::listen`](crate::Server::listen) has this built in; put it around the streams of an
/// accept loop of your own.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use sockeye::Paced;
///
/// let (stream, _client) = tokio::io::duplex(1024);
/// let stream = Paced::new(stream, Duration::from_secs(30)); // hyper: TokioIo::new(stream)
/// # drop(stream);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Paced<S> {
    io: S,
    limit: Duration,
    /// Runs while something waits to be written.
    stall: Option<Pin<Box<Sleep>>>,
    /// Bytes taken since it began to run.
    taken: usize,
}

impl<S> Paced<S> {
    /// `limit` is the time for each 16 KiB, and for the rest of an answer: too short, and honest clients on bad lines are
    /// cut off; 30 s suit a phone.
    pub fn new(io: S, limit: Duration) -> Self {
        Self { io, limit, stall: None, taken: 0 }
    }

    /// The stream inside.
    pub fn into_inner(self) -> S {
        self.io
    }

    /// After a try to write: fails if the reader is too slow.
    fn judge<T>(&mut self, cx: &mut Context<'_>, tried: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if tried.is_ready() {
            return tried;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.limit)));
        if stall.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn note_taken(&mut self, bytes: usize) {
        if self.stall.is_none() {
            return;
        }
        self.taken += bytes;
        if self.taken >= LEAST {
            self.rest();
        }
    }

    fn rest(&mut self) {
        self.stall = None;
        self.taken = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(bytes)) = written {
            this.note_taken(bytes);
        }
        this.judge(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(bytes)) = written {
            this.note_taken(bytes);
        }
        this.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        if flushed.is_ready() {
            this.rest();
        }
        this.judge(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.io).poll_shutdown(cx);
        this.judge(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// What becomes of writing 100 KiB to somebody who takes `bytes` each second, and after how many seconds.
    async fn write_to(bytes: usize) -> (Result<(), io::ErrorKind>, u64) {
        let (mut reader, writer) = duplex(1024);
        let reading = tokio::spawn(async move {
            let mut buffer = vec![0; bytes.max(1)];
            loop {
                sleep(Duration::from_secs(1)).await;
                if bytes > 0 && reader.read_exact(&mut buffer).await.is_err() {
                    return;
                }
            }
        });
        let began = Instant::now();
        let mut writer = Paced::new(writer, LIMIT);
        let written = writer.write_all(&vec![7; 100 * 1024]).await;
        let flushed = match written {
            Ok(()) => writer.flush().await,
            failed => failed,
        };
        reading.abort();
        (flushed.map_err(|error| error.kind()), began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_or_only_a_byte_a_second_is_given_up() {
        assert_eq!(write_to(0).await, (Err(io::ErrorKind::TimedOut), 30));
        assert_eq!(write_to(1).await, (Err(io::ErrorKind::TimedOut), 30));
        assert_eq!(write_to(500).await, (Err(io::ErrorKind::TimedOut), 30));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_gets_everything() {
        let (written, seconds) = write_to(600).await;
        assert_eq!(written, Ok(()));
        assert!(seconds > 150, "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_between_two_answers_is_no_stall() {
        let (mut reader, writer) = duplex(1024);
        let mut writer = Paced::new(writer, LIMIT);
        for _ in 0..3 {
            let (written, read) = tokio::join!(writer.write_all(&[7; 2000]), async {
                sleep(Duration::from_secs(20)).await;
                reader.read_exact(&mut [0; 2000]).await
            });
            assert!(written.is_ok() && read.is_ok());
            writer.flush().await.unwrap();
            sleep(Duration::from_secs(60)).await;
        }
    }
}
