//! The command line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sockeye::{BoxError, Cookie, Deflate, Parser, ProxyHeader, Recovery, Refusal, Server, ServerBuilder, Transport};

use crate::refused::{Refused, locked};

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
    pub(crate) refused: Refused,
}

impl Options {
    /// # Errors
    /// When a name is unknown, or its value missing or of the wrong kind.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, BoxError> {
        let refused = Refused::default();
        let seen = Arc::clone(&refused);
        let builder = Server::builder().on_connection_error(move |error| {
            locked(&seen).push((error.code(), error.message().to_owned()));
        });
        let mut options = Self { port: 0, mode: Mode::Conformance, builder, refused };
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
            "--deflate" if value == "takeover" => {
                self.builder = self.builder.per_message_deflate(Deflate::default().context_takeover(true));
            }
            "--deflate" if value == "true" => self.builder = self.builder.per_message_deflate(Deflate::default()),
            "--recovery" => self.builder = self.builder.recovery(Recovery::default().window(milliseconds()?)),
            "--allow-upgrades" => self.builder = self.builder.allow_upgrades(value.parse()?),
            "--cookie" => self.builder = self.builder.cookie(Cookie::new(value)),
            "--headers" if value == "true" => self.builder = headers(self.builder)?,
            "--ids" => self.builder = ids(self.builder, value),
            "--key" => self.builder = key(self.builder, value),
            "--origin" if value == "*" => self.builder = self.builder.any_origin(),
            "--origin" => self.builder = self.builder.origins([value]),
            "--trust-proxy" => self.builder = self.builder.trust_proxies([value])?,
            "--proxy-header" if value == "forwarded" => {
                self.builder = self.builder.proxy_header(ProxyHeader::Forwarded);
            }
            "--proxy-protocol" => self.builder = self.builder.proxy_protocol(value.parse()?),
            "--path" => self.builder = self.builder.path(value),
            "--serve-client" => self.builder = self.builder.serve_client(value),
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

/// Clients must send this as `x-key`.
fn key(builder: ServerBuilder, key: &str) -> ServerBuilder {
    let key = key.to_owned();
    builder.allow_request(async move |peer| match peer.header("x-key") {
        Some(given) if given == key => Ok(()),
        _ => Err(Refusal::new("no key")),
    })
}

/// Ids of sessions are counted.
fn ids(builder: ServerBuilder, prefix: &str) -> ServerBuilder {
    let (prefix, next) = (prefix.to_owned(), AtomicU64::new(1));
    builder.generate_id(move |_| format!("{prefix}{}", next.fetch_add(1, Ordering::Relaxed)))
}

fn headers(builder: ServerBuilder) -> Result<ServerBuilder, BoxError> {
    let (first, each) = ("first".parse::<http::HeaderValue>()?, "each".parse::<http::HeaderValue>()?);
    let builder = builder.on_initial_headers(move |headers, _| drop(headers.insert("x-first", first.clone())));
    Ok(builder.on_headers(move |headers, _| drop(headers.insert("x-each", each.clone()))))
}
