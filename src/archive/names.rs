//! The names in one folder of the context.

use std::{
    borrow::Cow,
    fs::{self, Metadata},
    hash::{BuildHasher as _, RandomState},
    io,
    path::Path,
};

use super::error::Error;
use crate::platform;

/// The names in a folder, in byte order. They lie in one buffer: a folder may hold millions.
pub(super) struct Names {
    text: Vec<u8>,
    spans: Vec<Span>,
    /// What was seen of them, if it was looked at.
    seen: Vec<Option<io::Result<Metadata>>>,
}

struct Span {
    start: u32,
    length: u16,
    /// Whether it is told to be a folder. Some file systems do not tell.
    is_folder: bool,
}

impl Names {
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.spans.len()).filter_map(|position| self.get(position))
    }

    pub(super) fn get(&self, position: usize) -> Option<&[u8]> {
        Some(self.spans.get(position)?.of(&self.text))
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Tells whether the name at `position` was told to be that of a folder.
    pub(super) fn is_folder(&self, position: usize) -> bool {
        self.spans.get(position).is_some_and(|span| span.is_folder)
    }

    /// Returns what was seen when the folder was listed, if it was looked at; once.
    pub(super) fn seen(&mut self, position: usize) -> Option<io::Result<Metadata>> {
        self.seen.get_mut(position)?.take()
    }
}

impl Span {
    fn of<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.start as usize..][..usize::from(self.length)]
    }
}

/// Lists a folder in the byte order of names. If there are no more than `looked_at` of them each is
/// looked at, too.
pub(super) fn list(folder: &Path, looked_at: usize) -> Result<Names, Error> {
    let unreadable = |source| Error::read_file(folder, source);
    let mut text = Vec::new();
    let mut spans = Vec::new();
    let mut seen = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let name = platform::name_bytes(&name)
            .ok_or_else(|| Error::NameNotUnicode { path: entry.path() })?;
        let (Ok(start), Ok(length)) = (u32::try_from(text.len()), u16::try_from(name.len())) else {
            return Err(Error::TooManyFiles);
        };
        text.extend_from_slice(name);
        if spans.len() < looked_at {
            // By its folder, which is open: the way there is not gone again for each name.
            seen.push(entry.metadata());
        }
        spans.push(Span {
            start,
            length,
            is_folder: entry.file_type().is_ok_and(|kind| kind.is_dir()),
        });
    }
    if seen.len() < spans.len() {
        spans.sort_unstable_by(|a, b| a.of(&text).cmp(b.of(&text)));
        let seen = Vec::new();
        return Ok(Names { text, spans, seen });
    }
    let mut both: Vec<_> = spans.into_iter().zip(seen.into_iter().map(Some)).collect();
    both.sort_unstable_by(|(a, _), (b, _)| a.of(&text).cmp(b.of(&text)));
    let (spans, seen) = both.into_iter().unzip();
    Ok(Names { text, spans, seen })
}

/// Returns the path of `name` in `folder`, which is empty for the context itself.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        name.to_vec()
    } else {
        [folder, b"/", name].concat()
    }
}

/// Returns warnings of pairs of names, in `folder`, that are one name where the file system folds
/// case or normalises.
pub(super) fn clashes(names: &Names, folder: &[u8]) -> Vec<String> {
    let plain = |name: &[u8]| matches!(fold(name), Cow::Borrowed(_));
    if names.iter().all(plain) {
        return Vec::new();
    }
    let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let place = match folder {
        b"" => String::new(),
        folder => format!(" in `{}`", shown(folder)),
    };
    // Hashes, because a folder may hold millions; equal ones are looked at.
    let hash = RandomState::new();
    let mut hashes: Vec<(u64, u32)> = (0..)
        .zip(names.iter())
        .map(|(position, name)| (hash.hash_one(&*fold(name)), position))
        .collect();
    hashes.sort_unstable();
    let mut pairs = Vec::new();
    for alike in hashes.chunk_by(|a, b| a.0 == b.0) {
        if let [(_, first), (_, second), ..] = alike
            && let (Some(a), Some(b)) = (names.get(*first as usize), names.get(*second as usize))
            && fold(a) == fold(b)
        {
            pairs.push((*first, *second));
        }
    }
    pairs.sort_unstable_by_key(|(_, second)| *second);
    let name = |position: u32| names.get(position as usize).map(shown).unwrap_or_default();
    let told = pairs.into_iter().map(|(first, second)| {
        format!(
            "`{}` and `{}`{place} are one name on systems that fold case or accents",
            name(first),
            name(second)
        )
    });
    told.collect()
}

/// Returns the form in which names are one where case and accents are folded.
pub(super) fn fold(name: &[u8]) -> Cow<'_, [u8]> {
    use unicode_normalization::UnicodeNormalization;
    if name.is_ascii() {
        return if name.iter().any(u8::is_ascii_uppercase) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
    }
    let mut folded = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        // Upper case first: it turns `ß` into `SS`.
        let text = chunk.valid().to_uppercase().to_lowercase();
        folded.extend(text.nfkd().collect::<String>().as_bytes());
        // Nothing is known of other bytes.
        folded.extend_from_slice(chunk.invalid());
    }
    Cow::Owned(folded)
}

/// Paths that Windows cannot hold: how many, and the first few.
#[derive(Default)]
pub(super) struct Unfit {
    count: u64,
    first: Vec<String>,
}

impl Unfit {
    pub(super) fn add(&mut self, path: &[u8]) {
        self.count += 1;
        if self.first.len() < 3 {
            let path = String::from_utf8_lossy(path);
            self.first.push(format!("`{path}`"));
        }
    }

    /// Returns what is to be told; nothing on Windows, which holds what was found there.
    pub(super) fn into_warning(self) -> Option<String> {
        let examples = self.first.join(", ");
        match self.count {
            0 => None,
            _ if cfg!(windows) => None,
            1..=3 => Some(format!("{examples} cannot be unpacked on Windows")),
            count => Some(format!(
                "{examples} and {} more paths cannot be unpacked on Windows",
                count - 3
            )),
        }
    }
}
