//! Copies the built page to where it is embedded from; without one, a page that says how to build it.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let crate_folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets it"));
    let page = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets it")).join("page");
    let built = crate_folder.join("../../web/dist");
    let (source, watched) = if built.join("index.html").is_file() {
        (built.clone(), built)
    } else {
        // A path that does not exist would make Cargo run this script every time; its parent tells when it appears.
        (crate_folder.join("page"), crate_folder.join("../../web"))
    };
    println!("cargo:rerun-if-changed={}", watched.display());
    println!("cargo:rerun-if-changed=page");
    if page.exists() {
        fs::remove_dir_all(&page)?;
    }
    copy(&source, &page)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
