//! Patterns for the paths of namespaces: `/shop-{id}`, `/teams/{team}/rooms/{room}`.

use crate::error::ConfigError;

/// A path in which `{name}` stands for one or more characters other than `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The text before, between and after the holes.
    texts: Vec<String>,
}

impl Pattern {
    pub(crate) fn parse(pattern: &str) -> Result<Self, ConfigError> {
        let mut texts = vec![String::new()];
        let mut rest = pattern;
        if !pattern.starts_with('/') {
            texts[0].push('/');
        }
        while let Some((before, after)) = rest.split_once('{') {
            let wrong =
                || ConfigError::new(format!("the pattern {pattern:?} has an opening brace without a closing one"));
            let (_, after) = after.split_once('}').ok_or_else(wrong)?;
            texts.last_mut().expect("there is one from the start").push_str(before);
            texts.push(String::new());
            rest = after;
        }
        texts.last_mut().expect("there is one from the start").push_str(rest);
        if texts.len() > 2 && texts[1..texts.len() - 1].iter().any(String::is_empty) {
            return Err(ConfigError::new(format!("the pattern {pattern:?} has two holes with nothing between them")));
        }
        Ok(Self { texts })
    }

    /// Whether `path` fits; every hole takes as little as it can, the last one what is left.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let [first, others @ ..] = self.texts.as_slice() else { return false };
        let Some(mut rest) = path.strip_prefix(first.as_str()) else { return false };
        let Some((last, middle)) = others.split_last() else { return rest.is_empty() };
        for text in middle {
            // A hole takes at least one character.
            let Some(skip) = rest.chars().next().map(char::len_utf8) else { return false };
            let Some(at) = rest[skip..].find(text.as_str()) else { return false };
            if rest[..skip + at].contains('/') {
                return false;
            }
            rest = &rest[skip + at + text.len()..];
        }
        rest.strip_suffix(last.as_str()).is_some_and(|hole| !hole.is_empty() && !hole.contains('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn holes_take_one_segment_or_a_part_of_it() {
        assert!(matches("/shop-{id}", "/shop-42"));
        assert!(matches("shop-{id}", "/shop-42"));
        assert!(!matches("/shop-{id}", "/shop-"));
        assert!(!matches("/shop-{id}", "/shop-4/2"));
        assert!(!matches("/shop-{id}", "/workshop-42"));
        assert!(matches("/{team}/{room}", "/a/b"));
        assert!(!matches("/{team}/{room}", "/a/b/c"));
        assert!(matches("/{a}-{b}-x", "/1-2-x"));
        assert!(matches("/plain", "/plain"));
        assert!(!matches("/plain", "/plainer"));
        assert!(matches("/é{x}", "/éé"));
    }

    #[test]
    fn patterns_that_mean_nothing_are_refused() {
        assert!(Pattern::parse("/{a").is_err());
        assert!(Pattern::parse("/{a}{b}").is_err());
    }
}
