//! What was asked for.

use std::str::FromStr;

use sockeye::BoxError;

/// Words of the command line: `--name value`.
pub(crate) struct Options(Vec<(String, String)>);

impl Options {
    /// `names`: those that there are.
    pub(crate) fn read(words: &[String], names: &[&str]) -> Result<Self, BoxError> {
        let mut options = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").filter(|name| names.contains(name));
            let name = name.ok_or_else(|| format!("there is no {word}; there are --{}", names.join(", --")))?;
            let value = words.next().ok_or_else(|| format!("{word} wants a value"))?;
            options.push((name.to_owned(), value.clone()));
        }
        Ok(Self(options))
    }

    pub(crate) fn get<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &self,
        name: &str,
        default: T,
    ) -> Result<T, BoxError> {
        match self.0.iter().find(|(given, _)| given == name) {
            Some((_, value)) => Ok(value.parse().map_err(|error| format!("--{name} {value}: {error}"))?),
            None => Ok(default),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Options, BoxError> {
        Options::read(&words.split_whitespace().map(String::from).collect::<Vec<_>>(), &["seed", "clients"])
    }

    #[test]
    fn options_are_numbers_with_names() {
        let options = read("--seed 7").unwrap();
        assert_eq!((options.get("seed", 1_u64).unwrap(), options.get("clients", 5_u64).unwrap()), (7, 5));
        assert!(read("--seed").is_err() && read("--speed 7").is_err());
        assert!(read("--seed x").unwrap().get("seed", 1_u64).is_err());
    }
}
