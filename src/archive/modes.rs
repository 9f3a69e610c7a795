//! Which permission bits a file or folder gets in the archive.

use std::{collections::HashMap, fs, io::Read as _, path::Path};

use super::error::Error;
use crate::{
    glob::Pattern,
    platform::{self, FileStamp},
};

/// What the first bytes of a script are.
const SCRIPT: &[u8] = b"#!";

/// Decides on permission bits, and remembers which patterns were of use.
pub(super) struct Modes<'a> {
    keep: bool,
    executable: &'a [Pattern],
    is_used: Vec<bool>,
    /// Whether files on a device have an execute bit of their own.
    has_bit: HashMap<u64, bool>,
}

impl<'a> Modes<'a> {
    /// Bits stay as they are with `keep`; files that a pattern of `executable` covers can be
    /// executed whatever their own bits are.
    pub(super) fn new(keep: bool, executable: &'a [Pattern]) -> Self {
        Self {
            keep,
            executable,
            is_used: vec![false; executable.len()],
            has_bit: HashMap::new(),
        }
    }

    /// Returns the bits of a folder.
    pub(super) fn folder(&self, metadata: &fs::Metadata) -> u16 {
        bits(if self.keep {
            platform::mode(metadata)
        } else {
            0o755
        })
    }

    /// Returns the bits of the file `path`, which is at `on_disk`.
    pub(super) fn file(
        &mut self,
        path: &[u8],
        on_disk: &Path,
        metadata: &fs::Metadata,
    ) -> Result<u16, Error> {
        let mut chosen = false;
        for (pattern, is_used) in self.executable.iter().zip(&mut self.is_used) {
            if pattern.covers(path) {
                chosen = true;
                *is_used = true;
            }
        }
        let device = FileStamp::of(metadata).device;
        let has_bit = *self
            .has_bit
            .entry(device)
            .or_insert_with(|| platform::has_execute_bit(on_disk));
        let is_script = if has_bit || chosen || self.keep {
            None
        } else {
            Some(is_script(on_disk)?)
        };
        let mode = platform::mode(metadata);
        Ok(bits(decide(mode, self.keep, chosen, is_script)))
    }

    /// Returns a warning for each pattern that covers no file.
    pub(super) fn into_warnings(self) -> impl Iterator<Item = String> + use<'a> {
        let patterns = self.executable.iter().zip(self.is_used);
        patterns
            .filter(|(_, is_used)| !is_used)
            .map(|(pattern, _)| format!("--executable `{}` matches no file", pattern.as_str()))
    }
}

/// Returns the bits of a file that has `mode` on its file system; `is_script` where the file
/// system has no execute bits and the content says what there is to say.
fn decide(mode: u32, keep: bool, chosen: bool, is_script: Option<bool>) -> u32 {
    match (keep, chosen) {
        (true, false) => mode,
        // Who may read it may execute it, too.
        (true, true) => mode | 0o100 | (mode & 0o444) >> 2,
        (false, true) => 0o755,
        (false, false) if is_script.unwrap_or(mode & 0o100 != 0) => 0o755,
        (false, false) => 0o644,
    }
}

fn bits(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).expect("12 bits fit 16")
}

fn is_script(path: &Path) -> Result<bool, Error> {
    let mut start = Vec::new();
    platform::open_to_read(path, true)
        .and_then(|file| file.take(SCRIPT.len() as u64).read_to_end(&mut start))
        .map_err(|source| Error::read_file(path, source))?;
    Ok(start == SCRIPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_execute_bit_comes_from_the_owner_the_content_or_the_user() {
        const NO_BITS: u32 = 0o777; // As a mount without modes shows every file.
        for (mode, keep, chosen, is_script, expected) in [
            (0o600, false, false, None, 0o644),
            (0o700, false, false, None, 0o755),
            (0o655, false, false, None, 0o644),
            (0o4755, false, false, None, 0o755),
            (0o600, false, true, None, 0o755),
            (NO_BITS, false, false, Some(false), 0o644),
            (NO_BITS, false, false, Some(true), 0o755),
            (NO_BITS, false, true, None, 0o755),
            (0o644, false, false, Some(true), 0o755),
            (0o4751, true, false, None, 0o4751),
            (0o640, true, true, None, 0o750),
            (0o200, true, true, None, 0o300),
            (NO_BITS, true, false, None, NO_BITS),
        ] {
            let decided = decide(mode, keep, chosen, is_script);
            assert_eq!(decided, expected, "{mode:o} {keep} {chosen} {is_script:?}");
        }
    }

    #[test]
    fn a_script_is_known_by_its_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        for (content, expected) in [
            ("#!/bin/sh\n", true),
            ("#!", true),
            ("#", false),
            ("", false),
            (" #!", false),
            ("\u{feff}#!", false),
        ] {
            let path = folder.path().join("file");
            fs::write(&path, content).unwrap();
            assert_eq!(is_script(&path).unwrap(), expected, "{content:?}");
        }
        assert!(is_script(&folder.path().join("gone")).is_err());
    }

    #[test]
    fn where_files_have_no_execute_bit_their_content_decides() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let device = FileStamp::of(&metadata).device;
        for (has_bit, expected) in [(false, 0o755), (true, 0o644)] {
            let mut modes = Modes::new(false, &[]);
            modes.has_bit.insert(device, has_bit);
            assert_eq!(modes.file(b"run", &path, &metadata).unwrap(), expected);
        }
    }
}
