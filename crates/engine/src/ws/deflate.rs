//! permessage-deflate.                                                                                     [RFC 7692]

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::Error;

/// The decompressing half of a connection.
#[derive(Debug)]
pub struct Inflater(Option<Box<Decompress>>);

thread_local! {
    /// Serves all connections whose peers compress each message on its own.
    static SHARED: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

impl Inflater {
    /// Decompresses a message of no more than `limit` bytes.
    pub(super) fn inflate(&mut self, compressed: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        match &mut self.0 {
            Some(own) => inflate_message(own, compressed, limit, &mut out)?,
            None => SHARED.with_borrow_mut(|shared| {
                shared.reset(false);
                inflate_message(shared, compressed, limit, &mut out)
            })?,
        }
        Ok(out)
    }
}

fn inflate_message(state: &mut Decompress, compressed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    inflate_part(state, compressed, limit, out)?;
    inflate_part(state, &TAIL, limit, out)
}

fn inflate_part(state: &mut Decompress, mut input: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    loop {
        if out.len() == out.capacity() {
            out.reserve_exact(super::partial::growth(out.len(), out.capacity(), 1, limit.saturating_add(1)));
        }
        let before = state.total_in();
        let status = state.decompress_vec(input, out, FlushDecompress::None).map_err(|_| Error::InvalidDeflate)?;
        let used = usize::try_from(state.total_in() - before).unwrap_or(usize::MAX);
        input = input.get(used..).unwrap_or_default();
        if out.len() > limit {
            return Err(Error::TooLarge { limit });
        }
        if status == Status::StreamEnd || input.is_empty() && out.len() < out.capacity() {
            return Ok(());
        }
    }
}

/// What the sender of a message cut off its end. [RFC 7692 §7.2.1]
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
