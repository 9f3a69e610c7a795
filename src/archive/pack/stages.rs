//! What looks at pieces once they are hashed, in their order, each in a thread of its own if there
//! is more than one piece.

use std::{
    io,
    panic::resume_unwind,
    sync::mpsc::channel,
    thread::{self, Scope, ScopedJoinHandle},
};

use super::{files::FileHashes, plan::Piece, table::Tabling};

/// What is found out about files while their layer is packed.
pub(super) struct Kept<'t> {
    pub(super) files: FileHashes,
    /// If a table is wanted.
    pub(super) tabling: Option<Tabling<'t>>,
}

/// Takes a piece that somebody is done with.
type Next<'scope> = Box<dyn FnMut(Piece) + Send + 'scope>;

/// Where pieces go when they are hashed.
pub(super) enum Stages<'scope, 't> {
    Here(Box<Kept<'t>>, Next<'scope>),
    Aside {
        first: Next<'scope>,
        files: Result<ScopedJoinHandle<'scope, FileHashes>, FileHashes>,
        tabling: Option<ScopedJoinHandle<'scope, Tabling<'t>>>,
    },
}

impl<'scope, 't: 'scope> Stages<'scope, 't> {
    /// Looks at pieces where they are taken.
    pub(super) fn here(kept: Kept<'t>, free: impl FnMut(Piece) + Send + 'scope) -> Self {
        Self::Here(Box::new(kept), Box::new(free))
    }

    /// Looks at pieces in threads: one for the digests of files, if they are wanted, then one for
    /// the table, if that is. Then `free` gets them.
    pub(super) fn aside(
        scope: &'scope Scope<'scope, '_>,
        kept: Kept<'t>,
        hash_files: bool,
        free: impl FnMut(Piece) + Send + 'scope,
    ) -> io::Result<Self> {
        let mut first: Next<'scope> = Box::new(free);
        let tabling = match kept.tabling {
            None => None,
            Some(tabling) => {
                let (before, thread) = stage(scope, tabling, Tabling::take, first)?;
                first = before;
                Some(thread)
            }
        };
        let files = if hash_files {
            let (before, thread) = stage(scope, kept.files, FileHashes::take, first)?;
            first = before;
            Ok(thread)
        } else {
            Err(kept.files)
        };
        Ok(Self::Aside {
            first,
            files,
            tabling,
        })
    }

    pub(super) fn take(&mut self, piece: Piece) {
        match self {
            Self::Here(kept, free) => {
                kept.files.take(&piece);
                if let Some(tabling) = &mut kept.tabling {
                    tabling.take(&piece);
                }
                free(piece);
            }
            Self::Aside { first, .. } => first(piece),
        }
    }

    /// Waits until all pieces were looked at, and returns what came of it.
    pub(super) fn finish(self) -> Kept<'t> {
        match self {
            Self::Here(kept, _) => *kept,
            Self::Aside {
                first,
                files,
                tabling,
            } => {
                // The threads end one after the other.
                drop(first);
                Kept {
                    files: files.map_or_else(|files| files, join),
                    tabling: tabling.map(join),
                }
            }
        }
    }
}

/// Starts a thread in which `state` takes pieces before they go on to `next`, and returns what
/// sends them there. Dropping that ends the thread.
fn stage<'scope, S: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut state: S,
    take: fn(&mut S, &Piece),
    mut next: Next<'scope>,
) -> io::Result<(Next<'scope>, ScopedJoinHandle<'scope, S>)> {
    let (pass, passed) = channel::<Piece>();
    let thread = thread::Builder::new().spawn_scoped(scope, move || {
        for piece in passed {
            take(&mut state, &piece);
            next(piece);
        }
        state
    })?;
    let before = move |piece| {
        // The other side ends only after this one.
        let _ = pass.send(piece);
    };
    Ok((Box::new(before), thread))
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
