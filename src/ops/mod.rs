//! Operations: one file a use case. Options in, report out; nothing here prints.

mod arrivals;
pub mod chain;
pub mod convert;
pub mod copy;
pub mod datasets;
pub mod delta;
pub mod diff;
pub mod draft;
mod error;
pub mod files;
pub mod init;
pub mod kit;
pub mod licence;
pub mod list;
pub mod load;
pub mod migrate;
mod modelpack;
pub mod pack;
pub mod pull;
pub mod push;
mod referrers;
pub mod remote;
pub mod repair;
mod reuse;
pub mod save;
pub mod segments;
mod sources;
pub mod status;
pub mod stream;
mod supply;
pub mod take;
pub mod toc;
pub mod transfer;
pub mod unpack;
mod walk;

pub use error::Error;
