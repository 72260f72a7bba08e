//! The HTTP side: requests in, responses out.

mod body;
mod response;
mod denial;
mod jsonp;
mod route;
mod polling;
mod upgrade;
mod open;
mod client_file;
mod service;
mod layer;
#[cfg(feature = "http2")]
mod preface;
pub(crate) mod listen;

pub use body::Body;
pub use layer::{Layered, LayeredBody, SocketLayer};
pub use route::PeerAddr;
pub use service::SocketService;
