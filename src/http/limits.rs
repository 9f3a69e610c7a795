//! What is believed of a peer, at most. All limits of the network stand here.

use std::time::Duration;

/// Redirects that are followed, one after the other.
pub const MAX_REDIRECTS: u32 = 5;
/// Bytes of an error's body that are read; the rest is left.
pub const MAX_ERROR_BODY: usize = 64 << 10;
/// Bytes of a token server's answer.
pub const MAX_TOKEN_BODY: usize = 1 << 20;
/// Lines in the head of an answer. Its bytes are bounded by the HTTP library, at some 400 KiB.
pub const MAX_HEADERS: usize = 256;
/// Bytes of a file with certificates or a key.
pub const MAX_PEM_BYTES: u64 = 16 << 20;
/// Retries of one request, unless told otherwise.
pub const MAX_RETRIES: u32 = 5;
/// The longest wait that a peer may ask for, in seconds; when it asks for more, it is not asked
/// again.
pub const MAX_RETRY_AFTER: u64 = 60;

/// How long a connection may take to be made, TLS included.
pub const CONNECT: Duration = Duration::from_secs(10);
/// How long a peer may be silent.
pub const IDLE: Duration = Duration::from_secs(30);
/// How long a document that is held in memory may take as a whole: a peer that sends one byte a
/// second is never silent.
pub const DOCUMENT: Duration = Duration::from_secs(60);
/// How long a registry may take to put together a blob that it has all of: some copy it, which
/// takes minutes.
pub const CLOSING: Duration = Duration::from_secs(900);
