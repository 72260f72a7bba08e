//! One session: the task that owns it, and the sockets it carries.

pub(crate) mod admission;
pub(crate) mod occupant;
mod fault;
mod ages;
mod meters;
pub(crate) mod body;
mod leaving;
pub(crate) mod congestion;
mod answers;
pub(crate) mod alarm;
pub(crate) mod task;
mod reading;
mod requests;
