//! Whether the server is still there, for those who have reason to ask.

use crate::link::Client;

impl Client {
    /// Sees at once whether the server is still there: for hooks of the operating system, when the network has changed, or
    /// the app has come to the foreground. Never waits; what comes of it is told as ever, by [`Client::watch`] and
    /// `on_disconnect`.
    ///
    /// - **Connected**: the server is asked, by a ping of the WebSocket, or by a POST. What is emitted meanwhile waits in
    ///   the queue, and what is volatile is dropped. If it is silent for 5 s after the ping was written, the connection is
    ///   lost ([`Cause::PingTimeout`](crate::Cause::PingTimeout)), and the client connects again, with its queue. By polling
    ///   the answer to a POST that is under way is waited for no longer either.
    /// - **Waiting** before the next attempt: it is made at once, or when the time is over for which the server has asked
    ///   by `Retry-After`. A namespace which waits by itself, because its auth failed, goes on waiting.
    /// - Otherwise nothing happens: an attempt under way has its own limit.
    ///
    /// All clients of a connection share the answer. After sleep of the machine this is done by itself: when the clock of
    /// the day and the monotonic one have moved apart by more than 2 s. A clock that was set looks the same, and costs no
    /// more than the question.
    ///
    /// ```no_run
    /// # fn example(client: sockeye_client::Client) {
    /// // in the hook which the system calls when the network has changed
    /// client.check_now();
    /// # }
    /// ```
    pub fn check_now(&self) {
        self.member.link.check();
    }
}

#[cfg(test)]
mod tests {
    use sockeye_engine::ws::{self, handshake::accept_key};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::sync::mpsc;

    use crate::{Client, Transport, time};

    /// The server's end of a stream on which a WebSocket was opened.
    struct Wire(DuplexStream);

    impl Wire {
        async fn accept(mut stream: DuplexStream) -> Self {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap().into());
            }
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            let accept = String::from_utf8(accept_key(key.as_bytes()).to_vec()).unwrap();
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            let mut wire = Self(stream);
            wire.send(
                ws::Opcode::Text,
                r#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#,
            )
            .await;
            assert_eq!(wire.read().await, (ws::Opcode::Text, "40".to_owned()));
            wire.send(ws::Opcode::Text, r#"40{"sid":"y"}"#).await;
            wire
        }

        async fn send(&mut self, opcode: ws::Opcode, text: &str) {
            let mut frame = Vec::new();
            ws::encode(&mut frame, opcode, false, text.as_bytes());
            self.0.write_all(&frame).await.unwrap();
        }

        /// The next frame, which is short.
        async fn read(&mut self) -> (ws::Opcode, String) {
            let mut head = [0; 6];
            self.0.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; usize::from(head[1] & 0x7f)];
            self.0.read_exact(&mut payload).await.unwrap();
            payload.iter_mut().zip(head[2..].iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            let opcode = if head[0] & 0x0f == 9 { ws::Opcode::Ping } else { ws::Opcode::Text };
            (opcode, String::from_utf8(payload).unwrap())
        }
    }

    fn ask() -> (ws::Opcode, String) {
        (ws::Opcode::Ping, "check".to_owned())
    }

    fn event(text: &str) -> (ws::Opcode, String) {
        (ws::Opcode::Text, text.to_owned())
    }

    fn client() -> (Client, mpsc::UnboundedReceiver<DuplexStream>) {
        let (told, dialed) = mpsc::unbounded_channel();
        let client = Client::builder("http://server.test").transports([Transport::Websocket]).dial_with(move |_, _| {
            let (near, far) = tokio::io::duplex(64 * 1024);
            let dialed = told.send(far);
            async move { dialed.map(|()| near).map_err(std::io::Error::other) }
        });
        (client.start().unwrap(), dialed)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_emitted_after_sleep_was_lost_in_a_dead_connection() {
        let (client, mut dialed) = client();
        let mut dead = Wire::accept(dialed.recv().await.unwrap()).await;
        client.emit("before", ()).unwrap();
        assert_eq!(dead.read().await, event(r#"42["before"]"#));
        time::sleep(std::time::Duration::from_hours(1));
        client.emit("after", ()).unwrap();
        client.volatile().emit("volatile", ()).unwrap();
        assert_eq!(dead.read().await, ask(), "nothing else is given to a connection that may be dead");
        let mut alive = Wire::accept(dialed.recv().await.unwrap()).await;
        assert_eq!(alive.read().await, event(r#"42["after"]"#));
        assert_eq!(dead.0.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
        assert_eq!(client.dropped(), 1);
        let told = "ping timeout: no heartbeat in time: the server was last heard 5.0 s ago";
        assert_eq!(client.last_disconnect().unwrap().to_string(), told);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_ends_no_connection() {
        let (client, mut dialed) = client();
        let mut wire = Wire::accept(dialed.recv().await.unwrap()).await;
        for n in 0..3 {
            time::sleep(std::time::Duration::from_hours(1));
            client.emit("n", n).unwrap();
            assert_eq!(wire.read().await, ask());
            wire.send(ws::Opcode::Pong, "check").await;
            assert_eq!(wire.read().await, event(&format!(r#"42["n",{n}]"#)));
        }
        assert!(client.is_connected() && client.last_disconnect().is_none());
        assert!(dialed.try_recv().is_err());
    }

    /// It reads nothing while its handlers are far behind, but goes on with its pings.
    #[tokio::test(start_paused = true)]
    async fn a_server_that_was_far_behind_when_the_clock_was_set_was_left() {
        let (client, mut dialed) = client();
        let mut wire = Wire::accept(dialed.recv().await.unwrap()).await;
        time::sleep(std::time::Duration::from_secs(10));
        client.emit("e", ()).unwrap();
        assert_eq!(wire.read().await, ask());
        tokio::time::sleep(std::time::Duration::from_secs(24)).await;
        assert!(client.is_connected(), "{:?}", client.last_disconnect());
        wire.send(ws::Opcode::Text, "2").await;
        assert_eq!(wire.read().await, event("3"));
        assert_eq!(wire.read().await, event(r#"42["e"]"#), "it is there");
        assert!(client.last_disconnect().is_none());
    }

    /// The question waits behind what is on its way: as long as that moves on, there is somebody.
    #[tokio::test(start_paused = true)]
    async fn a_slow_way_to_the_server_is_not_taken_for_none() {
        let (client, mut dialed) = client();
        let mut wire = Wire::accept(dialed.recv().await.unwrap()).await;
        client.emit("long", "x".repeat(300_000)).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        client.check_now();
        let mut piece = vec![0; 10_000];
        for _ in 0..29 {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            wire.0.read_exact(&mut piece).await.unwrap();
            assert!(client.is_connected(), "{:?}", client.last_disconnect());
        }
        client.disconnect().await;
    }
}
