//! What a comparison finds.

use std::collections::BTreeMap;

/// Where ours is stricter on purpose: the name of the difference, and how often it was met.
pub(crate) type Stricter = BTreeMap<String, usize>;

/// A case that differs, as a person wants to read it.
pub(crate) type Difference = String;
