//! The JavaScript side: a process that answers line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::found::Difference;
use crate::tree::sorted;

/// The official parsers.
pub(crate) struct Judge {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Judge {
    pub(crate) fn start() -> Result<Self, Difference> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("judge.mjs");
        let mut node = Command::new("node");
        node.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = node.spawn().map_err(|error| format!("node cannot be started: {error}"))?;
        let output = child.stdout.take().ok_or("node has no output")?;
        Ok(Self { input: child.stdin.take(), output: BufReader::new(output), child })
    }

    /// What messages of an Engine.IO body are: type and data each.
    pub(crate) fn engine_decode(&mut self, body: &str) -> Result<Vec<Value>, Difference> {
        list(self.ask(&json!({ "chore": "engineDecode", "body": body }))?)
    }

    pub(crate) fn engine_encode(&mut self, messages: &[Value]) -> Result<String, Difference> {
        let body = self.ask(&json!({ "chore": "engineEncode", "messages": messages }))?;
        Ok(body.as_str().ok_or("no body")?.to_owned())
    }

    /// What packets a body of revision 3 holds, up to the first error.
    pub(crate) fn engine_decode_v3(&mut self, body: &Value) -> Result<Vec<Value>, Difference> {
        list(self.ask(&json!({ "chore": "engineDecode3", "body": body }))?)
    }

    /// The body of revision 3, in the form of a message.
    pub(crate) fn engine_encode_v3(&mut self, messages: &[Value], supports_binary: bool) -> Result<Value, Difference> {
        self.ask(&json!({ "chore": "engineEncode3", "messages": messages, "supportsBinary": supports_binary }))
    }

    /// What each message of a Socket.IO connection completes.
    pub(crate) fn socket_decode(&mut self, parser: &str, messages: &[Value]) -> Result<Vec<Value>, Difference> {
        list(self.ask(&json!({ "chore": "socketDecode", "parser": parser, "messages": messages }))?)
    }

    pub(crate) fn socket_encode(&mut self, parser: &str, packet: &Value) -> Result<Vec<Value>, Difference> {
        list(self.ask(&json!({ "chore": "socketEncode", "parser": parser, "packet": packet }))?)
    }

    fn ask(&mut self, question: &Value) -> Result<Value, Difference> {
        let input = self.input.as_mut().ok_or("node has no input")?;
        writeln!(input, "{question}").map_err(|error| format!("node does not listen: {error}"))?;
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| format!("node does not answer: {error}"))?;
        // Values are nested as deep as ours takes them, and deeper.
        let mut reader = serde_json::Deserializer::from_str(&line);
        reader.disable_recursion_limit();
        let mut answer = Value::deserialize(&mut reader).map_err(|error| format!("{question}: {error}: {line:?}"))?;
        Ok(answer["answer"].take())
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // Without input it ends by itself.
        self.input = None;
        let _ = self.child.wait();
    }
}

fn list(answer: Value) -> Result<Vec<Value>, Difference> {
    match answer {
        Value::Array(items) => Ok(items.into_iter().map(comparable).collect()),
        other => Err(format!("not a list: {other}")),
    }
}

/// The same answer with the keys of the values in it in order.
fn comparable(answer: Value) -> Value {
    match answer {
        Value::Object(mut packet) if packet.contains_key("data") => {
            let data = packet.remove("data").map(sorted);
            packet.insert("data".to_owned(), data.unwrap_or_default());
            Value::Object(packet)
        }
        other => other,
    }
}
