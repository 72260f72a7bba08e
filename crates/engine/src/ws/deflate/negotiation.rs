//! What the ends agree on.                                                                              [RFC 7692 §5, §7.1]

use crate::ws::extensions::{Extensions, Malformed};

/// What this end wants of permessage-deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the server compresses each message on its own. Default true.
    pub server_no_context_takeover: bool,
    /// Whether the client compresses each message on its own. Default true.
    pub client_no_context_takeover: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { server_no_context_takeover: true, client_no_context_takeover: true }
    }
}

/// What both ends agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The server compresses each message on its own. [RFC 7692 §7.1.1.1]
    pub server_no_context_takeover: bool,
    /// The client compresses each message on its own. [RFC 7692 §7.1.1.2]
    pub client_no_context_takeover: bool,
    /// The server refers back at most this power of two of bytes: 9 to 15. [RFC 7692 §7.1.2.1]
    pub server_max_window_bits: u8,
    /// The client refers back at most this power of two of bytes: 8 to 15. With 8 it does not compress at all, which
    /// zlib cannot do within so little. [RFC 7692 §7.1.2.2]
    pub client_max_window_bits: u8,
}

impl Options {
    /// The value of `Sec-WebSocket-Extensions` with which a client offers this.
    pub fn offer(&self) -> String {
        let offer = value(self.server_no_context_takeover, self.client_no_context_takeover, MAX_BITS);
        // Without this word a server could not ask for a narrower window. [RFC 7692 §7.1.2.2]
        format!("{offer}; client_max_window_bits")
    }

    /// A server's choice among the offers in one header line: the first it can keep. [RFC 7692 §5]
    pub(crate) fn accept(self, header: &[u8]) -> Result<Option<Params>, Malformed> {
        let mut extensions = Extensions::new(header);
        let mut chosen = None;
        while let Some(name) = extensions.extension()? {
            let offer = Offered::read(&mut extensions)?;
            if chosen.is_none() && name.eq_ignore_ascii_case(NAME) {
                chosen = offer.and_then(|offer| self.accept_offer(&offer));
            }
        }
        Ok(chosen)
    }

    /// A client's check of the server's answer in one header line: `None` if there is no extension in it, an error if
    /// there is anything else than what was offered. [RFC 7692 §7.1]
    pub(crate) fn confirm(header: &[u8]) -> Result<Option<Params>, Malformed> {
        let mut extensions = Extensions::new(header);
        let Some(name) = extensions.extension()? else { return Ok(None) };
        let answer = Offered::read(&mut extensions)?.filter(|_| name.eq_ignore_ascii_case(NAME)).ok_or(Malformed)?;
        let client_max_window_bits = match answer.client_bits {
            Some(Width::Bits(bits)) => bits,
            // Only an offer may leave the width to the other end.
            Some(Width::Open) => return Err(Malformed),
            None => MAX_BITS,
        };
        if extensions.extension()?.is_some() {
            return Err(Malformed);
        }
        Ok(Some(Params {
            server_no_context_takeover: answer.server_no_context,
            client_no_context_takeover: answer.client_no_context,
            server_max_window_bits: answer.server_bits.unwrap_or(MAX_BITS),
            client_max_window_bits,
        }))
    }

    fn accept_offer(self, offer: &Offered) -> Option<Params> {
        let server_max_window_bits = offer.server_bits.unwrap_or(MAX_BITS);
        // zlib cannot compress with a window of 2^8 bytes.
        (server_max_window_bits > 8).then_some(Params {
            server_no_context_takeover: self.server_no_context_takeover || offer.server_no_context,
            client_no_context_takeover: self.client_no_context_takeover || offer.client_no_context,
            server_max_window_bits,
            // A wide window costs this end nothing, so it asks for no other.
            client_max_window_bits: MAX_BITS,
        })
    }
}

impl Params {
    /// The value of `Sec-WebSocket-Extensions` with which a server accepts.
    pub fn answer(&self) -> String {
        value(self.server_no_context_takeover, self.client_no_context_takeover, self.server_max_window_bits)
    }
}

/// The parameters of one offer or answer.
#[derive(Default)]
struct Offered {
    server_no_context: bool,
    client_no_context: bool,
    server_bits: Option<u8>,
    client_bits: Option<Width>,
}

/// What is said about the client's window.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    /// It is for the server to choose.
    Open,
    Bits(u8),
}

impl Offered {
    /// Reads all parameters of an extension; `None` if one is unknown, invalid or there twice. [RFC 7692 §7.1]
    fn read(extensions: &mut Extensions) -> Result<Option<Self>, Malformed> {
        let mut offered = Some(Self::default());
        while let Some((name, parameter)) = extensions.parameter()? {
            offered = offered.and_then(|offered| offered.with(name, parameter.as_deref()));
        }
        Ok(offered)
    }

    fn with(mut self, name: &[u8], parameter: Option<&[u8]>) -> Option<Self> {
        let bits = parameter.map(window_bits);
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("server_no_context_takeover") {
            (bits.is_none() && !std::mem::replace(&mut self.server_no_context, true)).then_some(self)
        } else if is("client_no_context_takeover") {
            (bits.is_none() && !std::mem::replace(&mut self.client_no_context, true)).then_some(self)
        } else if is("server_max_window_bits") {
            let bits = bits??;
            self.server_bits.replace(bits).is_none().then_some(self)
        } else if is("client_max_window_bits") {
            let width = bits.map_or(Some(Width::Open), |bits| bits.map(Width::Bits))?;
            self.client_bits.replace(width).is_none().then_some(self)
        } else {
            None
        }
    }
}

/// A width as it may be written: 8 to 15, without leading zeroes. [RFC 7692 §7.1.2]
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

fn value(server_no_context: bool, client_no_context: bool, server_bits: u8) -> String {
    let server = if server_no_context { "; server_no_context_takeover" } else { "" };
    let client = if client_no_context { "; client_no_context_takeover" } else { "" };
    let bits = if server_bits < MAX_BITS { format!("; server_max_window_bits={server_bits}") } else { String::new() };
    format!("permessage-deflate{server}{client}{bits}")
}

const NAME: &[u8] = b"permessage-deflate";
/// A window of 32 KiB: the widest.
pub(super) const MAX_BITS: u8 = 15;
