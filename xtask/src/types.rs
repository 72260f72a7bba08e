//! The TypeScript made of a server's events: the compiler takes a client that is right, and no other.

use crate::install;
use crate::shell::{self, Result};
use crate::workspace::Workspace;

/// Generates, compiles and runs what lies in `conformance/types`.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let folder = workspace.root.join("conformance");
    install::npm_packages(workspace, &folder)?;
    workspace.build()?;
    let program = workspace.program("typed_events");
    let args = ["types/check.mjs", &program.to_string_lossy()];
    shell::run(&mut install::node_command(workspace, &folder, "node", &args)?)
}
