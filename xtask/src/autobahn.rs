//! `cargo xtask autobahn`: the Autobahn test suite against both ends of our WebSocket layer.
//!
//! The suite is a Python 2.7 program. An interpreter is taken from `PATH` or from pyenv (which builds one if it must); its
//! packages go into the folder of build products, and so do the reports.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::shell::{self, Failure, Result};
use crate::workspace::Workspace;

/// The last versions that work together.
const PACKAGES: [&str; 4] = ["autobahntestsuite==0.8.2", "autobahn==0.10.9", "Twisted==19.10.0", "wsaccel==0.6.2"];
const PYTHON: &str = "2.7.18";
const AGENT: &str = "sockeye";
/// Verdicts that are no fault: "non-strict" is a later close than asked for, "informational" a measurement.
const GOOD: [&str; 3] = ["OK", "NON-STRICT", "INFORMATIONAL"];

/// `words`: the cases (`1.*`, `9.3.1`); all if there are none.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    let suite = Suite::install(workspace)?;
    shell::run(&mut shell::cargo(&workspace.root, ["build", "--release", "-p", "sockeye-autobahn"]))?;
    let cases: Vec<&str> = if words.is_empty() { vec!["*"] } else { words.iter().map(String::as_str).collect() };
    let server = suite.test_server(&cases)?;
    let client = suite.test_client(&cases)?;
    println!("\nserver: {server}\nclient: {client}\nreports: {}", suite.folder.display());
    if server.bad.is_empty() && client.bad.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("failed as server: {:?}\nfailed as client: {:?}", server.bad, client.bad)))
}

/// The installed suite, and our end.
struct Suite {
    python: PathBuf,
    /// Where its packages are.
    packages: PathBuf,
    /// Where its specifications and reports are.
    folder: PathBuf,
    program: PathBuf,
}

impl Suite {
    fn install(workspace: &Workspace) -> Result<Self> {
        let python = python(workspace)?;
        let packages = workspace.target.join("tools/autobahn");
        let (stamp, wanted) = (packages.join("installed"), PACKAGES.join("\n"));
        if fs::read_to_string(&stamp).ok().as_deref() != Some(wanted.as_str()) {
            let pip = ["-m", "pip", "install", "--user", "--quiet", "--disable-pip-version-check"];
            let mut command = shell::command(&workspace.root, &python.to_string_lossy(), pip);
            shell::run(command.args(PACKAGES).env("PYTHONUSERBASE", &packages))?;
            write(&stamp, &wanted)?;
        }
        let folder = workspace.target.join("autobahn");
        let program = workspace.target.join("release/sockeye-autobahn");
        Ok(Self { python, packages, folder, program })
    }

    /// The suite as client, ours as server.
    fn test_server(&self, cases: &[&str]) -> Result<Verdicts> {
        let mut ours = Command::new(&self.program);
        ours.args(["server", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut ours = Running::start(&mut ours)?;
        let mut line = String::new();
        let stdout = ours.0.stdout.take().ok_or_else(|| Failure::new("our server has no output"))?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| Failure::new(error.to_string()))?;
        let address = line.trim().rsplit(' ').next().unwrap_or_default();
        let reports = self.folder.join("server");
        let spec = json!({
            "outdir": reports,
            "servers": [{ "agent": AGENT, "url": format!("ws://{address}") }],
            "cases": cases, "exclude-cases": [], "exclude-agent-cases": {},
        });
        shell::run(&mut self.wstest("fuzzingclient", &spec)?)?;
        Verdicts::read(&reports)
    }

    /// The suite as server, ours as client.
    fn test_client(&self, cases: &[&str]) -> Result<Verdicts> {
        let address = free_address()?;
        let reports = self.folder.join("client");
        let spec = json!({
            "outdir": reports, "url": format!("ws://{address}"), "webport": 0,
            "cases": cases, "exclude-cases": [], "exclude-agent-cases": {},
        });
        let _suite = Running::start(&mut self.wstest("fuzzingserver", &spec)?)?;
        wait_for(&address)?;
        shell::run(Command::new(&self.program).args(["client", &address, AGENT]))?;
        Verdicts::read(&reports)
    }

    /// The suite with a specification; what it logs goes to a file beside.
    fn wstest(&self, mode: &str, spec: &Value) -> Result<Command> {
        fs::create_dir_all(&self.folder).map_err(|error| Failure::new(error.to_string()))?;
        let file = self.folder.join(format!("{mode}.json"));
        write(&file, &spec.to_string())?;
        let log = fs::File::create(self.folder.join(format!("{mode}.log")));
        let log = log.map_err(|error| Failure::new(error.to_string()))?;
        let mut command = Command::new(&self.python);
        let code = "import sys; from autobahntestsuite.wstest import run; sys.argv[0] = 'wstest'; run()";
        command.args(["-W", "ignore", "-c", code, "--webport", "0", "--mode", mode, "--spec"]).arg(file);
        command.current_dir(&self.folder).env("PYTHONUSERBASE", &self.packages).stdout(Stdio::null()).stderr(log);
        Ok(command)
    }
}

/// A program that ends with us.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.spawn().map(Self).map_err(|error| Failure::new(format!("`{program}` cannot be started: {error}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the suite found.
struct Verdicts {
    counts: BTreeMap<String, usize>,
    /// Cases that failed, each with its verdict on behaviour and on the end of the connection.
    bad: Vec<String>,
}

impl Verdicts {
    fn read(reports: &Path) -> Result<Self> {
        let index = reports.join("index.json");
        let text = fs::read_to_string(&index).map_err(|error| Failure::new(format!("no report: {error}")))?;
        let index = serde_json::from_str(&text).map_err(|error| Failure::new(format!("the report: {error}")))?;
        Self::judge(&index)
    }

    fn judge(index: &Value) -> Result<Self> {
        let cases = index[AGENT].as_object().filter(|cases| !cases.is_empty());
        let cases = cases.ok_or_else(|| Failure::new("the report names no case"))?;
        let mut verdicts = Self { counts: BTreeMap::new(), bad: Vec::new() };
        for (case, result) in cases {
            let behavior = result["behavior"].as_str().unwrap_or("none");
            let close = result["behaviorClose"].as_str().unwrap_or("none");
            *verdicts.counts.entry(behavior.to_owned()).or_default() += 1;
            if !GOOD.contains(&behavior) || !GOOD.contains(&close) {
                verdicts.bad.push(format!("{case}: {behavior}, closed {close}"));
            }
        }
        Ok(verdicts)
    }
}

impl std::fmt::Display for Verdicts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let total: usize = self.counts.values().sum();
        write!(f, "{} of {total} cases passed (", total - self.bad.len())?;
        let counts: Vec<String> = self.counts.iter().map(|(verdict, count)| format!("{verdict}: {count}")).collect();
        write!(f, "{})", counts.join(", "))
    }
}

/// Python 2.7 from `PATH`, or from pyenv.
fn python(workspace: &Workspace) -> Result<PathBuf> {
    let works = |python: &Path| {
        let pip = ["-m", "pip", "--version"];
        shell::output(&mut shell::command(&workspace.root, &python.to_string_lossy(), pip)).is_ok()
    };
    let plain = PathBuf::from("python2.7");
    if works(&plain) {
        return Ok(plain);
    }
    let hint = |_| Failure::new(format!("install Python 2.7 with pip, or pyenv, which can build {PYTHON}; then again"));
    let pyenv = |args: &[&str]| shell::command(&workspace.root, "pyenv", args);
    let prefix = || shell::output(&mut pyenv(&["prefix", PYTHON]));
    if prefix().is_err() {
        shell::run(&mut pyenv(&["install", "--skip-existing", PYTHON])).map_err(hint)?;
    }
    Ok(Path::new(prefix().map_err(hint)?.trim()).join("bin/python2.7"))
}

/// An address which nobody listens on at this moment; the suite cannot choose one itself.
fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.to_string()).map_err(|error| Failure::new(error.to_string()))
}

fn wait_for(address: &str) -> Result {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(Failure::new("the fuzzing server did not start; see its log beside the reports"))
}

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_counted_and_faults_named() {
        let index = json!({ "sockeye": {
            "1.1.1": { "behavior": "OK", "behaviorClose": "OK" },
            "6.4.1": { "behavior": "NON-STRICT", "behaviorClose": "OK" },
            "7.1.1": { "behavior": "OK", "behaviorClose": "FAILED" },
            "9.1.1": { "behavior": "FAILED", "behaviorClose": "OK" },
        }});
        let verdicts = Verdicts::judge(&index).expect("a report");
        assert_eq!(verdicts.bad, ["7.1.1: OK, closed FAILED", "9.1.1: FAILED, closed OK"]);
        assert_eq!(verdicts.to_string(), "2 of 4 cases passed (FAILED: 1, NON-STRICT: 1, OK: 2)");
    }

    #[test]
    fn a_report_without_cases_is_no_success() {
        assert!(Verdicts::judge(&json!({ "sockeye": {} })).is_err());
        assert!(Verdicts::judge(&json!({})).is_err());
    }
}
