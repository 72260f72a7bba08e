//! The command line.

use std::time::Duration;

use sockeye::{BoxError, Deflate, Parser, Recovery, Server, ServerBuilder, Transport};

/// Which handlers are registered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// Those of `reference-server.mjs`.
    Conformance,
    /// Those which the protocol's own test suite wants: `--mode suite`.
    Suite,
}

/// `--port` (0: any free one), `--mode`, and the options of a server, times in milliseconds.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) port: u16,
    pub(crate) mode: Mode,
    pub(crate) builder: ServerBuilder,
}

impl Options {
    /// # Errors
    /// When a name is unknown, or its value missing or of the wrong kind.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, BoxError> {
        let mut options = Self { port: 0, mode: Mode::Conformance, builder: Server::builder().any_origin() };
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            options = options.set(&name, &value).map_err(|error| format!("{name} {value}: {error}"))?;
        }
        Ok(options)
    }

    fn set(mut self, name: &str, value: &str) -> Result<Self, BoxError> {
        let milliseconds = || value.parse().map(Duration::from_millis);
        match name {
            "--port" => self.port = value.parse()?,
            "--mode" if value == "suite" => self.mode = Mode::Suite,
            "--ping-interval" => self.builder = self.builder.ping_interval(milliseconds()?),
            "--ping-timeout" => self.builder = self.builder.ping_timeout(milliseconds()?),
            "--connect-timeout" => self.builder = self.builder.connect_timeout(milliseconds()?),
            "--upgrade-timeout" => self.builder = self.builder.upgrade_timeout(milliseconds()?),
            "--max-payload" => self.builder = self.builder.max_payload(value.parse()?),
            "--allow-eio3" => self.builder = self.builder.allow_eio3(value.parse()?),
            "--allow-jsonp" => self.builder = self.builder.allow_jsonp(value.parse()?),
            "--parser" if value == "msgpack" => self.builder = self.builder.parser(Parser::Msgpack),
            "--deflate" if value == "true" => self.builder = self.builder.per_message_deflate(Deflate::default()),
            "--recovery" => self.builder = self.builder.recovery(Recovery::default().window(milliseconds()?)),
            "--transports" => self.builder = self.builder.transports(&transports(value)?),
            _ => return Err("there is no such option".into()),
        }
        Ok(self)
    }
}

fn transports(value: &str) -> Result<Vec<Transport>, BoxError> {
    let one = |name| match name {
        "polling" => Ok(Transport::Polling),
        "websocket" => Ok(Transport::Websocket),
        _ => Err("a transport is polling or websocket".into()),
    };
    value.split(',').map(one).collect()
}
