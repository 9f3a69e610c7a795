//! Bytes that come a few at a time.

use bytes::{Bytes, BytesMut};

use super::End;

/// No less is passed on at a time, but at the end: each piece costs some memory and time of its own,
/// and whoever sends decides how many there are.
const LEAST_PIECE: usize = 4 << 10;

/// Collects what is too little to be passed on.
#[derive(Default)]
pub(super) struct Crumbs(BytesMut);

impl Crumbs {
    /// Adds what came next of an answer. Returns what is to be passed on, and how the answer ended,
    /// if it did.
    pub(super) fn add(
        &mut self,
        next: Result<Option<Bytes>, End>,
    ) -> (Option<Bytes>, Option<Result<(), End>>) {
        let ended = match next {
            Ok(Some(bytes)) if self.0.is_empty() && bytes.len() >= LEAST_PIECE => {
                return (Some(bytes), None);
            }
            Ok(Some(bytes)) => {
                self.0.extend_from_slice(&bytes);
                if self.0.len() < LEAST_PIECE {
                    return (None, None);
                }
                None
            }
            Ok(None) => Some(Ok(())),
            Err(end) => Some(Err(end)),
        };
        let held = self.0.split().freeze();
        ((!held.is_empty()).then_some(held), ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_collected_and_nothing_is_lost_however_it_ends() {
        for ends_well in [true, false] {
            let mut crumbs = Crumbs::default();
            let lengths = [1, 5000, 1, 4000, 94, 1, 9000, 4096, 3];
            let all: Vec<u8> = (0..=255).cycle().take(lengths.iter().sum()).collect();
            let (mut passed, mut at) = (Vec::new(), 0);
            for length in lengths {
                let next = Bytes::copy_from_slice(&all[at..at + length]);
                at += length;
                let (bytes, ended) = crumbs.add(Ok(Some(next)));
                assert!(ended.is_none());
                passed.extend(bytes);
            }
            assert!(passed.iter().all(|bytes| bytes.len() >= LEAST_PIECE));
            let end = if ends_well { Ok(None) } else { Err(End::Slow) };
            let (rest, ended) = crumbs.add(end);
            assert_eq!(ended.unwrap().is_ok(), ends_well);
            passed.extend(rest);
            assert_eq!(passed.concat(), all);
            assert!(crumbs.add(Ok(None)).0.is_none());
        }
    }
}
