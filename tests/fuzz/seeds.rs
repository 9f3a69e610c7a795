//! Writes the inputs to begin with: `seeds FOLDER TESTDATA` makes one folder a target in FOLDER,
//! from tables and from files in TESTDATA.

use std::{env, fs, io, path::PathBuf};

use modelkit_fuzz::invariants::{TARGETS, seeds};

fn main() -> io::Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, testdata] = arguments.as_slice() else {
        return Err(io::Error::other("usage: seeds FOLDER TESTDATA"));
    };
    for (target, _) in TARGETS {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        for seed in seeds::of(target)
            .into_iter()
            .chain(seeds::files(target, testdata))
        {
            fs::write(folder.join(seed.name), seed.content)?;
        }
    }
    Ok(())
}
