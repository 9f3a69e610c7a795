//! What the core reports while it works; the terminal decides how it looks.

/// Listens to an operation. The core never prints: it calls this.
pub trait Progress: Send + Sync {
    /// Announces long work of `total` bytes, if that is known, and returns the meter to advance.
    fn begin(&self, label: &str, total: Option<u64>) -> Box<dyn Meter>;

    /// Reports something the user must know although the work goes on.
    fn warn(&self, text: &str);

    /// Reports a step that is worth a line.
    fn status(&self, text: &str);

    /// Reports what only who wants to know how things are done wants to know.
    fn detail(&self, _text: &str) {}

    /// Tells whether the user asked to stop. Long loops ask once per file or megabyte.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Counts the bytes of one piece of work; dropping it ends the display.
pub trait Meter: Send + Sync {
    /// Reports that `bytes` more are done.
    fn advance(&self, bytes: u64);
}

/// Hears nothing: for tests and for callers of the library that do not care.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _label: &str, _total: Option<u64>) -> Box<dyn Meter> {
        Box::new(Silent)
    }
    fn warn(&self, _text: &str) {}
    fn status(&self, _text: &str) {}
}

impl Meter for Silent {
    fn advance(&self, _bytes: u64) {}
}
