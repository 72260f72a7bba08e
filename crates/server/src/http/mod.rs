//! The HTTP side: requests in, responses out.

mod body;
mod response;
mod denial;
mod encoding;
mod jsonp;
mod route;
mod polling;
mod upgrade;
mod open;
mod service;
#[cfg(feature = "http2")]
mod preface;
pub(crate) mod listen;

pub use body::Body;
pub use route::PeerAddr;
pub use service::SocketService;
