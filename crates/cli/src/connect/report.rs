//! What is shown.

use std::io::{IsTerminal, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sockeye_client::{Disconnect, State};

use super::value::Arguments;

/// What arguments belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Answer,
    /// `number`: the server waits for the answer to this question.
    Event {
        number: Option<u64>,
    },
}

/// Writes to the terminal, or for a script.
#[derive(Clone, Debug)]
pub(super) struct Report {
    json: bool,
    /// Of what arrives, and of what is about the connection.
    colour: bool,
    note_colour: bool,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        let wanted = !json && std::env::var_os("NO_COLOR").is_none();
        let colour = wanted && std::io::stdout().is_terminal();
        Self { json, colour, note_colour: wanted && std::io::stderr().is_terminal() }
    }

    /// An event has arrived, or the answer to one.
    pub(super) fn event(&self, kind: Kind, event: &str, arguments: &Arguments) {
        if self.json {
            let mut object = json!({ "time": now(), "kind": "event", "event": event, "args": arguments.0 });
            match kind {
                Kind::Answer => object["kind"] = "answer".into(),
                Kind::Event { number } => number.into_iter().for_each(|number| object["question"] = number.into()),
            }
            return line(&object.to_string());
        }
        let name = if event.contains(char::is_whitespace) { format!("{event:?}") } else { clean(event) };
        let (sign, number, colour) = match kind {
            Kind::Answer => ("=", String::new(), CYAN),
            Kind::Event { number: None } => ("<", String::new(), GREEN),
            Kind::Event { number: Some(number) } => ("<", format!(" #{number}"), YELLOW),
        };
        let (time, name) = (styled(self.colour, DIM, &clock()), styled(self.colour, colour, &(name + &number)));
        line(format!("{time} {sign} {name} {arguments}").trim_end());
    }

    /// How far the connection is, and what ended the last one.
    pub(super) fn state(&self, state: &State, last: Option<&Disconnect>) {
        // Later attempts fail for reasons of their own.
        let last = last.filter(|_| matches!(state, State::Waiting { attempt: 1, .. }));
        let (word, detail) = match state {
            State::Connected => ("connected", String::new()),
            State::Connecting => ("connecting", String::new()),
            State::Waiting { delay, .. } => ("waiting", format!(", next attempt in {:.1} s", delay.as_secs_f64())),
            _ => ("disconnected", String::new()),
        };
        if self.json {
            let mut object = json!({ "time": now(), "kind": "state", "state": word });
            if let Some(last) = last {
                object["lost"] = last.to_string().into();
            }
            return line(&object.to_string());
        }
        if let Some(last) = last {
            self.note(BLUE, &format!("* lost: {}", clean(&last.to_string())));
        }
        self.note(BLUE, &format!("* {word}{detail}"));
    }

    /// Something did not work, and the connection goes on.
    pub(super) fn problem(&self, problem: &str) {
        if self.json {
            return line(&json!({ "time": now(), "kind": "problem", "problem": problem }).to_string());
        }
        self.note(RED, &format!("! {}", clean(problem)));
    }

    /// Why it ends, and what the server added to a refusal.
    pub(super) fn failure(&self, problem: &str, data: Option<&Value>) {
        if self.json {
            let mut object = json!({ "time": now(), "kind": "failure", "failure": problem });
            if let Some(data) = data {
                object["data"] = data.clone();
            }
            return line(&object.to_string());
        }
        let data = data.map(|data| format!(" {data}")).unwrap_or_default();
        note(&format!("sockeye: {}", clean(&(problem.to_owned() + &data))));
    }

    /// What can be typed.
    pub(super) fn help(&self) {
        if !self.json {
            note(HELP);
        }
    }

    /// About the connection, on standard error.
    fn note(&self, colour: &str, text: &str) {
        let time = styled(self.note_colour, DIM, &clock());
        note(&format!("{time} {}", styled(self.note_colour, colour, text)));
    }
}

fn styled(colour: bool, style: &str, text: &str) -> String {
    if colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
}

/// What the server sends must not move the cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// What a script reads, and what arrives.
fn line(text: &str) {
    // A reader which has gone away is no reason to make noise.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// What is about the connection.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[expect(clippy::disallowed_methods, reason = "people are told when something came")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since 1970.
fn now() -> f64 {
    since_1970().as_secs_f64()
}

/// Time of day, UTC.
fn clock() -> String {
    let now = since_1970();
    let seconds = now.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, now.subsec_millis())
}

const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "1;32";
const YELLOW: &str = "1;33";
const BLUE: &str = "34";
const CYAN: &str = "1;36";

const HELP: &str = "  event arguments…    emit: arguments are JSON with spaces between; other text is one string
  ?event arguments…   emit and wait for the answer
  #number arguments…  answer a question of the server
  \"two words\" …       a name with spaces is a JSON string
  {\"base64\":\"…\"}      stands for bytes
  .quit               disconnect and end (or Ctrl-D)";
