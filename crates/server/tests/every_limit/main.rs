//! Every limit at N − 1, N and N + 1, on every transport, before and after CONNECT: what the client is told, what the
//! application learns, what is counted.

mod client;
mod connections;
mod gate;
mod ending;
mod keeping;
