//! `cargo xtask conformance`: official clients of several versions, and raw bytes, against our server.

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
    runner.env("PYTHON", python);
    if !words.iter().any(|word| word == "--reference") {
        workspace.build()?;
        runner.env("SOCKEYE_CONFORMANCE_SERVER", workspace.program("sockeye-conformance"));
    }
    shell::run(&mut runner)
}
