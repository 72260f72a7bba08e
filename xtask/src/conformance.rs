//! `cargo xtask conformance`: official clients of several versions, and raw bytes, against our server.

use std::path::PathBuf;

use crate::install;
use crate::shell::{self, Result};
use crate::workspace::Workspace;

/// `words` go to the runner: a filter on test names, or `--reference` to test the official server instead of ours.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    let folder = workspace.root.join("conformance");
    install::npm_packages(workspace, &folder)?;
    let python = install::venv(
        workspace,
        "conformance",
        &["--requirement".into(), folder.join("python/requirements.txt").display().to_string()],
    )?;
    let mut args = vec!["run.mjs"];
    args.extend(words.iter().map(String::as_str));
    let mut runner = install::node_command(workspace, &folder, "node", &args)?;
    runner.env("PYTHON", python).env("SOCKEYE_RUST_CLIENT", rust_client(workspace)?);
    if !words.iter().any(|word| word == "--reference") {
        workspace.build()?;
        runner.env("SOCKEYE_CONFORMANCE_SERVER", workspace.program("sockeye-conformance"));
    }
    shell::run(&mut runner)
}

/// The official client behind proxies; `words` as in [`run`].
pub(crate) fn proxies(workspace: &Workspace, words: &[String]) -> Result {
    let folder = workspace.root.join("conformance");
    install::npm_packages(workspace, &folder)?;
    install::proxies(workspace)?;
    workspace.build()?;
    let args: Vec<&str> = ["run.mjs", "--proxies"].into_iter().chain(words.iter().map(String::as_str)).collect();
    let mut runner = install::node_command(workspace, &folder, "node", &args)?;
    shell::run(runner.env("SOCKEYE_CONFORMANCE_SERVER", workspace.program("sockeye-conformance")))
}

/// The client of another Rust crate, whose dependencies are no part of the workspace.
fn rust_client(workspace: &Workspace) -> Result<PathBuf> {
    install::openssl(workspace)?;
    let target = workspace.target.join("tools/rust-client");
    let mut cargo = shell::cargo(&workspace.root.join("conformance/rust"), ["build", "--locked", "--quiet"]);
    shell::run(cargo.arg("--target-dir").arg(&target))?;
    Ok(target.join("debug/sockeye-conformance-rust"))
}
