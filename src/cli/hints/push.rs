//! What keeps a registry from taking a kit.

use super::{HEAL, io_kind};
use crate::{
    cli::failure::{Failure, Kind},
    registry,
};

/// Returns the failure of an upload.
pub(super) fn refused(error: &registry::Error) -> Failure {
    use registry::Error as E;
    let plain = |kind| Failure::of(kind, error);
    match error {
        E::NotTaken {
            status,
            what,
            words,
            retry_after,
            registry,
            ..
        } => not_taken(
            plain,
            (*status, what),
            words.as_deref(),
            *retry_after,
            registry,
        ),
        E::NotStored { .. } | E::OtherDigest { .. } => plain(Kind::Network)
            .hint("push again; if that does not help, ask who runs the registry"),
        E::StartsOver { .. } => plain(Kind::Network)
            .hint("try a smaller --chunk-size: what a broken connection has carried is lost there"),
        E::Damaged { .. } => plain(Kind::Damaged).hint(HEAL),
        E::Read { source, .. } => plain(io_kind(source)),
        _ => plain(Kind::Network),
    }
}

/// Returns the failure of a push that the registry refused.
fn not_taken(
    plain: impl Fn(Kind) -> Failure,
    (status, what): (u16, &str),
    words: Option<&str>,
    retry_after: Option<std::time::Duration>,
    registry: &str,
) -> Failure {
    let words = words.unwrap_or_default();
    let is_manifest = what == "the manifest";
    match status {
        401 | 403 => plain(Kind::NotAllowed).hint(format!(
            "`kit login {registry}` with a login that may write there"
        )),
        404 => plain(Kind::NotFound)
            .hint("some registries want a repository or project to be made before it is pushed to"),
        413 => plain(Kind::Limit).hint(
            "the registry, or a proxy before it, limits the size of requests: try --chunk-size 5MB, or ask for a higher limit",
        ),
        429 => {
            let time = retry_after.map_or(60, |time| time.as_secs());
            plain(Kind::Network).hint(format!("try again in {time} s"))
        }
        // Quay and GitLab keep lists of the types that they take.
        400 | 415 | 422 if is_manifest && is_about_types(words) => plain(Kind::NotAllowed).hint(
            "GitLab, Quay and others take only the media types on a list: have those of the manifest added to it, or push with --compat, as a container image that `kit pull` makes a kit of again",
        ),
        _ if is_manifest && words.contains("MANIFEST_BLOB_UNKNOWN") => plain(Kind::Network)
            .hint("the registry has lost a blob meanwhile: push again"),
        _ => plain(Kind::Network),
    }
}

/// Tells whether a registry complains of media types.
fn is_about_types(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    [
        "manifest_invalid",
        "mediatype",
        "media type",
        "unsupported",
        "unknown media",
    ]
    .iter()
    .any(|it| words.contains(it))
}
