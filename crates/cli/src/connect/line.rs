//! What a person types.

use serde_json::Value;

use super::value::Arguments;

/// A line, understood.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// `#number arguments…`: answers a question of the server.
    Answer {
        number: u64,
        arguments: Arguments,
    },
    /// `?event arguments…`: emit, and wait for the answer.
    Ask {
        event: String,
        arguments: Arguments,
    },
    /// `event arguments…`
    Emit {
        event: String,
        arguments: Arguments,
    },
    /// `.help`
    Help,
    Nothing,
    /// `.quit`
    Quit,
}

impl Line {
    /// Reads a line: an event's name, plain or as a JSON string, and its arguments as JSON with spaces between them. What
    /// is no JSON is taken as one string, unless it begins like an object, a list or a string: that is a slip.
    pub(super) fn read(line: &str) -> Result<Self, String> {
        let line = line.trim();
        match line {
            "" => return Ok(Self::Nothing),
            ".help" => return Ok(Self::Help),
            ".quit" | ".exit" => return Ok(Self::Quit),
            _ if line.starts_with('.') => return Err(format!("unknown command {line:?}; .help shows all")),
            _ => {}
        }
        if let Some(rest) = line.strip_prefix('#') {
            let (number, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let number = number.parse().map_err(|_| "an answer begins with # and the number of the question")?;
            return Ok(Self::Answer { number, arguments: arguments(rest)? });
        }
        let (asks, rest) = line.strip_prefix('?').map_or((false, line), |rest| (true, rest.trim_start()));
        let (event, rest) = name(rest)?;
        let arguments = arguments(rest)?;
        Ok(if asks { Self::Ask { event, arguments } } else { Self::Emit { event, arguments } })
    }
}

/// The event's name, and what follows it.
fn name(text: &str) -> Result<(String, &str), String> {
    if text.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let name = values.next().and_then(Result::ok).ok_or("the name of the event is no JSON string")?;
        let end = values.byte_offset();
        return Ok((name, text.get(end..).unwrap_or_default()));
    }
    match text.split_once(char::is_whitespace) {
        Some((name, rest)) => Ok((name.to_owned(), rest)),
        None if text.is_empty() => Err("an event needs a name".to_owned()),
        None => Ok((text.to_owned(), "")),
    }
}

fn arguments(text: &str) -> Result<Arguments, String> {
    let text = text.trim();
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    match values {
        Ok(values) => Ok(Arguments(values)),
        Err(error) if text.starts_with(['{', '[', '"']) => Err(format!("the arguments are no JSON: {error}")),
        Err(_) => Ok(Arguments(vec![text.into()])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn emit(event: &str, arguments: Vec<Value>) -> Line {
        Line::Emit { event: event.to_owned(), arguments: Arguments(arguments) }
    }

    #[test]
    fn lines_are_understood() {
        assert_eq!(Line::read("ping").unwrap(), emit("ping", vec![]));
        assert_eq!(
            Line::read(" move 1 -2.5 {\"a\":[]} ").unwrap(),
            emit("move", vec![json!(1), json!(-2.5), json!({"a":[]})])
        );
        assert_eq!(Line::read("\"chat message\" \"hi\"").unwrap(), emit("chat message", vec![json!("hi")]));
        assert_eq!(Line::read("chat hello there").unwrap(), emit("chat", vec![json!("hello there")]));
        let ask = Line::Ask { event: "sum".to_owned(), arguments: Arguments(vec![json!(1), json!(2)]) };
        assert_eq!(Line::read("? sum 1 2").unwrap(), ask);
        let answer = |number, values| Line::Answer { number, arguments: Arguments(values) };
        assert_eq!(Line::read("#7 true 1").unwrap(), answer(7, vec![json!(true), json!(1)]));
        assert_eq!(Line::read("#8").unwrap(), answer(8, vec![]));
        assert_eq!(
            (Line::read(""), Line::read(".quit"), Line::read(".help")),
            (Ok(Line::Nothing), Ok(Line::Quit), Ok(Line::Help))
        );
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for line in ["?", ".what", "\"open", "\"open 1", "#", "#x 1", "#-1", "bad {json", "?bad [1", "#1 \"open"] {
            assert!(Line::read(line).is_err(), "{line}");
        }
    }
}
