//! Where things are, and what Cargo knows about the packages.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::shell::{self, Failure, Result};

/// The checkout this program was built from.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Build products; follows `CARGO_TARGET_DIR`.
    pub(crate) target: PathBuf,
    /// The answer of `cargo metadata`.
    pub(crate) metadata: Value,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ lies in the root").to_path_buf();
        let answer = shell::output(&mut shell::cargo(&root, ["metadata", "--format-version", "1"]))?;
        let metadata: Value = serde_json::from_str(&answer)
            .map_err(|error| Failure::new(format!("the answer of `cargo metadata` is not JSON: {error}")))?;
        let target = metadata["target_directory"].as_str().map_or_else(|| root.join("target"), PathBuf::from);
        Ok(Self { root, target, metadata })
    }

    /// Every package of the dependency graph, ours included.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Value> {
        self.metadata["packages"].as_array().into_iter().flatten()
    }

    /// The packages of this workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Value> {
        self.packages().filter(|package| package["source"].is_null())
    }

    /// Builds every program and test with every feature, in the `dev` profile: once, for all steps of the test.
    ///
    /// # Errors
    /// Something does not compile.
    pub(crate) fn build(&self) -> Result {
        shell::run(&mut shell::cargo(&self.root, ["build", "--workspace", "--all-features", "--bins", "--tests"]))
    }

    /// A program that [`build`](Self::build) made.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// `path` as people write it: from the root, with slashes.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }
}
