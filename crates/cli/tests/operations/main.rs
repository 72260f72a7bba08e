//! The binary as operators see it, in processes of its own.

mod running;
mod serving;
#[cfg(unix)]
mod descriptors;
#[cfg(target_os = "linux")]
mod refusals;
#[cfg(target_os = "linux")]
mod talker;
#[cfg(target_os = "linux")]
mod liveness;
#[cfg(target_os = "linux")]
mod stopping;
#[cfg(target_os = "linux")]
mod network;
