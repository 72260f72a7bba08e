//! An in-memory network.
