//! Wire text with holes.

/// What stands for an id.
const HOLE: char = '…';

/// Compares `text` with `pattern`; each hole takes the letters, digits, `_` and `-` at its place, at least one. What the
/// holes took, or `None` if the text is another.
pub(crate) fn matches(pattern: &str, text: &str) -> Option<Vec<String>> {
    let mut taken = Vec::new();
    let mut pieces = pattern.split(HOLE);
    let mut rest = text.strip_prefix(pieces.next().unwrap_or_default())?;
    for piece in pieces {
        let end = rest.find(|c: char| !is_of_id(c)).unwrap_or(rest.len());
        let (id, behind) = rest.split_at(end);
        if id.is_empty() {
            return None;
        }
        taken.push(id.to_owned());
        rest = behind.strip_prefix(piece)?;
    }
    rest.is_empty().then_some(taken)
}

fn is_of_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn holes_take_ids() {
        assert_eq!(matches("40", "40"), Some(vec![]));
        assert_eq!(matches("40", "401"), None);
        assert_eq!(matches("40{\"sid\":\"…\"}", "40{\"sid\":\"aB-_9\"}"), Some(vec!["aB-_9".to_owned()]));
        assert_eq!(matches("40{\"sid\":\"…\"}", "40{\"sid\":\"\"}"), None, "a hole takes something");
        assert_eq!(matches("…,…", "a,b"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(matches("…", "a b"), None);
    }
}
