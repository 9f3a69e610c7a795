//! The one HTTP stack: a client whose connections, certificates, proxies, redirects, time limits
//! and retries are decided here, for whatever is spoken on top of it.
//!
//! - An [`Authorization`] belongs to the [`Origin`] of the request it was given to. A redirect to
//!   another origin goes on without it, and nothing goes from https to http.
//! - No time limit on a whole request: a large body may take hours. What counts is how long
//!   nothing happens ([`Timeouts`]).
//! - Nothing is decompressed: digests are of what was sent.
//! - Bodies are read up to a limit the caller names ([`limits`]).

mod client;
mod error;
pub mod limits;
mod message;
mod origin;
mod pause;
mod pem;
mod proxy;
mod retry;
mod send;
#[cfg(test)]
mod tests;
mod tls;

pub use client::{Client, Observer, Options, Timeouts};
pub use error::{Error, Reason};
pub use message::{Authorization, Request, Response};
pub use origin::{Origin, Scheme};
pub use proxy::{BadProxy, Proxies};
pub use reqwest::Method;
pub use reqwest::Url;
pub use retry::{Clock, Policy, SystemClock};
pub use send::{Content, Feeder, Patience, Taken};
pub use tls::{Files, Tls};
