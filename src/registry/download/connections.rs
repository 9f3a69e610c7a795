//! How many connections are used at the same time.

use std::sync::Mutex;

use tokio::sync::Notify;

use super::lock;

/// How many connections are in use.
#[derive(Default)]
pub(super) struct Connections {
    used: Mutex<usize>,
    returned: Notify,
}

/// The right to use one connection.
pub(super) struct Connection<'c>(&'c Connections);

impl Connections {
    pub(super) async fn take(&self, most: impl Fn() -> usize) -> Connection<'_> {
        loop {
            let returned = self.returned.notified();
            {
                let mut used = lock(&self.used);
                if *used < most() {
                    *used += 1;
                    return Connection(self);
                }
            }
            returned.await;
        }
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        *lock(&self.0.used) -= 1;
        // All: there may be room for more than one now.
        self.0.returned.notify_waiters();
    }
}
