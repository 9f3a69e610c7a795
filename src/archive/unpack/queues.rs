//! The queues of the threads that write, one each.
//!
//! Two threads that make files in one folder wait for each other in the kernel and are slower than
//! one. So what goes into the folder of the last job goes to the same thread, and another folder
//! to whichever thread has room.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::place::Job;

/// How many jobs wait for one thread.
const WAITING: usize = 2;

/// Hands jobs to threads.
#[derive(Default)]
pub(super) struct Queues {
    threads: Vec<SyncSender<Job>>,
    current: usize,
    /// The folder of the last job.
    folder: Vec<u8>,
}

impl Queues {
    /// Adds a thread; it takes its jobs from what is returned.
    pub(super) fn add(&mut self) -> Receiver<Job> {
        let (sender, receiver) = sync_channel(WAITING);
        self.threads.push(sender);
        receiver
    }

    /// Takes back the thread added last, which could not be started.
    pub(super) fn withdraw(&mut self) {
        self.threads.pop();
    }

    /// Sends a job that works in `folder`. Threads that have ended take none, which only happens
    /// after they told why.
    pub(super) fn send(&mut self, mut job: Job, folder: &[u8]) {
        if self.folder != folder {
            self.folder.clear();
            self.folder.extend_from_slice(folder);
            for _ in 0..self.threads.len() {
                self.current = (self.current + 1) % self.threads.len();
                match self.threads[self.current].try_send(job) {
                    Ok(()) => return,
                    Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => job = back,
                }
            }
        }
        if let Some(thread) = self.threads.get(self.current) {
            let _ = thread.send(job);
        }
    }
}
