//! `sockeye connect`: a Socket.IO client for the terminal and for scripts.

mod value;
mod line;
mod questions;
mod report;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;
use sockeye_client::{
    Client, ClientBuilder, ConfigError, ConnectError, Disconnect, Ending, Message, Parser, State, Tls, Transport,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;

use self::line::Line;
use self::questions::Questions;
use self::report::{Kind, Report};
use self::value::Arguments;
use crate::signal::{Stop, StopSignal};

/// Options of `sockeye connect`.
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line, each told by its name")]
#[derive(Debug, Args)]
pub(crate) struct ConnectOptions {
    /// The server, for example http://localhost:3000; a path names the namespace
    pub(crate) url: String,

    /// Another namespace than that of the URL
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,

    /// What to be admitted with: a JSON object
    #[arg(short, long, value_name = "JSON", value_parser = object)]
    pub(crate) auth: Option<Value>,

    /// A header of all requests; may be given several times
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,

    /// The path of the HTTP requests
    #[arg(long, default_value = "/socket.io/")]
    pub(crate) path: String,

    /// The transports in their order; the default is polling and then WebSocket
    #[arg(short, long, value_delimiter = ',')]
    pub(crate) transport: Vec<Way>,

    /// Go on trying when the server cannot be reached at first
    #[arg(long)]
    pub(crate) retry: bool,

    /// How long it may take to be connected, and answers to questions
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,

    /// Speak MessagePack instead of JSON, as the server must
    #[arg(long)]
    pub(crate) msgpack: bool,

    /// Speak to a server of Socket.IO 2.x
    #[arg(long)]
    pub(crate) eio3: bool,

    /// Print one JSON object for each thing that happens
    #[arg(long)]
    pub(crate) json: bool,

    /// Accept any certificate: for tests only
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// A way of carrying messages.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Way {
    Polling,
    Websocket,
}

/// Why it ended other than as it was told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Connect(ConnectError),
    #[error("not connected within {0} s")]
    Late(u64),
    #[error("stopped")]
    Stopped(Stop),
    #[error("disconnected: {0}")]
    Disconnected(Disconnect),
    #[error("cannot run: {0}")]
    Run(#[from] io::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Connect(error) if error.is_config() => 2,
            Self::Stopped(stop) => stop.code(),
            Self::Connect(_) | Self::Disconnected(_) | Self::Late(_) | Self::Run(_) => 1,
        }
    }
}

/// Runs until the input ends, `.quit`, a signal, or the end of the connection.
pub(crate) fn run(options: &ConnectOptions) -> ExitCode {
    let report = Report::new(options.json);
    let Err(failure) = run_to_the_end(options, &report) else { return ExitCode::SUCCESS };
    match &failure {
        Failure::Connect(error) => report.failure(&failure.to_string(), error.data()),
        Failure::Stopped(_) => {}
        _ => report.failure(&failure.to_string(), None),
    }
    ExitCode::from(failure.code())
}

fn run_to_the_end(options: &ConnectOptions, report: &Report) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(connect(options, report));
    // Somebody may be about to type a line, for which nothing waits any more.
    runtime.shutdown_background();
    outcome
}

/// However the talk ends, the server is told; a second signal does not wait for that.
async fn connect(options: &ConnectOptions, report: &Report) -> Result<(), Failure> {
    let mut signal = StopSignal::new()?;
    let client = builder(options).start()?;
    let outcome = tokio::select! {
        outcome = talk(&client, options, report) => outcome,
        stop = signal.next() => Err(Failure::Stopped(stop)),
    };
    tokio::select! {
        () = async { client.disconnect().await } => outcome,
        stop = signal.next() => Err(Failure::Stopped(stop)),
    }
}

async fn talk(client: &Client, options: &ConnectOptions, report: &Report) -> Result<(), Failure> {
    let connected = first_connection(client, options, report);
    if options.retry {
        connected.await?;
    } else {
        let limit = Duration::from_secs(options.timeout);
        tokio::time::timeout(limit, connected).await.unwrap_or(Err(Failure::Late(options.timeout)))?;
    }
    let mut watch = client.watch();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut asked, mut questions) = (JoinSet::new(), Questions::default());
    loop {
        tokio::select! {
            message = client.next() => match message {
                Some(message) => received(message, &mut questions, report),
                None => return ended(client),
            },
            Some(state) = watch.changed() => report.state(&state, client.last_disconnect().as_ref()),
            line = lines.next_line() => match line?.as_deref().map(Line::read) {
                None | Some(Ok(Line::Quit)) => break,
                Some(Ok(Line::Answer { number, arguments })) => answer(number, &arguments, &mut questions, report),
                Some(Ok(line)) => obey(line, client, &mut asked, report),
                Some(Err(why)) => report.problem(&why),
            },
            Some(_) = asked.join_next() => {}
        }
    }
    // What was asked is answered, or times out.
    while asked.join_next().await.is_some() {}
    Ok(())
}

fn builder(options: &ConnectOptions) -> ClientBuilder {
    let limit = Duration::from_secs(options.timeout);
    let mut builder = Client::builder(&options.url).path(&options.path).connect_timeout(limit).ack_timeout(limit);
    if let Some(namespace) = &options.namespace {
        builder = builder.namespace(namespace);
    }
    if let Some(auth) = &options.auth {
        builder = builder.auth(auth);
    }
    for (name, value) in &options.header {
        builder = builder.header(name, value);
    }
    if !options.transport.is_empty() {
        let transport = |way: &Way| match way {
            Way::Polling => Transport::Polling,
            Way::Websocket => Transport::Websocket,
        };
        builder = builder.transports(options.transport.iter().map(transport).collect::<Vec<_>>());
    }
    if options.msgpack {
        builder = builder.parser(Parser::Msgpack);
    }
    if options.eio3 {
        builder = builder.eio3(true);
    }
    if options.insecure {
        builder = builder.tls(Tls::new().danger_accept_any_certificate());
    }
    builder
}

/// Waits for the first connection; without `--retry` the first failure is the last.
async fn first_connection(client: &Client, options: &ConnectOptions, report: &Report) -> Result<(), Failure> {
    let (told, mut heard) = tokio::sync::mpsc::channel(16);
    client.on_connect_error(async move |_, error| {
        // Nobody listens any more once it is connected.
        let _ = told.try_send(error);
    });
    let mut watch = client.watch();
    loop {
        let failed = tokio::select! {
            _ = watch.until(State::is_connected) => break,
            error = heard.recv() => error,
        };
        let Some(error) = failed else { break };
        if !options.retry || !client.state().is_active() {
            return Err(Failure::Connect(error));
        }
        report.problem(&error.to_string());
    }
    report.state(&State::Connected, None);
    Ok(())
}

fn received(message: Message, questions: &mut Questions, report: &Report) {
    let (event, asks) = (message.event().to_owned(), message.wants_ack());
    match message.split::<Arguments>() {
        Ok((arguments, ack)) => {
            let number = asks.then(|| questions.push(ack));
            report.event(Kind::Event { number }, &event, &arguments);
        }
        Err(error) => report.problem(&format!("{event}: {error}")),
    }
}

/// Answers a question of the server.
fn answer(number: u64, arguments: &Arguments, questions: &mut Questions, report: &Report) {
    match questions.take(number).map(|ack| ack.send(arguments)) {
        Some(Ok(())) => {}
        Some(Err(error)) => report.problem(&error.to_string()),
        None => report.problem(&format!("there is no question #{number} (any more)")),
    }
}

/// Does what a line asks for.
fn obey(line: Line, client: &Client, asked: &mut JoinSet<()>, report: &Report) {
    match line {
        Line::Emit { event, arguments } => {
            if let Err(error) = client.emit(&event, arguments) {
                report.problem(&error.to_string());
            }
        }
        Line::Ask { event, arguments } => {
            let answer = client.emit_with_ack::<_, Arguments>(&event, arguments).send();
            let report = report.clone();
            asked.spawn(async move {
                match answer.await {
                    Ok(arguments) => report.event(Kind::Answer, &event, &arguments),
                    Err(error) => report.problem(&format!("{event}: {error}")),
                }
            });
        }
        Line::Help => report.help(),
        Line::Answer { .. } | Line::Nothing | Line::Quit => {}
    }
}

/// The end which nobody here asked for.
fn ended(client: &Client) -> Result<(), Failure> {
    match client.state() {
        State::Disconnected(Ending::Disconnected(reason)) => {
            Err(Failure::Disconnected(client.last_disconnect().unwrap_or_else(|| reason.into())))
        }
        State::Disconnected(Ending::Failed(error)) => Err(Failure::Connect(error)),
        _ => Ok(()),
    }
}

fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("it must be a JSON object, for example {\"token\":\"…\"}".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it must be NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
