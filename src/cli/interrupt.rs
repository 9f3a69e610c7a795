//! Ctrl-C and requests to terminate.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use super::failure::{Failure, Kind};

/// Knows whether the user asked to stop.
///
/// Until [`Interrupt::listen`] is called a signal kills the process the default way: a command
/// that leaves nothing half done needs nothing else. Afterwards the first signal only sets a flag,
/// so that the work unwinds and removes its temporary files; the second one kills.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    signal: Arc<AtomicUsize>,
    installed: Arc<OnceLock<()>>,
}

impl Interrupt {
    /// Starts to catch signals; once is enough.
    pub(crate) fn listen(&self) {
        self.installed.get_or_init(|| {
            let result = self.install();
            // Without handlers a signal kills at once, which the store survives.
            drop(result);
        });
    }

    fn install(&self) -> io::Result<()> {
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the first signal must find the flag unset here.
            flag::register_conditional_default(signal, Arc::clone(&again))?;
            flag::register(signal, Arc::clone(&again))?;
            let number = usize::try_from(signal).expect("signal numbers are positive");
            flag::register_usize(signal, Arc::clone(&self.signal), number)?;
        }
        Ok(())
    }

    /// Tells whether a signal came.
    pub(crate) fn requested(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    /// Returns what to report in place of whatever error the stopped work ended with.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let signal = self.signal.load(Ordering::Relaxed);
        if signal == 0 {
            None
        } else if i32::try_from(signal) == Ok(SIGTERM) {
            Some(Failure::new(Kind::Terminated, "terminated"))
        } else {
            Some(Failure::new(Kind::Interrupted, "interrupted"))
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_only_asks_to_stop() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.failure(), None);
        interrupt.listen();
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(interrupt.requested());
        assert_eq!(interrupt.failure().unwrap().kind.code(), 143);
    }
}
