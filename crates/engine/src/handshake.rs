//! The handshake: the query of the request and the body of OPEN.                                 [EIO4 "handshake"]

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::time::Duration;
use crate::{Config, Encoded, ProtocolError, Revision, Sid};

/// A transport's name in the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportName {
    /// `polling`
    Polling,
    /// `websocket`
    Websocket,
    /// `webtransport`
    Webtransport,
}

impl TransportName {
    /// The transport of this name, if there is one. Case matters.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "polling" => Some(Self::Polling),
            "websocket" => Some(Self::Websocket),
            "webtransport" => Some(Self::Webtransport),
            _ => None,
        }
    }

    /// The name, as in the query and in `upgrades`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Websocket => "websocket",
            Self::Webtransport => "webtransport",
        }
    }
}

/// The parameters of a request that Engine.IO knows, percent-decoded.
///
/// A parameter which appears twice gets its values joined by commas, which is what the JS server makes of it: it then
/// names no transport, no revision and no session. (To take either of them would be worse, and to take none would
/// open a session for a request which meant another.)
#[derive(Clone, Debug, Default)]
pub struct Query<'a> {
    /// `EIO`, as written.
    pub eio: Option<Cow<'a, str>>,
    /// `transport`, as written.
    pub transport: Option<Cow<'a, str>>,
    /// `sid`, as written. An empty one is absent, as in the JS server.
    pub sid: Option<Cow<'a, str>>,
    /// `b64`, with any value but an empty one: the client cannot take binary.
    pub b64: bool,
    /// `j`: JSONP index, as written.
    pub jsonp: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    /// Reads the query string of a request (without `?`). Never fails: what is unknown is ignored.
    pub fn parse(query: &'a str) -> Self {
        let mut parsed = Self::default();
        for (key, value) in parameters(query) {
            match &*key {
                "EIO" => add(&mut parsed.eio, value),
                "transport" => add(&mut parsed.transport, value),
                "sid" => add(&mut parsed.sid, value),
                "b64" => parsed.b64 |= !value.is_empty(),
                "j" => add(&mut parsed.jsonp, value),
                _ => {}
            }
        }
        parsed.sid = parsed.sid.filter(|sid| !sid.is_empty());
        parsed
    }

    /// Revision asked for: `4`, `3`, or none of them. A request without `EIO` means 3.
    pub fn revision(&self) -> Option<Revision> {
        match self.eio.as_deref() {
            Some("4") => Some(Revision::V4),
            Some("3") | None => Some(Revision::V3),
            Some(_) => None,
        }
    }

    /// Transport asked for, if it is known.
    pub fn transport(&self) -> Option<TransportName> {
        self.transport.as_deref().and_then(TransportName::parse)
    }
}

/// All parameters of a query string, percent-decoded, in order, duplicates included. `+` is a space; what is no valid
/// escape stays as it is; what is no UTF-8 after decoding becomes U+FFFD.
pub fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    // As a rule nothing is escaped, which one look at the whole tells.
    let plain = is_plain(query);
    let decode = move |text| if plain { Cow::Borrowed(text) } else { decode_component(text) };
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

/// The body of OPEN, as the client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Session id.
    pub sid: Sid,
    /// Transports to which the client may upgrade. Unknown names are left out.
    pub upgrades: Vec<TransportName>,
    /// Time between heartbeats.
    pub ping_interval: Duration,
    /// Longest wait for a heartbeat.
    pub ping_timeout: Duration,
    /// Longest body the server accepts; absent from old servers.
    pub max_payload: Option<usize>,
}

impl Open {
    /// Reads the JSON after `0`. Never panics, whatever the server sent.
    ///
    /// # Errors
    /// `InvalidHandshake` unless it is an object with a session id and two times that leave any time at all.
    pub fn parse(json: &str) -> Result<Self, ProtocolError> {
        let open: Value = serde_json::from_str(json).map_err(|_| ProtocolError::InvalidHandshake)?;
        let sid = open.get("sid").and_then(Value::as_str).filter(|sid| !sid.is_empty());
        let parsed = Self {
            sid: Sid::new(sid.ok_or(ProtocolError::InvalidHandshake)?),
            upgrades: open.get("upgrades").and_then(Value::as_array).map_or_else(Vec::new, |names| {
                names.iter().filter_map(|name| TransportName::parse(name.as_str()?)).collect()
            }),
            ping_interval: milliseconds(open.get("pingInterval"))?,
            ping_timeout: milliseconds(open.get("pingTimeout"))?,
            max_payload: open.get("maxPayload").and_then(Value::as_u64).and_then(|bytes| usize::try_from(bytes).ok()),
        };
        let silence = parsed.ping_interval.saturating_add(parsed.ping_timeout);
        if silence.is_zero() { Err(ProtocolError::InvalidHandshake) } else { Ok(parsed) }
    }

    /// Writes the whole OPEN packet: keys `sid, upgrades, pingInterval, pingTimeout, maxPayload`, in this order.
    pub fn encode(sid: &Sid, upgrades: &[TransportName], config: &Config) -> Encoded {
        let sid = json!(sid.as_str());
        let upgrades = json!(upgrades.iter().map(|name| name.as_str()).collect::<Vec<_>>());
        let interval = config.ping_interval.as_millis();
        let timeout = config.ping_timeout.as_millis();
        let limit = config.max_payload;
        Encoded::control(&format!(
            "0{{\"sid\":{sid},\"upgrades\":{upgrades},\"pingInterval\":{interval},\"pingTimeout\":{timeout},\"maxPayload\":{limit}}}"
        ))
    }
}

/// A number of milliseconds, at most what a JS timer can wait (24.8 days).
fn milliseconds(value: Option<&Value>) -> Result<Duration, ProtocolError> {
    let number = value.and_then(Value::as_f64).filter(|number| *number >= 0.0);
    let number = number.ok_or(ProtocolError::InvalidHandshake)?;
    Duration::try_from_secs_f64(number.min(f64::from(i32::MAX)) / 1000.0).map_err(|_| ProtocolError::InvalidHandshake)
}

fn add<'a>(slot: &mut Option<Cow<'a, str>>, value: Cow<'a, str>) {
    match slot {
        None => *slot = Some(value),
        Some(joined) => {
            let joined = joined.to_mut();
            joined.push(',');
            joined.push_str(&value);
        }
    }
}

fn decode_component(component: &str) -> Cow<'_, str> {
    if is_plain(component) {
        return Cow::Borrowed(component);
    }
    let mut decoded = Vec::with_capacity(component.len());
    let mut rest = component.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after) {
            (b'+', _) => (b' ', after),
            (b'%', &[high, low, ref after @ ..]) => match (hex_digit(high), hex_digit(low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', rest.get(1..).unwrap_or_default()),
            },
            _ => (byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    Cow::Owned(
        String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

fn is_plain(text: &str) -> bool {
    memchr::memchr2(b'%', b'+', text.as_bytes()).is_none()
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_of_a_handshake() {
        let query = Query::parse("EIO=4&transport=polling&t=N8hyd6w");
        assert_eq!((query.revision(), query.transport()), (Some(Revision::V4), Some(TransportName::Polling)));
        assert_eq!((query.sid, query.b64, query.jsonp), (None, false, None));
        let query = Query::parse("EIO=3&transport=websocket&sid=abc&b64=1&j=0");
        assert_eq!((query.revision(), query.transport()), (Some(Revision::V3), Some(TransportName::Websocket)));
        assert_eq!((query.sid.as_deref(), query.b64, query.jsonp.as_deref()), (Some("abc"), true, Some("0")));
    }

    #[test]
    fn missing_and_unknown_values() {
        let query = Query::parse("");
        assert_eq!((query.revision(), query.transport(), query.sid), (Some(Revision::V3), None, None));
        assert_eq!(Query::parse("EIO=5").revision(), None);
        assert_eq!(Query::parse("EIO").revision(), None);
        assert_eq!(Query::parse("transport=constructor").transport(), None);
        assert_eq!(Query::parse("transport=Polling").transport(), None);
        assert_eq!(Query::parse("sid=&b64=").sid, None);
        assert!(!Query::parse("b64=").b64);
    }

    #[test]
    fn a_duplicate_names_nothing() {
        let query = Query::parse("EIO=4&EIO=4&transport=polling&transport=polling&sid=a&%73id=b");
        assert_eq!((query.revision(), query.transport(), query.sid.as_deref()), (None, None, Some("a,b")));
        assert_eq!(Query::parse("sid=&sid=").sid.as_deref(), Some(","));
    }

    #[test]
    fn odd_escapes_do_no_harm() {
        assert_eq!(Query::parse("sid=__proto__").sid.as_deref(), Some("__proto__"));
        assert_eq!(Query::parse("sid=%00").sid.as_deref(), Some("\0"));
        assert_eq!(Query::parse("sid=%").sid.as_deref(), Some("%"));
        assert_eq!(Query::parse("sid=%4").sid.as_deref(), Some("%4"));
        assert_eq!(Query::parse("sid=%zz%41").sid.as_deref(), Some("%zzA"));
        assert_eq!(Query::parse("sid=%ff").sid.as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn parameters_in_order_and_decoded() {
        let all: Vec<_> = parameters("a=1&&b=x%20y+z&a=2&c&=d&e=f=g&%E2%82%AC=%e2%82%ac").collect();
        let all: Vec<_> = all.iter().map(|(key, value)| (&**key, &**value)).collect();
        let expected = [("a", "1"), ("b", "x y z"), ("a", "2"), ("c", ""), ("", "d"), ("e", "f=g"), ("€", "€")];
        assert_eq!(all, expected);
    }

    #[test]
    fn open_is_read_leniently() {
        let open = Open::parse(
            r#"{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket","carrier pigeon",7],"pingInterval":25000,"pingTimeout":2e4,"maxPayload":1000000,"more":[{}]}"#,
        );
        let expected = Open {
            sid: Sid::new("lv_VI97HAXpY6yYWAAAC"),
            upgrades: vec![TransportName::Websocket],
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: Some(1_000_000),
        };
        assert_eq!(open, Ok(expected));
        let old = Open::parse(r#"{"sid":"x","pingInterval":1e300,"pingTimeout":0}"#).unwrap();
        assert_eq!((old.upgrades, old.max_payload), (vec![], None));
        assert_eq!(old.ping_interval, Duration::from_millis(2_147_483_647));
    }

    #[test]
    fn what_is_no_handshake() {
        let bad = [
            "",
            "{}",
            "{bad",
            "[]",
            "null",
            r#"{"sid":"x"}"#,
            r#"{"sid":"","pingInterval":1,"pingTimeout":1}"#,
            r#"{"sid":7,"pingInterval":1,"pingTimeout":1}"#,
            r#"{"sid":"x","pingInterval":"1","pingTimeout":1}"#,
            r#"{"sid":"x","pingInterval":-1,"pingTimeout":1}"#,
            r#"{"sid":"x","pingInterval":0,"pingTimeout":0}"#,
        ];
        for json in bad {
            assert_eq!(Open::parse(json), Err(ProtocolError::InvalidHandshake), "{json}");
        }
        assert_eq!(Open::parse(&"[".repeat(100_000)), Err(ProtocolError::InvalidHandshake));
    }

    #[test]
    fn open_is_written_as_the_js_server_does() {
        let open = Open::encode(&Sid::new("abc"), &[TransportName::Websocket], &Config::default());
        let expected =
            r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(open.packet(), expected.as_bytes());
        let open = Open::encode(&Sid::new("\"\\"), &[], &Config::default());
        assert!(open.packet().starts_with(br#"0{"sid":"\"\\","upgrades":[],"#));
    }
}
