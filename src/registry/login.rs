//! The login for a registry. Helper programs hand out some that last for hours: one that was taken
//! before and is refused now may have a successor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::credentials::Credential;

/// Looks for the login again. May take its time.
pub type Again = Arc<dyn Fn() -> Option<Credential> + Send + Sync>;

/// The login in use.
pub(super) struct Login {
    known: Mutex<Known>,
    again: Option<Again>,
}

struct Known {
    credential: Option<Credential>,
    /// How many there were before.
    number: u64,
}

impl Login {
    pub(super) const fn new(credential: Option<Credential>) -> Self {
        Self {
            known: Mutex::new(Known {
                credential,
                number: 0,
            }),
            again: None,
        }
    }

    pub(super) fn look_again_with(&mut self, again: Again) {
        self.again = Some(again);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn credential(&self) -> Option<Credential> {
        self.known().credential.clone()
    }

    /// Returns the number of the login, which is another one for each.
    pub(super) fn number(&self) -> u64 {
        self.known().number
    }

    /// Returns whether there is another login now than that of this number, which was refused.
    pub(super) async fn renew(&self, refused: u64) -> bool {
        if self.number() != refused {
            return true;
        }
        let Some(again) = self.again.clone() else {
            return false;
        };
        // A program is started for it, and waited for.
        let found = tokio::task::spawn_blocking(move || again()).await;
        let Some(found) = found.ok().flatten() else {
            return false;
        };
        let mut known = self.known();
        if known.credential.as_ref() == Some(&found) {
            return false;
        }
        *known = Known {
            credential: Some(found),
            number: known.number + 1,
        };
        true
    }
}
