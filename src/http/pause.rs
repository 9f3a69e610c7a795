//! What a peer asked for concerns everybody who speaks to it: when it wants to be left alone, all
//! requests to it wait, not only the one that was told.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    client::Client,
    error::{Error, Reason},
    origin::Origin,
    retry::{Clock, backoff},
};

/// Until when peers want to be left alone.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<Origin, Instant>>);

impl Pauses {
    /// Leaves `peer` alone for `time` from now on.
    pub(super) fn begin(&self, peer: &Origin, time: Duration, clock: &dyn Clock) {
        let until = clock.now() + time;
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pauses.entry(peer.clone()).or_insert(until);
        *known = until.max(*known);
    }

    /// Waits until `peer` may be asked.
    pub(super) async fn pass(&self, peer: &Origin, clock: &dyn Clock) {
        let until = {
            let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            pauses.get(peer).copied()
        };
        let left = until.map(|until| until.saturating_duration_since(clock.now()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            clock.sleep(left).await;
        }
    }
}

impl Client {
    /// Asks for a document until it came whole. `ask` returns an error of its own for one that broke
    /// off; it is asked again as often as for an answer that did not begin.
    pub async fn until_whole<T, E: From<Error>>(
        &self,
        ask: impl AsyncFn() -> Result<Result<T, Error>, E>,
    ) -> Result<T, E> {
        let mut failed = 0;
        loop {
            let error = match ask().await? {
                Ok(document) => return Ok(document),
                Err(error) => error,
            };
            failed += 1;
            if !self.ask_again(&error, failed).await {
                return Err(error.into());
            }
        }
    }

    /// Decides about an answer that broke off with `error` and is of no use in part: waits, and
    /// returns true if it is to be asked for again. `failed` counts from 1.
    pub async fn ask_again(&self, error: &Error, failed: u32) -> bool {
        let jitter = self.clock().jitter();
        let Some(wait) = self.policy().after_error(error, failed, jitter) else {
            return false;
        };
        let seconds = wait.as_secs_f64();
        self.observer()
            .waiting(format_args!("{error}; trying again in {seconds:.1} s"));
        self.clock().sleep(wait).await;
        true
    }

    /// Decides about a transfer that broke off with `error`: waits, and returns true if it is to
    /// be taken up again. `failed` counts how often it broke off without getting anywhere, from 1;
    /// 0 is for one that did, which goes on at once.
    pub async fn take_up(&self, error: &Error, failed: u32) -> bool {
        let Error::Unreachable { reason, .. } = error else {
            return false;
        };
        let may_be_better = matches!(
            reason,
            Reason::Silent(_) | Reason::Connect(_) | Reason::Broken(_) | Reason::Name
        );
        if !may_be_better || failed > self.policy().retries {
            return false;
        }
        if failed == 0 {
            self.observer()
                .step(format_args!("{error}; going on where it ended"));
            return true;
        }
        let wait = backoff(failed, self.clock().jitter());
        let seconds = wait.as_secs_f64();
        self.observer()
            .waiting(format_args!("{error}; trying again in {seconds:.1} s"));
        self.clock().sleep(wait).await;
        true
    }
}
