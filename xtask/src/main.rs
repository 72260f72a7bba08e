//! The chores of the project. `cargo xtask` lists them.

mod shell;
mod workspace;
mod install;
mod settings;
mod rust_source;
mod layers;
mod advisories;
mod supply;
mod demo;
mod bench;
mod client;
mod conformance;
mod differential;
mod autobahn;
mod fuzz;
mod interleavings;
mod soak;
mod types;
mod steps;

use std::process::ExitCode;

use crate::shell::{Failure, Result};
use crate::workspace::Workspace;

const HELP: &str = "\
cargo xtask demo [ARGS]          build the demo page and run the server with it; ARGS go to `sockeye serve`
cargo xtask test                 everything that must hold before a change is taken
    --list                       name the steps
    --only a,b  --skip a,b       some of them
cargo xtask layers               only: files and crates use what is below them, files are short
cargo xtask supply               only: licences, sources and versions of what we build on
    --advisories DIR             known faults too, by a copy of the RustSec database (or SOCKEYE_ADVISORIES=DIR)
cargo xtask conformance [FILTER] only: official clients and raw bytes against our server
    --reference                  the same against the official server, to prove the tests themselves
cargo xtask proxies [FILTER]     only: official clients behind nginx, HAProxy and Caddy; --reference as above
cargo xtask client [SERVER]      only: our client against servers of several versions and projects
cargo xtask differential [N]     only: our codecs against the official ones, N generated cases of each kind
cargo xtask autobahn [CASES]     the Autobahn suite against both ends of our WebSocket layer (needs Python 2.7)
cargo xtask fuzz [TARGETS]       what a fuzzer invents for every decoder and whole sessions (needs a C++ compiler)
    --minutes N                  for each target; 1 if nothing is said
cargo xtask interleavings [N]    only: the locks of the server, in N orders that a scheduler finds
cargo xtask soak                 thousands of clients that misbehave, and what must be true meanwhile and afterwards
    --minutes N  --waves N       how long; or so many waves that connect and are killed; --clients N  --seed N
cargo xtask bench [ARGS]         our server and its peers side by side; --quick for a first look, --help for more
cargo xtask bench instructions   count those of the hot paths and compare; --write keeps them (needs valgrind)

What is missing (npm packages, Node.js, Chromium, proxies, Python packages) is installed; a second run finds it there.";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result {
    let (chore, rest) = match words.split_first() {
        None => ("help", words),
        Some((chore, rest)) => (chore.as_str(), rest),
    };
    match chore {
        "autobahn" => autobahn::run(&Workspace::load()?, rest),
        "bench" => bench::run(&Workspace::load()?, rest),
        "demo" => demo::run(&Workspace::load()?, rest),
        "test" => steps::run(&Workspace::load()?, rest),
        "differential" => differential::run(&Workspace::load()?, rest),
        "fuzz" => fuzz::run(&Workspace::load()?, rest),
        "interleavings" => interleavings::run(&Workspace::load()?, rest),
        "soak" => soak::run(&Workspace::load()?, rest),
        "layers" => layers::check(&Workspace::load()?),
        "supply" => supply::run(&Workspace::load()?, rest),
        "client" => client::run(&Workspace::load()?, rest),
        "proxies" => conformance::proxies(&Workspace::load()?, rest),
        "conformance" => conformance::run(&Workspace::load()?, rest),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        unknown => Err(Failure::new(format!("there is no chore `{unknown}`\n\n{HELP}"))),
    }
}
