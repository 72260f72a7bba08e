//! What the terminal shows: the greeting and the log.

use std::io::IsTerminal;
use std::net::SocketAddr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::ServeOptions;

/// Sends log lines to standard error, as the options ask.
///
/// # Errors
/// When the filter cannot be read; the text says why.
pub(crate) fn start_log(options: &ServeOptions) -> Result<(), String> {
    let filter = filter(options)?;
    let lines = tracing_subscriber::fmt::layer()
        .compact()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Fails only where somebody else has set a log already, and then theirs is as good.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    Ok(())
}

fn filter(options: &ServeOptions) -> Result<Targets, String> {
    // A variable that is set to nothing asks for nothing.
    if let Some(text) = options.log.as_deref().filter(|text| !text.is_empty()) {
        return text.parse().map_err(|error| format!("--log {text:?} cannot be read: {error}"));
    }
    let ours = match options.verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    Ok(Targets::new().with_default(LevelFilter::WARN).with_target("sockeye", ours))
}

/// Says where the server is. The address comes first on a line of its own, so that programs can wait for it.
pub(crate) fn greet(
    address: SocketAddr,
    monitor: Option<SocketAddr>,
    certificate: Option<&str>,
    made_up_password: Option<&str>,
) {
    println!("Sockeye {} listens on {}", env!("CARGO_PKG_VERSION"), url(address));
    if let Some(monitor) = monitor {
        println!("Its health and figures are at {}", url(monitor));
    }
    if let Some(hash) = certificate {
        println!("SHA-256 of its certificate for WebTransport: {hash}");
    }
    if let Some(password) = made_up_password {
        println!("Password of /admin: {password}   (--admin-password sets another)");
    }
}

/// What to type into a browser on this machine.
fn url(address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => format!("http://localhost:{port}"),
        _ => format!("http://{address}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn options(log: Option<&str>, verbose: u8) -> ServeOptions {
        let Command::Serve(options) = Cli::parse_from(["sockeye", "serve"]).command else { panic!("another command") };
        ServeOptions { log: log.map(Into::into), verbose, ..*options }
    }

    #[test]
    fn verbosity_is_about_our_own_crates() {
        let level = |verbose| filter(&options(None, verbose)).unwrap();
        assert!(!level(0).would_enable("sockeye::session", &tracing::Level::DEBUG));
        assert!(level(1).would_enable("sockeye::session", &tracing::Level::DEBUG));
        assert!(level(2).would_enable("sockeye::session", &tracing::Level::TRACE));
        assert!(!level(2).would_enable("hyper", &tracing::Level::INFO));
    }

    #[test]
    fn a_filter_is_taken_literally_or_refused() {
        assert!(filter(&options(Some("hyper=debug"), 0)).unwrap().would_enable("hyper", &tracing::Level::DEBUG));
        assert!(filter(&options(Some("sockeye=loud"), 0)).unwrap_err().contains("sockeye=loud"));
        assert!(filter(&options(Some(""), 0)).unwrap().would_enable("sockeye", &tracing::Level::INFO));
    }

    #[test]
    fn the_address_is_one_to_click_on() {
        assert_eq!(url("127.0.0.1:3000".parse().unwrap()), "http://localhost:3000");
        assert_eq!(url("[::]:80".parse().unwrap()), "http://localhost:80");
        assert_eq!(url("192.0.2.7:81".parse().unwrap()), "http://192.0.2.7:81");
        assert_eq!(url("[2001:db8::1]:82".parse().unwrap()), "http://[2001:db8::1]:82");
    }
}
