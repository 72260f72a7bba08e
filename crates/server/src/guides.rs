//! The pages of `docs/` that speak of HTTP, so that their examples are compiled and run.

#[doc = include_str!("../../../docs/compression.md")]
pub struct Compression;

#[doc = include_str!("../../../docs/cors.md")]
pub struct Cors;

#[doc = include_str!("../../../docs/serving.md")]
pub struct Serving;

#[cfg(feature = "tls")]
#[doc = include_str!("../../../docs/tls.md")]
pub struct Tls;

#[cfg(feature = "webtransport")]
#[doc = include_str!("../../../docs/webtransport.md")]
pub struct WebTransport;
