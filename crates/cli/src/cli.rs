//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};

use crate::connect::ConnectOptions;
use crate::limits::LimitOptions;
use crate::values::seconds;
use crate::webtransport::WebTransportOptions;

/// Socket.IO in one binary
#[derive(Debug, Parser)]
#[command(name = "sockeye", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a Socket.IO server with the demo: a chat that shows what passes on the wire
    ///
    /// Open the printed address in two windows. Ctrl-C, or SIGTERM, stops the server: clients are told, what they were
    /// sent is written, and after --drain and --grace at most the process ends; a second one ends it at once.
    ///
    /// Machines ask at /healthz (is it alive?), /readyz (may it get new clients?) and /metrics (figures for Prometheus).
    Serve(Box<ServeOptions>),

    /// Connect to a Socket.IO server: type events, see what arrives
    ///
    /// A line is an event's name and its arguments in JSON; a `?` before it waits for the answer; `.help` says more. It
    /// ends with the input, and then with code 0; with code 1 if it cannot connect, is refused or disconnected; with code 2
    /// if the command line is wrong. After Ctrl-C and SIGTERM it disconnects, and ends with code 130 or 143; a second one
    /// ends it at once.
    Connect(ConnectOptions),
}

/// Options of `sockeye serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    /// Port to listen on; 0 takes a free one
    #[arg(short, long, env = "SOCKEYE_PORT", default_value_t = 3000)]
    pub(crate) port: u16,

    /// Address to listen on: the default is reachable from this machine only, 0.0.0.0 (or ::) from everywhere
    #[arg(long, env = "SOCKEYE_HOST", default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub(crate) host: IpAddr,

    /// Password of the namespace /admin; without it a new one is made up and printed at every start
    #[arg(long, env = "SOCKEYE_ADMIN_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) admin_password: Option<String>,

    /// What to log instead of -v: levels or target=level, separated by commas, for example "info,hyper=debug"
    #[arg(long, env = "SOCKEYE_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,

    /// Log more: -v connections and namespaces, -vv all there is; never what was sent
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Where /healthz, /readyz and /metrics are served instead, so that not everybody can ask, for example 127.0.0.1:9090
    #[arg(long, env = "SOCKEYE_MONITOR", value_name = "ADDRESS:PORT")]
    pub(crate) monitor: Option<SocketAddr>,

    /// Seconds to go on as ever after the signal to stop, while /readyz says 503 and load balancers take notice
    #[arg(long, env = "SOCKEYE_DRAIN", value_name = "SECONDS", value_parser = seconds, default_value = "0")]
    pub(crate) drain: Duration,

    /// Seconds to tell all clients and to let handlers end; clients are spread over half of it
    #[arg(long, env = "SOCKEYE_GRACE", value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub(crate) grace: Duration,

    /// WebTransport.
    #[command(flatten)]
    pub(crate) webtransport: WebTransportOptions,

    /// What clients may do.
    #[command(flatten)]
    pub(crate) limits: LimitOptions,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn serve(words: &[&str]) -> ServeOptions {
        let parsed = Cli::try_parse_from(["sockeye", "serve"].iter().chain(words)).unwrap();
        let Command::Serve(options) = parsed.command else { panic!("another command") };
        *options
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_open_on_localhost_3000() {
        let options = serve(&[]);
        assert_eq!((options.host.to_string().as_str(), options.port), ("127.0.0.1", 3000));
        assert_eq!(options.verbose, 0);
    }

    #[test]
    fn options_are_read() {
        let options = serve(&["--host", "::", "-p", "0", "-vv", "--admin-password", "up"]);
        assert_eq!((options.host.to_string().as_str(), options.port), ("::", 0));
        assert_eq!((options.verbose, options.admin_password.as_deref()), (2, Some("up")));
    }

    #[test]
    fn limits_are_read() {
        let options = serve(&["--max-sessions", "7", "--handshake-rate", "5/50", "--trust-proxy", "::1,10.0.0.0/8"]);
        assert_eq!((options.limits.gate.max_sessions, options.grace), (Some(7), Duration::from_secs(5)));
        assert_eq!(options.limits.gate.handshake_rate, Some(crate::values::Rate { per_second: 5, burst: 50 }));
        assert_eq!(options.limits.gate.trust_proxy, ["::1", "10.0.0.0/8"]);
        assert!(Cli::try_parse_from(["sockeye", "serve", "--grace", "soon"]).is_err());
    }

    #[test]
    fn a_certificate_needs_its_key_and_webtransport() {
        let options = serve(&["--webtransport", "--webtransport-cert", "c.pem", "--webtransport-key", "k.pem"]);
        assert!(options.webtransport.webtransport && options.webtransport.webtransport_key.is_some());
        for wrong in [&["--webtransport", "--webtransport-cert", "c.pem"][..], &["--webtransport-key", "k.pem"]] {
            assert!(Cli::try_parse_from(["sockeye", "serve"].iter().chain(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_wrong_host_is_an_error() {
        assert!(Cli::try_parse_from(["sockeye", "serve", "--host", "nowhere"]).is_err());
    }

    #[test]
    fn an_empty_password_is_an_error_and_no_open_door() {
        assert!(Cli::try_parse_from(["sockeye", "serve", "--admin-password", ""]).is_err());
    }
}
