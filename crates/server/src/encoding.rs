//! Compression of responses, as the client accepts it.                                          [RFC 9110 §12.5.3]

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// How a body may be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Deflate,
    Gzip,
}

impl Encoding {
    /// What the client likes best of what we can; among equals what it names first. `None`: as it is.
    pub(crate) fn accepted(headers: &HeaderMap) -> Option<Self> {
        Self::best(headers.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes))
    }

    /// The same, from the header's values.
    pub(crate) fn best<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
        let mut best = None;
        let mut plain = 0;
        let mut names_gzip = false;
        let mut others = None;
        for (name, weight) in lines.flat_map(|line| line.split(',')).filter_map(weighted) {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            let encoding = match name {
                _ if is("gzip") || is("x-gzip") => Self::Gzip,
                _ if is("deflate") => Self::Deflate,
                _ if is("identity") => {
                    plain = weight;
                    continue;
                }
                "*" => {
                    others = Some(weight);
                    continue;
                }
                _ => continue,
            };
            names_gzip |= encoding == Self::Gzip;
            if weight > 0 && best.is_none_or(|(_, other)| weight > other) {
                best = Some((encoding, weight));
            }
        }
        if best.is_none() && !names_gzip {
            best = others.filter(|weight| *weight > 0).map(|weight| (Self::Gzip, weight));
        }
        best.filter(|(_, weight)| *weight >= plain).map(|(encoding, _)| encoding)
    }

    /// The header's value.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }

    /// Its name in HTTP.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deflate => "deflate",
            Self::Gzip => "gzip",
        }
    }

    /// Compresses a body; `None` if it would become no shorter.
    pub(crate) fn compress(self, body: &[u8], level: u8) -> Option<Bytes> {
        let level = Compression::new(u32::from(level.clamp(1, 9)));
        let out = Vec::with_capacity(body.len() / 4 + 64);
        let compressed = match self {
            // What HTTP calls deflate is the format of zlib. [RFC 9110 §8.4.1.2]
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(out, level);
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, level);
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
        };
        compressed.ok().filter(|compressed| compressed.len() < body.len()).map(Bytes::from)
    }
}

/// A name and its weight in thousandths; `None` if it is malformed.
fn weighted(element: &str) -> Option<(&str, u16)> {
    let mut parts = element.split(';');
    let name = parts.next()?.trim();
    let mut weight = 1000;
    for parameter in parts {
        let (key, value) = parameter.split_once('=')?;
        if key.trim().eq_ignore_ascii_case("q") {
            weight = thousandths(value.trim())?;
        }
    }
    (!name.is_empty()).then_some((name, weight))
}

/// `0`, `1`, or with up to three digits behind the point.
fn thousandths(value: &str) -> Option<u16> {
    let (whole, digits) = value.split_once('.').unwrap_or((value, ""));
    if digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{digits:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(value: &str) -> Option<Encoding> {
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap())]);
        Encoding::accepted(&headers)
    }

    #[test]
    fn the_client_chooses() {
        use Encoding::{Deflate, Gzip};
        let cases = [
            ("", None),
            ("gzip", Some(Gzip)),
            ("GZIP", Some(Gzip)),
            ("deflate", Some(Deflate)),
            ("gzip, deflate, br", Some(Gzip)),
            ("deflate, gzip", Some(Deflate)),
            ("br, zstd", None),
            ("gzip;q=0", None),
            ("gzip;q=0.5, deflate;q=0.8", Some(Deflate)),
            ("gzip;q=0, deflate;q=0.001", Some(Deflate)),
            ("gzip; q=0.000", None),
            ("*", Some(Gzip)),
            ("*;q=0", None),
            ("gzip;q=0, *", None),
            ("identity", None),
            ("identity;q=0.5, gzip;q=0.4", None),
            ("identity;q=0.5, gzip;q=0.6", Some(Gzip)),
            ("gzip;q=2", None),
            ("gzip;q=-1", None),
            ("gzip;q=0.0001", None),
            ("gzip;q=", None),
            ("gzip;x", None),
            (";q=1,,;", None),
        ];
        for (value, expected) in cases {
            assert_eq!(accepted(value), expected, "{value:?}");
        }
    }

    #[test]
    fn what_does_not_shrink_stays() {
        assert_eq!(Encoding::Gzip.compress(b"abc", 6), None);
        assert!(Encoding::Deflate.compress(&[b'x'; 2000], 6).unwrap().len() < 50);
    }
}
