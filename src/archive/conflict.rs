//! What is in the way in a directory that is unpacked to.

use std::fmt;

/// Something in the target that is in the way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// Its path, relative to the target.
    pub path: String,
    /// What is in the way there.
    pub obstacle: Obstacle,
}

/// What is in the way of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// A file with other content.
    Different,
    /// A symbolic link.
    Link,
    /// A folder where a file should be.
    Folder,
    /// A file where a folder should be.
    File,
    /// A fifo, socket or device.
    Special,
    /// Something that was not there when the run began.
    Appeared,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Different => "exists with other content",
            Self::Link => "is a symbolic link",
            Self::Folder => "is a folder",
            Self::File => "is not a folder",
            Self::Special => "is neither a file nor a folder",
            Self::Appeared => "appeared in the meantime",
        })
    }
}

pub(super) fn conflicts_text(conflicts: &[Conflict], more: u64) -> String {
    let count = conflicts.len() as u64 + more;
    let mut lines = vec![if count == 1 {
        "1 path in the target is in the way:".to_owned()
    } else {
        format!("{count} paths in the target are in the way:")
    }];
    lines.extend(
        conflicts
            .iter()
            .map(|Conflict { path, obstacle }| format!("  {path} {obstacle}")),
    );
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    lines.join("\n")
}
