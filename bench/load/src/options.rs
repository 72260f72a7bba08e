//! The command line.

use std::path::PathBuf;

use crate::figures::Scale;
use crate::peer::NAMES;
use crate::process::Placement;
use crate::scenario::ALL;

const HELP: &str = "\
Measures Socket.IO servers side by side.

  --quick            a look in a few minutes: short, few clients, one round; not kept in bench/results
  --only a,b         these scenarios only
  --peers a,b        these peers only: sockeye, socketioxide, node, python, floor
  --rounds N         rounds, interleaved; default 3 of what has a target and 1 of the rest, with --quick 1
  --placement P      pinned (server and load on a core each), free (two workers, not pinned), both; default both
  --out DIR          where results go; default bench/results, with --quick target/bench
  --list             names of the scenarios
";

/// What is to be measured.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) scale: Scale,
    pub(crate) only: Vec<String>,
    pub(crate) peers: Vec<&'static str>,
    pub(crate) rounds: Rounds,
    pub(crate) placements: Vec<Placement>,
    pub(crate) out: Option<PathBuf>,
}

impl Options {
    /// `None`: help or a list was asked for, and printed.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            scale: Scale::Full,
            only: Vec::new(),
            peers: NAMES.to_vec(),
            rounds: Rounds { targets: 0, others: 0 },
            placements: vec![Placement::Pinned, Placement::Free],
            out: None,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => options.scale = Scale::Quick,
                "--only" => options.only = scenarios(&value()?)?,
                "--peers" => options.peers = peers(&value()?)?,
                "--rounds" => {
                    let rounds = rounds(&value()?)?;
                    options.rounds = Rounds { targets: rounds, others: rounds };
                }
                "--placement" => options.placements = placements(&value()?)?,
                "--out" => options.out = Some(value()?.into()),
                "--list" => {
                    for scenario in ALL {
                        println!("{:<14} {}", scenario.name, scenario.title);
                    }
                    return Ok(None);
                }
                "--help" | "-h" => {
                    print!("{HELP}");
                    return Ok(None);
                }
                other => return Err(format!("unknown argument {other}; see --help")),
            }
        }
        if options.rounds.targets == 0 {
            options.rounds = Rounds { targets: options.scale.pick(1, 3), others: 1 };
        }
        Ok(Some(options))
    }
}

/// How often things are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rounds {
    /// What must reach a target.
    pub(crate) targets: usize,
    /// Everything else.
    pub(crate) others: usize,
}

fn scenarios(list: &str) -> Result<Vec<String>, String> {
    let names: Vec<_> = list.split(',').map(str::to_owned).collect();
    match names.iter().find(|name| ALL.iter().all(|scenario| scenario.name != name.as_str())) {
        Some(name) => Err(format!("there is no scenario {name}; see --list")),
        None => Ok(names),
    }
}

fn peers(list: &str) -> Result<Vec<&'static str>, String> {
    let asked: Vec<_> = list.split(',').collect();
    match asked.iter().find(|name| !NAMES.contains(*name)) {
        Some(name) => Err(format!("there is no peer {name}; there are {}", NAMES.join(", "))),
        None => Ok(NAMES.into_iter().filter(|name| asked.contains(name)).collect()),
    }
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds @ 1..=100) => Ok(rounds),
        _ => Err(format!("rounds are 1 to 100, not {text}")),
    }
}

fn placements(text: &str) -> Result<Vec<Placement>, String> {
    match text {
        "pinned" => Ok(vec![Placement::Pinned]),
        "free" => Ok(vec![Placement::Free]),
        "both" => Ok(vec![Placement::Pinned, Placement::Free]),
        other => Err(format!("a placement is pinned, free or both, not {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn reads_a_command_line() {
        let options = parse("--quick --only echo-1,idle --peers node,sockeye --rounds 2 --placement free");
        let options = options.unwrap().expect("something to do");
        assert_eq!((options.scale, options.rounds), (Scale::Quick, Rounds { targets: 2, others: 2 }));
        assert_eq!(options.only, ["echo-1", "idle"]);
        assert_eq!(options.peers, ["sockeye", "node"]);
        assert_eq!(options.placements, [Placement::Free]);
        assert_eq!(parse("").unwrap().expect("all").rounds, Rounds { targets: 3, others: 1 });
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["--only nothing", "--peers nobody", "--rounds 0", "--rounds", "--placement here", "echo"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
