//! The binary `sockeye`.

#![forbid(unsafe_code)]

mod signal;
mod connect;
mod values;
mod limits;
mod webtransport;
mod cli;
mod terminal;
mod process;
mod monitor;
mod probes;
mod assets;
mod events;
mod people;
mod history;
mod app;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Memory per idle connection is what a Socket.IO server is mostly made of; this one needs the least.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    process::started();
    let Cli { command } = Cli::parse();
    let outcome = match command {
        Command::Serve(options) => serve::run(&options).map_err(|problem| problem.to_string()),
        Command::Connect(options) => return connect::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("sockeye: {problem}");
            ExitCode::FAILURE
        }
    }
}
