//! WebSocket framing without I/O, for both ends of a connection.                                        [RFC 6455]
//!
//! A [`Decoder`] takes what was read and gives messages, most of them borrowed from the read buffer; what is sent is
//! encoded by functions ([`frame_header`], [`encode_masked`], [`encode_close`]…), since sending needs no state.
//! A receiving loop is
//!
//! ```
//! use sockeye_engine::{Role, ws::{Decoder, Item, Limits}};
//!
//! # fn main() -> Result<(), sockeye_engine::ws::Error> {
//! let mut decoder = Decoder::new(Role::Client, Limits::default());
//! let mut read = *b"\x81\x02hi\x81\x02yo";                     // a slice of the read buffer
//! let mut rest = &mut read[..];
//! let mut heard = String::new();
//! while let (used, Some(item)) = decoder.decode(rest)? {      // on an error: send `close_code()`, then disconnect
//!     if let Item::Text(text) = item {
//!         heard += text;
//!     }
//!     rest = &mut rest[used..];
//! }
//! assert_eq!(heard, "hiyo");
//! # Ok(())
//! # }
//! ```

mod close;
mod error;
mod frame;
mod utf8;
mod partial;
mod extensions;
pub mod deflate;
mod message;
pub mod handshake;

pub use close::CloseCode;
pub use error::Error;
pub use frame::{Opcode, TooLong, encode, encode_close, encode_masked, encode_ping, encode_pong, frame_header, mask};
pub use message::{Decoder, Item, Limits};
