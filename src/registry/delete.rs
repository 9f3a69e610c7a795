//! Deleting manifests and tags.

use super::{Error, Repository, repository::Action};
use crate::http::Request;

/// What became of something that was to be deleted.
#[derive(Debug)]
pub enum Deletion {
    /// It is gone.
    Done,
    /// The registry does not do this: its answer.
    Unsupported(Box<Error>),
}

impl Repository {
    /// Deletes the manifest that a digest names, with all its tags, or a tag alone, in registries
    /// that do that. What went in the meantime is gone, too.
    pub async fn delete_manifest(&self, reference: &str) -> Result<Deletion, Error> {
        let path = format!("manifests/{reference}");
        let response = self
            .request(Action::Delete, &path, &Request::delete)
            .await?;
        match response.status() {
            200 | 202 | 204 => Ok(Deletion::Done),
            // 400 is what registries answer that take a digest here and no tag.
            400 | 405 | 501 => Ok(Deletion::Unsupported(Box::new(
                self.unexpected(response).await,
            ))),
            // Some answer so whatever is to be deleted.
            404 => match self.head_manifest(reference).await? {
                None => Ok(Deletion::Done),
                Some(_) => Ok(Deletion::Unsupported(Box::new(
                    self.unexpected(response).await,
                ))),
            },
            _ => Err(self.unexpected(response).await),
        }
    }
}
