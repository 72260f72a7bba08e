//! `cargo xtask demo`: builds the page, then runs the server with the page inside.

use crate::install;
use crate::shell::{self, Result};
use crate::workspace::Workspace;

/// Where the demo listens unless told otherwise; the default of `sockeye serve`.
const PORT: &str = "3000";

/// `words` are passed to `sockeye serve`.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    build_page(workspace)?;
    shell::run(&mut shell::cargo(&workspace.root, ["build", "--release", "--package", "sockeye-cli"]))?;
    let program = workspace.target.join("release").join(format!("sockeye{}", std::env::consts::EXE_SUFFIX));
    println!("\nOpen http://localhost:{}/ in two windows. Ctrl-C stops the server.\n", port(words));
    shell::run(shell::command(&workspace.root, &program.to_string_lossy(), ["serve"]).args(words))
}

/// Packages, types and bundle of the page, into `web/dist`.
pub(crate) fn build_page(workspace: &Workspace) -> Result {
    let web = workspace.root.join("web");
    install::npm_packages(workspace, &web)?;
    shell::run(&mut install::node_command(workspace, &web, "npm", &["run", "--silent", "build"])?)
}

fn port(words: &[String]) -> &str {
    let after = words.iter().zip(words.iter().skip(1)).find(|(flag, _)| *flag == "--port" || *flag == "-p");
    let joined = words.iter().find_map(|word| word.strip_prefix("--port="));
    after.map(|(_, value)| value.as_str()).or(joined).unwrap_or(PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_port_is_the_asked_one() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(port(&[]), "3000");
        assert_eq!(port(&words("--host 0.0.0.0 --port 8080")), "8080");
        assert_eq!(port(&words("--port=8081")), "8081");
        assert_eq!(port(&words("-p 8082")), "8082");
    }
}
