//! Answers that are always the same.

pub(crate) const OPEN: &str =
    r#"0{"sid":"AAAAAAAAAAAAAAAAAAAA","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
pub(crate) const CONNECT: &str = r#"40{"sid":"BBBBBBBBBBBBBBBBBBBB"}"#;
