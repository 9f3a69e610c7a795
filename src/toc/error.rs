//! What is wrong with a table of contents.

use crate::digest::Digest;

/// Why a table of contents cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A manifest names a table of contents in part only.
    #[error("the manifest has no annotation `{key}`, but others of a table of contents")]
    MissingAnnotation {
        /// The annotation.
        key: &'static str,
    },
    /// The value of an annotation cannot be.
    #[error("the annotation `{key}` of the manifest cannot be `{value}`")]
    Annotation {
        /// The annotation.
        key: &'static str,
        /// What it says.
        value: String,
    },
    /// The format is not known.
    #[error("the table of contents has a form that is not known here")]
    Form,
    /// A part is not what names it says.
    #[error("{part} of the table of contents is {found}, not {expected}")]
    Content {
        /// Which part.
        part: Part,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A part does not follow the format.
    #[error("{part} of the table of contents cannot be read at byte {at}: {problem}")]
    Malformed {
        /// Which part.
        part: Part,
        /// Where in the part.
        at: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// It tells of other layers than the manifest has.
    #[error("the table of contents is that of other layers: {problem}")]
    OtherLayers {
        /// How they differ.
        problem: &'static str,
    },
}

/// A part of a table of contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// What it begins with.
    Root,
    /// The table of a layer.
    Table,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Whole => "all",
            Self::Root => "the root",
            Self::Table => "a table",
        })
    }
}
