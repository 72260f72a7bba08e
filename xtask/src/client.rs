//! `cargo xtask client`: our client against servers of several versions and projects, by every transport.

use crate::install;
use crate::shell::{self, Result};
use crate::workspace::Workspace;

/// `words`: a part of the names of servers, or nothing for all of them.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    let folder = workspace.root.join("conformance/client");
    install::npm_packages(workspace, &folder)?;
    let requirements = workspace.root.join("conformance/python/requirements.txt").display().to_string();
    let python = install::venv(workspace, "conformance", &["--requirement".into(), requirements])?;
    workspace.build()?;
    let program = workspace.program("sockeye-client-conformance");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut driver = install::node_command(workspace, &folder, &program.to_string_lossy(), &words)?;
    shell::run(driver.env("PYTHON", python))
}
