//! One connection at work: transports, namespaces, and the loop that drives them.

mod ages;
mod end;
mod doubt;
mod upper;
mod carrier;
mod reading;
mod writing;
mod auth;
mod delivery;
mod shifts;
mod early;
mod stage;
mod seat;
mod body;
mod task;

pub(crate) use task::start;
