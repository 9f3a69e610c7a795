//! Why a chain of parents cannot be followed.

use super::MAX_PARENTS;
use crate::reference::Reference;

/// What is wrong with the parents of a kit. `chain` reads `a:1 => b:1 => c:1`, the child first.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A kit is, in the end, its own parent.
    #[error("kits take their model from each other in a circle: {chain}")]
    Circle {
        /// The kits up to the one that was met before.
        chain: String,
    },
    /// More parents than are followed.
    #[error("more than {MAX_PARENTS} kits take their model from one another: {chain}")]
    TooLong {
        /// The kits up to the first one that is too many.
        chain: String,
    },
    /// A parent that is not where it is looked for.
    #[error("parent kit {parent} is not in the store ({chain})")]
    Missing {
        /// The parent as a Kitfile names it, with its tag.
        parent: Reference,
        /// The kits up to the parent.
        chain: String,
        /// Names of kits that may have been meant.
        suggestions: Vec<String>,
    },
    /// A parent that is there but cannot be used.
    #[error("parent kit {parent} cannot be used ({chain})")]
    Unusable {
        /// The parent as a Kitfile names it, with its tag.
        parent: Reference,
        /// The kits up to the parent.
        chain: String,
        /// Why not.
        source: Box<crate::ops::Error>,
    },
    /// Elements of several kits of the chain that would have the same path.
    #[error("kits that are unpacked together use the same paths")]
    SharedPaths {
        /// A line for each path.
        clashes: Vec<String>,
    },
}
