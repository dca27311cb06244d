//! Writes what a corpus begins with, where the engine makes it: a folder for each target in the folder that is named. What
//! is worth keeping of it the fuzzer tells (`MERGE=1 fuzz/run.sh`).

use std::path::PathBuf;
use tandem_fuzz::seeds::seeds;

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("seeds"), PathBuf::from);
    for (target, name, bytes) in seeds() {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
