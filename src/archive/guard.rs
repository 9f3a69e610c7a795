//! What a pack asks before it takes something that nobody chose by name.

/// Tells why something must not be packed; `None` if it may.
pub type Guard = dyn Fn(Seen<'_>) -> Option<String>;

/// What a guard is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A file, folder or link of this path.
    Path(&'a str),
    /// What a link leads to: its path in the context, or outside of that its name.
    End(&'a str),
}
