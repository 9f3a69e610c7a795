//! A registry that puts an upload off, so that who sends it can be killed there.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::uploads::{Habits, Trouble, Uploads};

/// Says at the third chunk to come again in a minute.
pub(crate) struct Stuck {
    pub(crate) registry: Uploads,
    is_stuck: Arc<AtomicBool>,
}

impl Stuck {
    pub(crate) fn start() -> Self {
        let is_stuck = Arc::new(AtomicBool::new(true));
        let held = Arc::clone(&is_stuck);
        let registry = Uploads::start(Habits {
            trouble: Box::new(move |asked, number| {
                let held = asked.method == "PATCH" && number == 3 && held.load(Ordering::SeqCst);
                let wait = vec![("Retry-After", "60".to_owned())];
                held.then(|| Trouble::Answer(503, wait, String::new()))
            }),
            ..Habits::default()
        });
        Self { registry, is_stuck }
    }

    /// Runs `command` until it is put off, and kills it. From now on all goes well, and what was sent
    /// does not count.
    pub(crate) fn kill(&self, mut command: Command) {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = quiet.spawn().unwrap();
        while !self.registry.asked().iter().any(|it| it.status == 503) {
            assert!(child.try_wait().unwrap().is_none());
            thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        self.is_stuck.store(false, Ordering::SeqCst);
        self.registry.forget();
    }
}
