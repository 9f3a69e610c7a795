//! Content of blobs that is made or fetched while it is sent.

use std::{
    io::{self, Read, Write},
    sync::{Mutex, MutexGuard, PoisonError, mpsc::SyncSender},
};

use crate::registry::Supply;

/// What gives content from a byte on.
pub(super) type Content = Box<dyn Read + Send>;

/// Content that costs something to begin with: where one request ended the next goes on, and only
/// what begins elsewhere is opened anew.
pub(super) struct Flow<F> {
    open: F,
    /// What was being read, and the next byte that it gives.
    left: Mutex<Option<(u64, Content)>>,
}

impl<F: Fn(u64) -> io::Result<Content> + Send + Sync> Flow<F> {
    /// Returns the content that `open` gives from a byte on.
    pub(super) const fn new(open: F) -> Self {
        Self {
            open,
            left: Mutex::new(None),
        }
    }
}

impl<F> Flow<F> {
    fn left(&self) -> MutexGuard<'_, Option<(u64, Content)>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Fn(u64) -> io::Result<Content> + Send + Sync> Supply for Flow<F> {
    fn read_from(&self, offset: u64) -> io::Result<Box<dyn Read + '_>> {
        let left = self.left().take().filter(|(at, _)| *at == offset);
        let content = match left {
            Some((_, content)) => content,
            None => (self.open)(offset)?,
        };
        Ok(Box::new(Reading {
            flow: self,
            at: offset,
            content: Some(content),
        }))
    }
}

/// Content that is being read. It goes back to its flow.
struct Reading<'f, F> {
    flow: &'f Flow<F>,
    at: u64,
    content: Option<Content>,
}

impl<F> Read for Reading<'_, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(content) = &mut self.content else {
            return Ok(0);
        };
        match content.read(into) {
            Ok(read) => {
                self.at += read as u64;
                Ok(read)
            }
            Err(error) => {
                // Nobody knows where it is now.
                self.content = None;
                Err(error)
            }
        }
    }
}

impl<F> Drop for Reading<'_, F> {
    fn drop(&mut self) {
        if let Some(content) = self.content.take() {
            *self.flow.left() = Some((self.at, content));
        }
    }
}

/// Passes on what is written.
pub(super) struct Pieces(pub(super) SyncSender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            let sent = self.0.send(bytes.to_vec());
            sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_goes_on_where_it_was_left_and_is_opened_anew_elsewhere() {
        let opened = Mutex::new(Vec::new());
        let flow = Flow::new(|offset| {
            opened.lock().unwrap().push(offset);
            let rest = (0..100_u8).skip(usize::try_from(offset).unwrap());
            Ok(Box::new(io::Cursor::new(rest.collect::<Vec<_>>())) as Content)
        });
        for (offset, length) in [(0, 10_u8), (10, 30), (40, 20), (50, 10), (60, 40), (0, 5)] {
            let mut bytes = vec![0; usize::from(length)];
            let mut content = flow.read_from(offset).unwrap();
            content.read_exact(&mut bytes).unwrap();
            let begin = u8::try_from(offset).unwrap();
            assert_eq!(bytes, (begin..begin + length).collect::<Vec<_>>());
        }
        assert_eq!(*opened.lock().unwrap(), [0, 50, 0]);
    }
}
