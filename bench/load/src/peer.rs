//! The servers under comparison: what they can do, how they are built or installed, how they start.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::figures::Scale;

/// What a scenario may ask of a server beyond events over WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ability {
    /// Binary attachments.
    Binary,
    /// permessage-deflate.
    Deflate,
    /// HTTP long polling.
    Polling,
    /// Rooms.
    Rooms,
    /// The way from long polling to a WebSocket.
    Upgrade,
}

use Ability::{Binary, Deflate, Polling, Rooms, Upgrade};

/// Names in the order of the tables; the first is the one that the others are compared with.
pub(crate) const NAMES: [&str; 5] = ["sockeye", "socketioxide", "node", "python", "floor"];

/// A server ready to start.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// What is measured, for the reader: package, version, runtime.
    pub(crate) version: String,
    pub(crate) command: Vec<String>,
    pub(crate) abilities: &'static [Ability],
}

/// Where things are.
pub(crate) struct Places {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
}

impl Places {
    pub(crate) fn find() -> Result<Self, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).ok_or("the bench is not in its checkout")?.to_path_buf();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        Ok(Self { root, target })
    }

    /// Where results go: quick looks are not kept.
    pub(crate) fn results(&self, scale: Scale) -> PathBuf {
        match scale {
            Scale::Quick => self.target.join("bench"),
            Scale::Full => self.root.join("bench/results"),
        }
    }

    fn peers(&self, name: &str) -> PathBuf {
        self.root.join("bench/peers").join(name)
    }
}

/// Builds or installs a peer; an error says why it is absent.
pub(crate) fn prepare(name: &str, places: &Places) -> Result<Peer, String> {
    match name {
        "sockeye" => sockeye(places),
        "socketioxide" => socketioxide(places),
        "node" => node(places),
        "python" => python(places),
        "floor" => floor(places),
        other => Err(format!("there is no peer {other}; there are {}", NAMES.join(", "))),
    }
}

fn sockeye(places: &Places) -> Result<Peer, String> {
    run(cargo(&places.root, &places.target).args(["-p", "sockeye-bench-peer"]))?;
    let version = format!("sockeye {} ({})", env!("CARGO_PKG_VERSION"), commit(&places.root));
    let abilities = &[Binary, Deflate, Polling, Rooms, Upgrade];
    Ok(Peer { name: "sockeye", version, command: vec![release(&places.target, "sockeye-bench-peer")], abilities })
}

fn floor(places: &Places) -> Result<Peer, String> {
    run(cargo(&places.root, &places.target).args(["-p", "sockeye-bench-floor"]))?;
    let command = vec![release(&places.target, "sockeye-bench-floor")];
    Ok(Peer { name: "floor", version: "epoll, no protocol logic".into(), command, abilities: &[Polling] })
}

fn socketioxide(places: &Places) -> Result<Peer, String> {
    let here = places.peers("socketioxide");
    let target = places.target.join("bench-socketioxide");
    run(cargo(&here, &target).arg("--locked"))?;
    let lock = fs::read_to_string(here.join("Cargo.lock")).map_err(|error| error.to_string())?;
    let of = |package: &str| {
        let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
        lines.nth(1).and_then(|line| line.split('"').nth(1)).unwrap_or("?").to_owned()
    };
    let version = format!("socketioxide {}, axum {}, tokio {}", of("socketioxide"), of("axum"), of("tokio"));
    let command = vec![release(&target, "sockeye-bench-socketioxide")];
    Ok(Peer { name: "socketioxide", version, command, abilities: &[Binary, Polling, Rooms, Upgrade] })
}

fn node(places: &Places) -> Result<Peer, String> {
    let here = places.peers("node");
    if !here.join("node_modules/socket.io/package.json").exists() {
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&here))?;
    }
    let version = run(Command::new("node").arg("versions.cjs").current_dir(&here))?.trim().replace('\n', ", ");
    let command = vec!["node".into(), here.join("server.mjs").display().to_string()];
    Ok(Peer { name: "node", version, command, abilities: &[Binary, Deflate, Polling, Rooms, Upgrade] })
}

fn python(places: &Places) -> Result<Peer, String> {
    let here = places.peers("python");
    let venv = places.target.join("bench-python");
    let python = venv.join("bin/python").display().to_string();
    if !venv.join("installed").exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let requirements = here.join("requirements.txt");
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run(Command::new(&python).args(install).arg(requirements))?;
        fs::write(venv.join("installed"), "").map_err(|error| error.to_string())?;
    }
    let script = "import importlib.metadata as m, platform; \
                  print(*[f'{p} {m.version(p)}' for p in ('python-socketio', 'uvicorn', 'uvloop', 'websockets')], \
                  'CPython ' + platform.python_version(), sep=', ')";
    let version = run(Command::new(&python).args(["-c", script]))?.trim().into();
    let command = vec![python, here.join("server.py").display().to_string()];
    Ok(Peer { name: "python", version, command, abilities: &[Binary, Deflate, Polling, Rooms, Upgrade] })
}

/// The commit measured, marked when the checkout has changes.
pub(crate) fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| run(Command::new("git").args(arguments).current_dir(root)).unwrap_or_default();
    let commit = git(&["rev-parse", "--short=10", "HEAD"]);
    let changed = !git(&["status", "--porcelain", "--untracked-files=no", "crates", "bench/peers"]).trim().is_empty();
    match commit.trim() {
        "" => "no commit".into(),
        commit if changed => format!("{commit} and changes"),
        commit => commit.into(),
    }
}

fn cargo(directory: &Path, target: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--quiet", "--target-dir"]).arg(target).current_dir(directory);
    command
}

fn release(target: &Path, binary: &str) -> String {
    target.join("release").join(binary).display().to_string()
}

/// Runs a command to its end; the last lines of what it complains about are the error.
fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = complaint.lines().filter(|line| !line.trim().is_empty()).collect();
    Err(format!("{program} failed: {}", lines[lines.len().saturating_sub(3)..].join(" / ")))
}
