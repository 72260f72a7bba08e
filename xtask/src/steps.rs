//! `cargo xtask test`: everything that must hold before a change is taken, in the order of how soon it fails.

use std::time::{Duration, Instant};

use crate::shell::{self, Failure, Result};
use crate::workspace::Workspace;
use crate::{bench, client, conformance, demo, differential, install, interleavings, layers, soak, supply, types};

/// One part of the test: its name for `--only` and `--skip`, what it shows, and how.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace) -> Result,
}

const STEPS: [Step; 18] = [
    Step { name: "fmt", about: "the code is formatted", run: fmt },
    Step { name: "layers", about: "files and crates use only what is below them", run: layers::check },
    Step { name: "supply", about: "licences, sources and versions of what we build on", run: supply::check },
    Step { name: "package", about: "crates pack, and use nothing that was withdrawn", run: supply::package },
    Step { name: "web", about: "the page type-checks and builds", run: demo::build_page },
    Step { name: "clippy", about: "no lint is broken", run: clippy },
    Step { name: "build", about: "programs and tests build", run: Workspace::build },
    Step { name: "rust", about: "unit, integration and documentation tests", run: rust },
    Step { name: "doc", about: "the documentation builds without a warning", run: doc },
    Step {
        name: "conformance",
        about: "official clients and raw bytes against our server",
        run: |workspace| conformance::run(workspace, &[]),
    },
    Step {
        name: "proxies",
        about: "official clients behind proxies, configured as the documentation says",
        run: |workspace| conformance::proxies(workspace, &[]),
    },
    Step {
        name: "client",
        about: "our client against servers of several versions and projects",
        run: |workspace| client::run(workspace, &[]),
    },
    Step {
        name: "differential",
        about: "our codecs and the official ones agree on generated input",
        run: |workspace| differential::run(workspace, &[]),
    },
    Step { name: "types", about: "the events as TypeScript, as its compiler sees them", run: types::check },
    Step { name: "soak", about: "nothing is left of clients that misbehave", run: soak::smoke },
    Step {
        name: "interleavings",
        about: "the locks of the server, in many orders",
        run: |workspace| interleavings::run(workspace, &[]),
    },
    Step {
        name: "instructions",
        about: "no hot path costs more than the counts that were kept",
        run: |workspace| bench::instructions(workspace, &[]),
    },
    Step { name: "e2e", about: "the demo, WebTransport, and pages of other origins in a real browser", run: e2e },
];

/// `words`: `--only a,b`, `--skip a,b`, `--list`; nothing runs everything.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    if words.iter().any(|word| word == "--list") {
        for step in &STEPS {
            println!("{:<12} {}", step.name, step.about);
        }
        return Ok(());
    }
    let chosen = choose(words)?;
    let mut done: Vec<(&str, Duration)> = Vec::new();
    for (number, step) in chosen.iter().enumerate() {
        println!("\n── {}/{} {}: {}", number + 1, chosen.len(), step.name, step.about);
        let start = Instant::now();
        let result = (step.run)(workspace);
        done.push((step.name, start.elapsed()));
        if let Err(failure) = result {
            summary(&done, Some(step.name));
            let again = format!("run it again with: cargo xtask test --only {}", step.name);
            return Err(Failure::new(format!("step `{}` failed: {failure}\n{again}", step.name)));
        }
    }
    summary(&done, None);
    Ok(())
}

fn choose(words: &[String]) -> Result<Vec<&'static Step>> {
    let mut chosen: Vec<&Step> = STEPS.iter().collect();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let list = rest.next().ok_or_else(|| Failure::new(format!("`{word}` wants names of steps; see --list")))?;
        let names: Vec<&str> = list.split(',').collect();
        if let Some(unknown) = names.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
            return Err(Failure::new(format!("there is no step `{unknown}`; see --list")));
        }
        match word.as_str() {
            "--only" => chosen.retain(|step| names.contains(&step.name)),
            "--skip" => chosen.retain(|step| !names.contains(&step.name)),
            _ => return Err(Failure::new(format!("`{word}` is none of --only, --skip, --list"))),
        }
    }
    Ok(chosen)
}

fn summary(done: &[(&str, Duration)], failed: Option<&str>) {
    println!("\n── summary");
    for (name, time) in done {
        let verdict = if Some(*name) == failed { "FAILED" } else { "ok" };
        println!("{name:<12} {:>7.1} s  {verdict}", time.as_secs_f32());
    }
    let total: Duration = done.iter().map(|(_, time)| *time).sum();
    println!("{:<12} {:>7.1} s", "total", total.as_secs_f32());
}

fn fmt(workspace: &Workspace) -> Result {
    shell::run(&mut shell::cargo(&workspace.root, ["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result {
    let everything = ["clippy", "--workspace", "--all-targets", "--all-features", "--quiet", "--", "-D", "warnings"];
    shell::run(&mut shell::cargo(&workspace.root, everything))?;
    // And as most programs use it: what no feature asks for may not warn either.
    let plain = ["clippy", "--package", "sockeye", "--package", "sockeye-client", "--no-default-features", "--quiet"];
    shell::run(shell::cargo(&workspace.root, plain).args(["--", "-D", "warnings"]))
}

fn rust(workspace: &Workspace) -> Result {
    install::ip(workspace)?;
    shell::run(&mut shell::cargo(&workspace.root, ["test", "--workspace", "--all-features", "--quiet"]))
}

fn doc(workspace: &Workspace) -> Result {
    let mut cargo = shell::cargo(&workspace.root, ["doc", "--no-deps", "--workspace", "--all-features", "--quiet"]);
    shell::run(cargo.env("RUSTDOCFLAGS", "-D warnings"))
}

fn e2e(workspace: &Workspace) -> Result {
    let web = workspace.root.join("web");
    install::npm_packages(workspace, &web)?;
    let chromium = install::chromium(workspace)?;
    workspace.build()?;
    for script in ["e2e/demo.mjs", "e2e/webtransport.mjs", "e2e/cors.mjs"] {
        let mut test = install::node_command(workspace, &web, "node", &[script])?;
        test.env("SOCKEYE_BIN", workspace.program("sockeye")).env("CHROMIUM", &chromium);
        shell::run(test.env("SOCKEYE_CONFORMANCE_SERVER", workspace.program("sockeye-conformance")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &str) -> Result<Vec<&'static str>> {
        let words: Vec<String> = words.split_whitespace().map(String::from).collect();
        Ok(choose(&words)?.iter().map(|step| step.name).collect())
    }

    #[test]
    fn steps_are_chosen_by_name_and_keep_their_order() {
        assert_eq!(names("").map(|all| all.len()).ok(), Some(STEPS.len()));
        assert_eq!(names("--only rust,fmt").ok(), Some(vec!["fmt", "rust"]));
        assert!(names("--skip rust").is_ok_and(|rest| rest.len() == STEPS.len() - 1 && !rest.contains(&"rust")));
    }

    #[test]
    fn wrong_words_are_refused() {
        for wrong in ["--only", "--only nothing", "--never rust"] {
            assert!(names(wrong).is_err(), "{wrong}");
        }
    }
}
