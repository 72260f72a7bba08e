//! Known advisories of this family of software that concern a server. One test for each, named after it; those about
//! framing are beside the engine, and `docs/security.md` has the table.

mod raw;
mod before_connect;
mod packets;
mod requests;
mod flood;
mod resources;
