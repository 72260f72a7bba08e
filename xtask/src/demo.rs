//! `cargo xtask demo`: builds the page, then runs the server with the page inside.

use std::path::Path;
use std::time::SystemTime;

use crate::install::{self, modified};
use crate::shell::{self, Result};
use crate::workspace::Workspace;

/// Where the demo listens unless told otherwise; the default of `sockeye serve`.
const PORT: &str = "3000";
/// What the page is made of, in `web/`.
const SOURCES: [&str; 6] = ["index.html", "package-lock.json", "public", "src", "tsconfig.json", "vite.config.ts"];

/// `words` are passed to `sockeye serve`.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    // A page that is built anew has the binary around it built anew, which takes a minute.
    if !is_current(&workspace.root.join("web")) {
        build_page(workspace)?;
    }
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

/// Whether the page is newer than what it is made of.
fn is_current(web: &Path) -> bool {
    let built = modified(&web.join("dist/index.html"));
    built.is_some() && SOURCES.iter().all(|source| newest(&web.join(source)) <= built)
}

/// When something in `path` was changed last.
fn newest(path: &Path) -> Option<SystemTime> {
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten().filter_map(|entry| newest(&entry.path()));
    inside.chain(modified(path)).max()
}

fn port(words: &[String]) -> &str {
    let after = words.iter().zip(words.iter().skip(1)).find(|(flag, _)| *flag == "--port" || *flag == "-p");
    let joined = words.iter().find_map(|word| word.strip_prefix("--port="));
    after.map(|(_, value)| value.as_str()).or(joined).unwrap_or(PORT)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_page_is_built_anew_when_something_of_it_has_changed() -> std::io::Result<()> {
        let web = std::env::temp_dir().join(format!("sockeye-page-{}", std::process::id()));
        let (built, source) = (web.join("dist/index.html"), web.join("src/ui/chat.tsx"));
        fs::create_dir_all(web.join("src/ui"))?;
        fs::create_dir_all(web.join("dist"))?;
        fs::write(&source, "")?;
        assert!(!is_current(&web), "there is none");
        fs::write(&built, "")?;
        let later = modified(&source).expect("it is there") + Duration::from_secs(60);
        fs::File::options().write(true).open(&built)?.set_modified(later)?;
        assert!(is_current(&web));
        fs::File::options().write(true).open(&source)?.set_modified(later + Duration::from_secs(1))?;
        assert!(!is_current(&web), "a source is newer");
        fs::remove_dir_all(&web)
    }

    #[test]
    fn the_printed_port_is_the_asked_one() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(port(&[]), "3000");
        assert_eq!(port(&words("--host 0.0.0.0 --port 8080")), "8080");
        assert_eq!(port(&words("--port=8081")), "8081");
        assert_eq!(port(&words("-p 8082")), "8082");
    }
}
