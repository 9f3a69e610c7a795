//! Layers that are put together while they are read, for who does not keep them.

use std::{
    collections::HashSet,
    io::{self, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use super::{
    Delta,
    stretch::{self, Stretch},
};
use crate::{
    oci::Descriptor,
    ops::{
        Error,
        toc::{GAP, coalesce},
    },
    toc::{PlacedChunk, Table},
};

/// How much is put together at a time. Three times as much is held at most: what is put together,
/// what waits and what is read.
const WINDOW: usize = 8 << 20;

/// A layer on its way, in order. What is read is not verified. Dropping it ends the work.
pub(in crate::ops) struct Patched {
    parts: Receiver<io::Result<Vec<u8>>>,
    current: Vec<u8>,
    taken: usize,
}

/// What makes a [`Patched`].
pub(in crate::ops) struct Patcher<'p, 'd> {
    delta: &'p Delta<'d>,
    blob: Descriptor,
    table: Table,
    parts: SyncSender<io::Result<Vec<u8>>>,
}

impl<'d> Delta<'d> {
    /// Returns a layer and what makes it, which is to be run on a thread of its own; `None` if the
    /// layer is not put together.
    pub(in crate::ops) fn read(
        &self,
        layer: &Descriptor,
    ) -> Result<Option<(Patched, Patcher<'_, 'd>)>, Error> {
        let Some((_, table)) = self.table(&layer.digest)? else {
            return Ok(None);
        };
        let (sender, parts) = sync_channel(1);
        let reading = Patched {
            parts,
            current: Vec::new(),
            taken: 0,
        };
        let patcher = Patcher {
            delta: self,
            blob: layer.clone(),
            table,
            parts: sender,
        };
        Ok(Some((reading, patcher)))
    }
}

impl Read for Patched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.current.len() {
            match self.parts.recv() {
                Ok(part) => (self.current, self.taken) = (part?, 0),
                Err(_) => return Ok(0),
            }
        }
        let left = &self.current[self.taken..];
        let read = into.len().min(left.len());
        into[..read].copy_from_slice(&left[..read]);
        self.taken += read;
        Ok(read)
    }
}

/// A part of the layer that is put together at once.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
    chunks: Vec<PlacedChunk>,
    untold: Vec<(u64, u64)>,
}

impl Patcher<'_, '_> {
    /// Puts the layer together, as far as somebody reads it, and returns how many bytes of it did not
    /// have to come.
    pub(in crate::ops) fn run(self) -> u64 {
        let mut reused = 0;
        let mut window = Window::default();
        let done = stretch::each(&self.table, |offset, stretch| {
            let length = usize::try_from(stretch.length()).unwrap_or(usize::MAX);
            if !window.bytes.is_empty() && window.bytes.len().saturating_add(length) > WINDOW {
                let full = std::mem::take(&mut window);
                window.start = offset;
                if !self.give(full, &mut reused)? {
                    return Ok(false);
                }
            }
            match stretch {
                Stretch::Made(bytes) => {
                    window.bytes.extend_from_slice(bytes);
                    reused += bytes.len() as u64;
                }
                Stretch::Untold(length) => {
                    return self.untold(offset, length, &mut window, &mut reused);
                }
                Stretch::Chunk(placed) => {
                    window.chunks.push(placed);
                    window.bytes.resize(window.bytes.len() + length, 0);
                }
            }
            Ok::<_, Error>(true)
        });
        let done = done.and_then(|()| self.give(window, &mut reused));
        if let Err(error) = done {
            let error = match error {
                Error::Registry(error) => io::Error::other(error),
                error => io::Error::other(error),
            };
            let _ = self.parts.send(Err(error)); // Whoever read may be gone.
        }
        reused
    }

    /// Adds bytes that only the layer can tell, in as many windows as it takes.
    fn untold(
        &self,
        offset: u64,
        length: u64,
        window: &mut Window,
        reused: &mut u64,
    ) -> Result<bool, Error> {
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let room = WINDOW.saturating_sub(window.bytes.len()) as u64;
            if room == 0 {
                let full = std::mem::take(window);
                window.start = at;
                if !self.give(full, reused)? {
                    return Ok(false);
                }
                continue;
            }
            let now = room.min(end - at);
            window.untold.push((at, now));
            let now = usize::try_from(now).expect("no more than a window");
            window.bytes.resize(window.bytes.len() + now, 0);
            at += now as u64;
        }
        Ok(true)
    }

    /// Puts a window together and passes it on. Returns false if nobody wants it any more.
    fn give(&self, mut window: Window, reused: &mut u64) -> Result<bool, Error> {
        if window.bytes.is_empty() {
            return Ok(true);
        }
        let (start, far) = (window.start, self.delta.far);
        let place = |offset: u64| usize::try_from(offset - start).expect("it lies in the window");
        let mut reader = self.delta.sources.reader();
        let mut wanted = Vec::new();
        for placed in &window.chunks {
            let seen = self.delta.index.seen(&placed.chunk.hash);
            match seen.and_then(|seen| reader.read(&placed.chunk, seen)) {
                Some(content) => {
                    window.bytes[place(placed.offset)..][..content.len()].copy_from_slice(content);
                    *reused += content.len() as u64;
                }
                None => wanted.push(*placed),
            }
        }
        let mut came = HashSet::new();
        if !wanted.is_empty() {
            let bytes = &mut window.bytes;
            far.parts.chunks(
                far.repository,
                &self.blob,
                &wanted,
                &mut |placed, content| {
                    bytes[place(placed.offset)..][..content.len()].copy_from_slice(content);
                    came.insert(placed.offset);
                    Ok(())
                },
            )?;
        }
        // What is not as the table says may be as the digest of the layer says.
        wanted.retain(|placed| !came.contains(&placed.offset));
        let plain = wanted
            .iter()
            .map(|placed| placed.offset..placed.offset + u64::from(placed.chunk.length));
        let untold = window.untold.iter().map(|(at, length)| *at..*at + *length);
        let mut plain: Vec<_> = plain.chain(untold).collect();
        plain.sort_unstable_by_key(|it| it.start);
        if !plain.is_empty() {
            let end = start + window.bytes.len() as u64;
            let bytes = &mut window.bytes;
            let ranges = coalesce(plain.clone(), GAP);
            far.parts.fetch(
                far.repository,
                &self.blob,
                ranges,
                &mut |offset, content| {
                    let until = (offset + content.len() as u64).min(end);
                    let after = plain.partition_point(|it| it.end <= offset);
                    for part in plain[after..].iter().take_while(|it| it.start < until) {
                        let both = part.start.max(offset)..part.end.min(until);
                        let from = usize::try_from(both.start - offset).expect("it came");
                        let length = usize::try_from(both.end - both.start).expect("it came");
                        bytes[place(both.start)..][..length]
                            .copy_from_slice(&content[from..][..length]);
                    }
                    Ok(())
                },
            )?;
        }
        Ok(self.parts.send(Ok(window.bytes)).is_ok())
    }
}
