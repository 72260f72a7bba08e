//! The servers, each a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use sockeye_client::BoxError;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A server that the client is tested against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Js2,
    Js3,
    Js4,
    Js4Msgpack,
    Ours,
    OursMsgpack,
    OursV3,
    Oxide,
    OxideMsgpack,
    Python,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Js2,
        Self::Js3,
        Self::Js4,
        Self::Js4Msgpack,
        Self::Ours,
        Self::OursMsgpack,
        Self::OursV3,
        Self::Oxide,
        Self::OxideMsgpack,
        Self::Python,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Js2 => "js-2.5",
            Self::Js3 => "js-3.1",
            Self::Js4 => "js-4.8",
            Self::Js4Msgpack => "js-4.8-msgpack",
            Self::Ours => "sockeye",
            Self::OursMsgpack => "sockeye-msgpack",
            Self::OursV3 => "sockeye-eio3",
            Self::Oxide => "socketioxide",
            Self::OxideMsgpack => "socketioxide-msgpack",
            Self::Python => "python-socketio",
        }
    }

    pub(crate) fn is_msgpack(self) -> bool {
        matches!(self, Self::Js4Msgpack | Self::OursMsgpack | Self::OxideMsgpack)
    }

    /// Whether it is spoken to in the protocol of Socket.IO 2.x.
    pub(crate) fn is_old(self) -> bool {
        matches!(self, Self::Js2 | Self::OursV3)
    }

    pub(crate) fn is_oxide(self) -> bool {
        matches!(self, Self::Oxide | Self::OxideMsgpack)
    }

    /// Whether it recovers the state of lost connections.
    pub(crate) fn recovers(self) -> bool {
        matches!(self, Self::Js4 | Self::Ours)
    }

    fn command(self) -> Result<Command, BoxError> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no folder")?;
        let script = |program: &str, words: &[&str]| {
            let mut command = Command::new(program);
            command.current_dir(folder).args(words);
            command
        };
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        Ok(match self {
            Self::Js2 => script("node", &["servers/js.mjs", "socket.io-2"]),
            Self::Js3 => script("node", &["servers/js.mjs", "socket.io-3"]),
            Self::Js4 => script("node", &["servers/js.mjs", "socket.io"]),
            Self::Js4Msgpack => script("node", &["servers/js.mjs", "socket.io", "msgpack"]),
            Self::Ours | Self::OursV3 => Command::new(neighbour("sockeye-client-conformance-server")?),
            Self::OursMsgpack => {
                let mut command = Command::new(neighbour("sockeye-client-conformance-server")?);
                command.arg("msgpack");
                command
            }
            Self::Oxide | Self::OxideMsgpack => {
                let mut command = Command::new(oxide_folder()?.join("debug/sockeye-client-conformance-oxide"));
                command.args(self.is_msgpack().then_some("msgpack"));
                command
            }
            Self::Python => script(&python, &["servers/python.py"]),
        })
    }
}

/// A program which was built with this one.
fn neighbour(name: &str) -> Result<PathBuf, BoxError> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// Where the server of socketioxide is built, whose dependencies are no part of the workspace.
fn oxide_folder() -> Result<PathBuf, BoxError> {
    neighbour("oxide")
}

/// Builds what is not built with this program.
pub(crate) async fn prepare(kinds: &[Kind]) -> Result<(), BoxError> {
    if !kinds.iter().any(|kind| kind.is_oxide()) {
        return Ok(());
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("oxide").join("Cargo.toml");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--locked", "--quiet", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(oxide_folder()?);
    if cargo.status().await?.success() { Ok(()) } else { Err("socketioxide was not built".into()) }
}

/// A running server. It ends with this.
pub(crate) struct Process {
    /// Held for being killed when it is dropped.
    child: Child,
    pub(crate) port: u16,
}

impl Process {
    pub(crate) async fn start(kind: Kind) -> Result<Self, BoxError> {
        Self::start_on(kind, 0).await
    }

    /// Starts a server at a port, or at any with 0.
    pub(crate) async fn start_on(kind: Kind, port: u16) -> Result<Self, BoxError> {
        let mut command = kind.command()?;
        command.env("PORT", port.to_string()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("it does not start: {error}"))?;
        let output = child.stdout.take().ok_or("no output")?;
        let line = BufReader::new(output).lines().next_line().await?.ok_or("it ended at once")?;
        let port = line.parse().map_err(|_| format!("it said {line:?} instead of its port"))?;
        Ok(Self { child, port })
    }

    /// Ends it, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<(), BoxError> {
        self.child.kill().await?;
        Ok(())
    }
}
