//! The one integration binary: a file per command or promise.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may panic and print"
)]

mod cli_frame;
