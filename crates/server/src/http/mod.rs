//! The HTTP side: requests in, responses out.

mod body;
mod cors;
mod route;
mod polling;
mod upgrade;
mod service;
pub(crate) mod listen;

pub use body::Body;
pub use route::PeerAddr;
pub use service::SocketService;
