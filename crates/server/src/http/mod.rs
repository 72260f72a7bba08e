//! The HTTP side: requests in, responses out.

mod body;
mod response;
pub(crate) mod denial;
mod jsonp;
pub(crate) mod route;
mod polling;
mod handover;
mod upgrade;
pub(crate) mod open;
mod client_file;
mod service;
mod layer;
mod request_body;
pub(crate) mod site;
mod http1;
#[cfg(feature = "http2")]
mod preface;
pub(crate) mod counted;
mod tcp;
#[cfg(feature = "http2")]
mod wear;
pub(crate) mod listen;

pub use body::Body;
pub use layer::{Layered, LayeredBody, SocketLayer};
pub use request_body::RequestBody;
pub use route::PeerAddr;
pub use service::SocketService;
pub use site::Site;
