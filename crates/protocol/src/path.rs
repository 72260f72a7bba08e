//! Namespace paths.                                                                       [SIO5 "packet encoding"]

use std::fmt;

use smol_str::SmolStr;

use crate::ProtocolError;

/// Longest path, in bytes. A peer's paths are kept while it is connected, so they have a bound.
const MAX_LENGTH: usize = 1024;

/// A namespace's path: begins with `/`, holds no `,` and no `?`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacePath(SmolStr);

impl NamespacePath {
    /// The main namespace, `/`.
    pub const fn main() -> Self {
        Self(SmolStr::new_static("/"))
    }

    /// As the application writes it: a missing leading `/` is added, and the path ends at the first `,` or `?`, which
    /// the wire could not carry.
    pub fn new(path: &str) -> Self {
        let path = path.split([',', '?']).next().unwrap_or_default();
        match path {
            "" | "/" => Self::main(),
            _ if path.starts_with('/') => Self(SmolStr::new(path)),
            _ => Self(smol_str::format_smolstr!("/{path}")),
        }
    }

    /// As the peer wrote it. Old clients append a query (`/admin?token=1`), which is split off. An empty path is the
    /// main namespace.
    ///
    /// # Errors
    /// The path does not begin with `/`, holds a `,`, or is longer than 1,024 bytes.
    pub fn parse(path: &str) -> Result<(Self, Option<&str>), ProtocolError> {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        if path.is_empty() || path == "/" {
            return Ok((Self::main(), query));
        }
        if !path.starts_with('/') || path.contains(',') || path.len() > MAX_LENGTH {
            return Err(ProtocolError::InvalidNamespace);
        }
        Ok((Self(SmolStr::new(path)), query))
    }

    /// The path, `/` included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the main namespace, which the wire leaves out.
    pub fn is_main(&self) -> bool {
        self.0 == "/"
    }
}

impl Default for NamespacePath {
    fn default() -> Self {
        Self::main()
    }
}

impl fmt::Display for NamespacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NamespacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl From<&str> for NamespacePath {
    /// As [`NamespacePath::new`].
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_may_leave_out_the_slash() {
        assert_eq!(NamespacePath::new("admin").as_str(), "/admin");
        assert_eq!(NamespacePath::new("/admin").as_str(), "/admin");
        assert!(NamespacePath::new("").is_main());
        assert!(NamespacePath::new("/").is_main());
        assert_eq!(NamespacePath::new("/a,b").as_str(), "/a");
        assert!(NamespacePath::new("?x").is_main());
    }

    #[test]
    fn the_query_of_old_clients_is_split_off() {
        assert_eq!(NamespacePath::parse("/admin?token=1").unwrap(), (NamespacePath::new("admin"), Some("token=1")));
        assert_eq!(NamespacePath::parse("/?a").unwrap(), (NamespacePath::main(), Some("a")));
        assert_eq!(NamespacePath::parse("/x?").unwrap(), (NamespacePath::new("x"), Some("")));
        assert_eq!(NamespacePath::parse("/x").unwrap(), (NamespacePath::new("x"), None));
    }

    #[test]
    fn a_path_which_the_wire_cannot_carry_is_refused() {
        for path in ["admin", "/a,b", &format!("/{}", "x".repeat(1024))] {
            assert_eq!(NamespacePath::parse(path), Err(ProtocolError::InvalidNamespace), "{path}");
        }
    }
}
