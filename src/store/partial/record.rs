//! The side file of a partial: which pieces it holds, and who is at work with it.
//!
//! Nothing in it is believed: a piece counts when its bytes have the sum that stands here, so
//! that neither file needs to be synced while it grows, and any damage to either costs only the
//! pieces it hits. `docs/format.md` describes the lines.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, failpoint::failpoint, platform};

use super::super::Error;

/// No line that was written is longer, with its line feed.
const LINE: u64 = 512;

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// What is being downloaded.
    pub(super) digest: Digest,
    /// How long that is.
    pub(super) size: u64,
    /// How long a piece is, but for the last.
    pub(super) piece: u64,
    /// The session that downloads, or did.
    pub(super) session: String,
}

impl Header {
    fn is_about_the_same(&self, other: &Self) -> bool {
        (self.digest, self.size, self.piece) == (other.digest, other.size, other.piece)
    }
}

/// Returns the sum of each of `pieces` pieces that is on record at `path` for the same download
/// as `header`. What cannot be read is not on record.
pub(super) fn read(path: &Path, header: &Header, pieces: u64) -> BTreeMap<u64, u64> {
    let mut sums = BTreeMap::new();
    let Some((found, mut lines)) = open(path) else {
        return sums;
    };
    if !found.is_about_the_same(header) {
        return sums;
    }
    // Pieces that turned out bad may be there more than once, but not for ever.
    for _ in 0..pieces.saturating_mul(4) {
        let Some(line) = next_line(&mut lines) else {
            break;
        };
        if let Some((number, sum)) = parse(&line)
            && number < pieces
        {
            sums.insert(number, sum);
        }
    }
    sums
}

/// Returns the session that was last at work with the partial of the side file `path`.
pub(super) fn session(path: &Path) -> Option<String> {
    open(path).map(|(header, _)| header.session)
}

fn open(path: &Path) -> Option<(Header, BufReader<File>)> {
    let file = platform::open_to_read(path, false).ok()?;
    let mut lines = BufReader::new(file);
    let header = serde_json::from_slice(&next_line(&mut lines)?).ok()?;
    Some((header, lines))
}

/// Returns the next line if it is whole.
fn next_line(lines: &mut BufReader<File>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    lines.take(LINE).read_until(b'\n', &mut line).ok()?;
    (line.pop()? == b'\n').then_some(line)
}

fn parse(line: &[u8]) -> Option<(u64, u64)> {
    let (number, sum) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let is_whole = sum.len() == 16 && sum.bytes().all(|digit| digit.is_ascii_hexdigit());
    let sum = is_whole.then(|| u64::from_str_radix(sum, 16).ok())??;
    Some((number.parse().ok()?, sum))
}

/// Writes the side file `path` anew by way of `temporary`, and returns it to add pieces to.
pub(super) fn write(
    path: &Path,
    temporary: &Path,
    header: &Header,
    sums: &BTreeMap<u64, u64>,
) -> Result<File, Error> {
    let fill = |file: File| -> io::Result<File> {
        let mut writer = BufWriter::new(file);
        serde_json::to_writer(&mut writer, header)?;
        writer.write_all(b"\n")?;
        for (number, sum) in sums {
            writer.write_all(line(*number, *sum).as_bytes())?;
        }
        writer.into_inner().map_err(io::IntoInnerError::into_error)
    };
    let written = failpoint!("store.side.create", platform::open_private(temporary))
        .and_then(fill)
        .and_then(|file| {
            failpoint!("store.side.rename", fs::rename(temporary, path)).map(|()| file)
        });
    written.map_err(|error| {
        let _ = fs::remove_file(temporary); // The first failure is the one to tell.
        Error::io("write", path)(error)
    })
}

/// Returns the line that says that piece `number` is there.
pub(super) fn line(number: u64, sum: u64) -> String {
    format!("{number} {sum:016x}\n")
}
