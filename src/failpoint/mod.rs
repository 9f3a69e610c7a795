//! Places where a test build can be made to fail, to write short, or to die.
//!
//! Every step that can fail because of the disk or the network is wrapped in [`failpoint!`] and so
//! has a name. Without the feature `failpoints` only the step is left. With it the variable
//! `KIT_FAIL` says what happens where; `tests/faults/run` goes through all of them. That feature
//! and a release build exclude each other: what users get has none of this.

#[cfg(feature = "failpoints")]
mod armed;
#[cfg(feature = "failpoints")]
pub(crate) use armed::{arm, reach, write, write_part};

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("the feature `failpoints` is for test builds: a release build refuses it");
#[cfg(all(feature = "failpoints", not(unix)))]
compile_error!("the feature `failpoints` needs signals and the error numbers of Unix");

/// Does a step that a test may let fail under this name.
///
/// - `failpoint!("store.blob.sync", file.sync_all())`: a step, given back unless it fails before.
/// - `failpoint!(write "store.log.write", &mut file, &text)`: all of `text`, or half of it.
/// - `failpoint!(part "store.temp.write", file, text)`: as much of `text` as there is room for.
/// - `failpoint!("store.lock.take")`: nothing but the fault.
#[cfg(not(feature = "failpoints"))]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::pass()
    };
    ($name:literal, $step:expr) => {
        $step
    };
    (write $name:literal, $file:expr, $bytes:expr) => {
        std::io::Write::write_all($file, $bytes)
    };
    (part $name:literal, $file:expr, $bytes:expr) => {
        std::io::Write::write($file, $bytes)
    };
}

#[cfg(feature = "failpoints")]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::reach($name)
    };
    ($name:literal, $step:expr) => {
        match $crate::failpoint::reach($name) {
            Ok(()) => $step,
            Err(error) => Err(error),
        }
    };
    (write $name:literal, $file:expr, $bytes:expr) => {
        $crate::failpoint::write($name, $file, $bytes)
    };
    (part $name:literal, $file:expr, $bytes:expr) => {
        $crate::failpoint::write_part($name, $file, $bytes)
    };
}

pub(crate) use failpoint;

/// Does nothing, where nothing can be made to fail.
#[cfg(not(feature = "failpoints"))]
#[inline]
#[expect(clippy::unnecessary_wraps, reason = "test builds can fail here")]
pub(crate) const fn pass() -> std::io::Result<()> {
    Ok(())
}
