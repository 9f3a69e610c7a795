//! Layers that are kept in several blobs, their segments.
//!
//! The segments of a layer follow each other in the manifest; one behind the other they are the
//! layer, which is not compressed. The first one carries what the manifest would say of the layer if
//! it were one blob, word for word, so that either form of a kit follows from the other.

use super::{Descriptor, Error, LayerType, Manifest, annotation, descriptor::Received, json};
use crate::{digest::Digest, oci::media_type};

/// A layer, and the blobs it is kept in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainLayer {
    /// The layer as one blob.
    pub descriptor: Descriptor,
    /// What it is kept in, in order, at least two; empty if it is kept as one blob.
    pub segments: Vec<Descriptor>,
}

impl PlainLayer {
    /// Returns the blobs it is kept in, in order.
    pub fn blobs(&self) -> &[Descriptor] {
        match self.segments.as_slice() {
            [] => std::slice::from_ref(&self.descriptor),
            segments => segments,
        }
    }
}

impl Manifest {
    /// Tells whether some layer is kept in several blobs.
    pub fn has_segments(&self) -> bool {
        self.layers.iter().any(is_segment)
    }

    /// Returns the layers, those that are kept in several blobs put together.
    ///
    /// # Errors
    ///
    /// Segments without the layer they belong to, or that are not what it says.
    pub fn plain_layers(&self) -> Result<Vec<PlainLayer>, Error> {
        let mut layers = Vec::with_capacity(self.layers.len());
        let mut rest = self.layers.as_slice();
        while let Some((first, after)) = rest.split_first() {
            if !is_segment(first) {
                layers.push(PlainLayer {
                    descriptor: first.clone(),
                    segments: Vec::new(),
                });
                rest = after;
                continue;
            }
            let bad = |problem: &'static str| Error::Segments {
                place: format!("layer {}", self.layers.len() - rest.len() + 1),
                problem,
            };
            let descriptor = described(first, &bad)?;
            let others = after.iter().take_while(|it| is_segment(it) && !begins(it));
            let (segments, after) = rest.split_at(1 + others.count());
            if segments.len() < 2 {
                return Err(bad("a layer has two of them at least"));
            }
            if segments.iter().any(|it| it.size == 0) {
                return Err(bad("one of them is empty"));
            }
            let size = segments.iter().map(|it| it.size).sum::<u64>();
            if size != descriptor.size {
                return Err(bad("together they are not as long as the layer"));
            }
            layers.push(PlainLayer {
                descriptor,
                segments: segments.to_vec(),
            });
            rest = after;
        }
        Ok(layers)
    }
}

/// Tells whether a blob is a part of a layer.
fn is_segment(blob: &Descriptor) -> bool {
    blob.media_type == media_type::SEGMENT
}

/// Tells whether a segment is the first one of its layer.
fn begins(segment: &Descriptor) -> bool {
    segment.annotations.contains_key(annotation::LAYER)
}

/// Reads what the first segment says of its layer.
fn described(first: &Descriptor, bad: &dyn Fn(&'static str) -> Error) -> Result<Descriptor, Error> {
    let text = first.annotations.get(annotation::LAYER);
    let text = text.ok_or_else(|| bad("the first one does not say what layer they are"))?;
    let received: Received = serde_json::from_str(text)
        .map_err(|_| bad("what it says of the layer is no descriptor"))?;
    let layer = received.check(|| "the layer of segments".to_owned())?;
    // So that there is one reading of it, and one manifest of the plain kit.
    if json::to_vec(&layer) != text.as_bytes() {
        return Err(bad("what it says of the layer is not in canonical form"));
    }
    let kind = LayerType::parse(&layer.media_type);
    if kind.is_none_or(|kind| kind.encoding.is_compressed()) {
        return Err(bad("the layer is none that can be in several blobs"));
    }
    Ok(layer)
}

/// Returns the segments of `layer`, of which digests and sizes are known, as a manifest has them.
pub fn describe(layer: &Descriptor, segments: &[(Digest, u64)]) -> Vec<Descriptor> {
    let segments = segments.iter();
    let mut described: Vec<Descriptor> = segments
        .map(|(digest, size)| Descriptor::new(media_type::SEGMENT, *digest, *size))
        .collect();
    if let Some(first) = described.first_mut() {
        let text = String::from_utf8(json::to_vec(layer)).expect("JSON is UTF-8");
        let key = annotation::LAYER.to_owned();
        first.annotations.insert(key, text);
    }
    described
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn plain(content: &[u8]) -> Descriptor {
        let mut layer = Descriptor::of("application/vnd.kitops.modelkit.model.v1.tar", content);
        let path = (annotation::FILE_PATH.to_owned(), "a\"<b".to_owned());
        layer.annotations = BTreeMap::from([path]);
        layer
    }

    fn cut(content: &[u8], at: usize) -> Vec<Descriptor> {
        let (head, tail) = content.split_at(at);
        let of = |part: &[u8]| (Digest::of(part), part.len() as u64);
        describe(&plain(content), &[of(head), of(tail)])
    }

    fn manifest(layers: Vec<Descriptor>) -> Manifest {
        Manifest {
            artifact_type: None,
            config: Descriptor::of(media_type::CONFIG, b"{}"),
            layers,
            annotations: BTreeMap::new(),
            subject: None,
        }
    }

    #[test]
    fn layers_come_back_from_their_segments() {
        let mut layers = cut(b"weights", 3);
        layers.push(plain(b"small"));
        layers.extend(cut(b"other", 1));
        layers.extend(cut(b"weights", 4));
        let read = Manifest::parse(&manifest(layers).to_bytes()).unwrap();
        assert!(read.has_segments());
        let found = read.plain_layers().unwrap();
        let blobs: Vec<usize> = found.iter().map(|it| it.blobs().len()).collect();
        assert_eq!(blobs, [2, 1, 2, 2]);
        let found = found.into_iter().map(|it| it.descriptor);
        let whole = [&b"weights"[..], b"small", b"other", b"weights"];
        assert_eq!(found.collect::<Vec<_>>(), whole.map(plain));
    }

    #[test]
    fn segments_that_are_not_a_layer_are_refused() {
        let whole = cut(b"weights", 3);
        let swap = |from: &str, to: &str| {
            let mut layers = whole.clone();
            let text = layers[0].annotations.get_mut(annotation::LAYER).unwrap();
            assert!(text.contains(from), "{text}");
            *text = text.replacen(from, to, 1);
            layers
        };
        let mut empty = cut(b"weights", 0);
        let mut headless = whole.clone();
        headless[0].annotations.clear();
        let mut twice = whole.clone();
        twice[1].annotations = whole[0].annotations.clone();
        let mut between = whole.clone();
        between.insert(1, plain(b"x"));
        let mut more = whole.clone();
        more.push(Descriptor::of(media_type::SEGMENT, b"more"));
        for (layers, why) in [
            (whole[..1].to_vec(), "two of them at least"),
            (whole[1..].to_vec(), "does not say what layer"),
            (headless, "does not say what layer"),
            (twice, "two of them at least"),
            (between, "two of them at least"),
            (more, "as long as the layer"),
            (vec![whole[1].clone(), whole[0].clone()], "does not say"),
            (empty.split_off(0), "is empty"),
            (swap("\"size\":7", "\"size\":8"), "as long as the layer"),
            (swap("{", "{ "), "canonical"),
            (swap("{", ""), "no descriptor"),
            (swap("v1.tar", "v1.tar+gzip"), "several blobs"),
            (swap("kitops.modelkit.model", "oci.image"), "several blobs"),
            (swap("sha256:", "sha512:"), "digest"),
        ] {
            let error = manifest(layers).plain_layers().unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
