//! Writes the seeds of every target as files, for a fuzzer to begin with: `seeds FOLDER` makes `FOLDER/<target>/corpus`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use sockeye_fuzz_targets::TARGETS;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("where to?")?);
    for target in TARGETS {
        let corpus = folder.join(target.name).join("corpus");
        fs::create_dir_all(&corpus)?;
        for (number, seed) in target.seeds.iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
