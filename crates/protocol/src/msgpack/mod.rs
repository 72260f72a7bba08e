//! MessagePack as `socket.io-msgpack-parser` speaks it.                                    [MessagePack "formats"]
//!
//! Its encoder, notepack 2.2, gives extension type 0 three meanings, told apart by the format alone:
//!
//! ```text
//! d4 00 00               undefined
//! d7 00 <i64 ms>         a Date
//! c7|c8|c9 <len> 00 …    an ArrayBuffer or typed array (a Buffer is plain bin)
//! ```
//! Timestamps of the specification (type -1) are read too, and not written, as those peers cannot read them.

pub(crate) mod cursor;
mod date;
pub(crate) mod key;
pub(crate) mod ser;
pub(crate) mod de;
