//! What requests do.

use std::sync::Arc;

use modelkit::digest::Digest;
use serde_json::Value;

use super::{
    Asked, Habits, Held, Upload,
    serve::{Answer, answer, error},
};

impl Held {
    /// Takes what came of a body that broke off.
    pub(super) fn cut(&mut self, asked: Asked, body: &[u8], habits: &Habits) {
        let id = asked.path.rsplit('/').next().unwrap_or_default().to_owned();
        if habits.keeps_cut {
            if let Some(upload) = self.uploads.get_mut(&id) {
                upload.data.extend_from_slice(body);
            }
        } else {
            self.uploads.remove(&id);
        }
        self.asked.push(asked);
    }

    /// Lists what is about a manifest.
    fn referrers(&self, repository: &str, subject: &str) -> Answer {
        let mut listed = Vec::new();
        for ((within, name), bytes) in &self.manifests {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            if within == repository
                && *name == Digest::of(bytes).to_string()
                && document["subject"]["digest"] == subject
            {
                listed.push(serde_json::json!({
                    "mediaType": document["mediaType"],
                    "artifactType": document["artifactType"],
                    "digest": name,
                    "size": bytes.len(),
                }));
            }
        }
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": listed,
        });
        answer(200)
            .header("Content-Type", "application/vnd.oci.image.index.v1+json")
            .body(&index.to_string())
    }

    pub(super) fn act(&mut self, asked: &Asked, body: Vec<u8>, habits: &Habits) -> Answer {
        let rest = asked
            .path
            .strip_prefix("/v2/")
            .unwrap_or_default()
            .to_owned();
        if rest.is_empty() {
            return answer(200);
        }
        if let Some((repository, id)) = rest.split_once("/blobs/uploads/") {
            return self.upload(asked, repository, id, body, habits);
        }
        if let Some((repository, digest)) = rest.split_once("/blobs/") {
            return match self.blobs.get(&(repository.to_owned(), digest.to_owned())) {
                Some(blob) => answer(200).header("Content-Length", blob.len()),
                None => error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            };
        }
        if let Some((repository, digest)) = rest.split_once("/referrers/")
            && habits.referrers
        {
            return self.referrers(repository, digest);
        }
        let Some((repository, name)) = rest.split_once("/manifests/") else {
            return error(404, "NAME_UNKNOWN", "no such place");
        };
        let key = (repository.to_owned(), name.to_owned());
        if asked.method != "PUT" {
            return match self.manifests.get(&key) {
                Some(manifest) => {
                    let document: Value = serde_json::from_slice(manifest).unwrap();
                    answer(200)
                        .header("Content-Length", manifest.len())
                        .header("Content-Type", document["mediaType"].as_str().unwrap())
                        .header("Docker-Content-Digest", Digest::of(manifest))
                        .body(std::str::from_utf8(manifest).unwrap())
                }
                None => error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            };
        }
        let digest = Digest::of(&body).to_string();
        let document: Value = serde_json::from_slice(&body).unwrap();
        let layers = document["layers"].as_array().into_iter().flatten();
        let blobs: Vec<&Value> = layers.chain(document.get("config")).collect();
        for blob in &blobs {
            let known = (
                repository.to_owned(),
                blob["digest"].as_str().unwrap().to_owned(),
            );
            if !self.blobs.contains_key(&known) {
                return error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
            }
        }
        let named = blobs.iter().map(|it| &it["mediaType"]);
        for named in named.chain(document.get("artifactType")) {
            let named = named.as_str().unwrap();
            if habits.types.is_some_and(|types| !types.contains(&named)) {
                let words = format!("unknown media type: {named}");
                return error(400, "MANIFEST_INVALID", &words);
            }
        }
        self.manifests
            .insert((repository.to_owned(), digest.clone()), body.clone());
        self.manifests.insert(key, body);
        let answer = answer(201)
            .header("Location", &asked.path)
            .header("Docker-Content-Digest", digest);
        match document["subject"]["digest"].as_str() {
            Some(subject) if habits.referrers => answer.header("OCI-Subject", subject),
            _ => answer,
        }
    }

    fn upload(
        &mut self,
        asked: &Asked,
        repository: &str,
        id: &str,
        body: Vec<u8>,
        habits: &Habits,
    ) -> Answer {
        let before = habits.location.clone().unwrap_or_default();
        let place = |id: &str, state: u64| {
            format!("{before}/v2/{repository}/blobs/uploads/{id}?_state={state}%2B%3D")
        };
        if asked.method == "POST" {
            if let (Some(digest), Some(from)) = (asked.field("mount"), asked.field("from"))
                && habits.mounts
                && let Some(blob) = self.blobs.get(&(from, digest.clone())).cloned()
            {
                self.blobs
                    .insert((repository.to_owned(), digest.clone()), blob);
                return answer(201).header("Location", format!("/v2/{repository}/blobs/{digest}"));
            }
            self.next += 1;
            let id = self.next.to_string();
            let opened = answer(202)
                .header("Location", place(&id, 0))
                .header("Range", "0-0");
            self.uploads.insert(id, Upload::default());
            return match habits.min_chunk {
                Some(min) => opened.header("OCI-Chunk-Min-Length", min),
                None => opened,
            };
        }
        let Some(upload) = self.uploads.get_mut(id) else {
            return error(
                404,
                "BLOB_UPLOAD_UNKNOWN",
                "blob upload unknown to registry",
            );
        };
        let range = |upload: &Upload| {
            let told = if habits.stuck {
                upload.chunks.min(1) * 10
            } else {
                upload.data.len() as u64
            };
            format!("0-{}", told.saturating_sub(1))
        };
        match asked.method.as_str() {
            "GET" if habits.mute => error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload"),
            "GET" => answer(204)
                .header("Location", place(id, upload.state))
                .header("Range", range(upload)),
            "PATCH" => {
                let length = body.len() as u64;
                if let Some(status) = habits.no_chunks {
                    return error(status, "UNSUPPORTED", "no chunks");
                }
                let begin = asked.header("content-range").unwrap_or_default();
                let begin = begin.split('-').next().unwrap_or_default();
                let known = if habits.last_chunk_only {
                    begin.parse().unwrap()
                } else {
                    upload.data.len()
                };
                if begin != known.to_string() || habits.max_chunk.is_some_and(|most| length > most)
                {
                    return error(416, "BLOB_UPLOAD_INVALID", "range not satisfiable");
                }
                if habits.last_chunk_only {
                    upload.data.clear();
                }
                if std::mem::replace(
                    &mut upload.is_last,
                    habits
                        .min_chunk
                        .or(habits.min_part)
                        .is_some_and(|min| length < min),
                ) {
                    return error(
                        416,
                        "BLOB_UPLOAD_INVALID",
                        "a chunk before this one was too small",
                    );
                }
                upload.data.extend(body);
                upload.chunks += 1;
                upload.state += 1;
                answer(habits.taken)
                    .header("Location", place(id, upload.state))
                    .header("Range", range(upload))
            }
            "PUT" => {
                upload.data.extend(body);
                let digest = asked.field("digest").unwrap_or_default();
                let upload = self.uploads.remove(id).expect("it was found");
                if Digest::of(&upload.data).to_string() != digest && !habits.last_chunk_only {
                    return error(
                        400,
                        "DIGEST_INVALID",
                        "provided digest did not match uploaded content",
                    );
                }
                let key = (repository.to_owned(), digest.clone());
                self.blobs.insert(key, Arc::new(upload.data));
                let digest = habits.says_digest.clone().unwrap_or(digest);
                let done = answer(201).header("Docker-Content-Digest", &digest);
                if habits.final_location {
                    done.header("Location", format!("/v2/{repository}/blobs/{digest}"))
                } else {
                    done
                }
            }
            _ => error(405, "UNSUPPORTED", "no such method"),
        }
    }
}
