//! The command line.

use std::net::IpAddr;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};

use crate::connect::ConnectOptions;

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
    /// Open the printed address in two windows. Ctrl-C stops the server: clients are told, what they were sent is
    /// written, and after five seconds at most the process ends.
    Serve(ServeOptions),

    /// Connect to a Socket.IO server: type events, see what arrives
    ///
    /// A line is an event's name and its arguments in JSON; a `?` before it waits for the answer; `.help` says more. It
    /// ends with the input, and then with code 0; with code 1 if it cannot connect, is refused or disconnected.
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
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn serve(words: &[&str]) -> ServeOptions {
        let parsed = Cli::try_parse_from(["sockeye", "serve"].iter().chain(words)).unwrap();
        let Command::Serve(options) = parsed.command else { panic!("another command") };
        options
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
    fn a_wrong_host_is_an_error() {
        assert!(Cli::try_parse_from(["sockeye", "serve", "--host", "nowhere"]).is_err());
    }

    #[test]
    fn an_empty_password_is_an_error_and_no_open_door() {
        assert!(Cli::try_parse_from(["sockeye", "serve", "--admin-password", ""]).is_err());
    }
}
