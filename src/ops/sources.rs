//! Where the layers that are unpacked come from: the store, registries, storages of objects.

use std::{
    collections::{HashSet, VecDeque},
    io::{self, Read},
};

use super::{
    Error,
    datasets::{Elsewhere, ObjectStream, Objects, Source},
    delta::Patched,
    kit::{Layer, Place},
    segments::{self, Coming, LayerFile},
    stream::Streams,
    unpack::Wanted,
};
use crate::{
    archive::{
        decompress::Compression,
        unpack::{self, Shape, Stored},
    },
    digest::Digest,
    store::Store,
};

/// Where layers come from.
pub struct Sources<'s> {
    /// What is here.
    pub store: &'s Store,
    /// What reads the rest out of registries; `None` if all is here.
    pub streams: Option<Streams<'s>>,
    /// What reads datasets that are objects; `None` if there are none.
    pub objects: Option<Objects<'s>>,
    /// Whether parts of a layer that nothing vouches for may be taken without reading the rest.
    pub unverified: bool,
}

impl<'s> Sources<'s> {
    /// Begins to read a layer out of a registry; `None` if it is to be found in the store.
    pub(super) fn stream(&self, wanted: &Wanted) -> Option<Coming<'s>> {
        let streams = self.streams.as_ref()?;
        match &wanted.place {
            Place::Store(_) => None,
            Place::Registry(repository) => {
                let blobs = wanted.layer.blobs();
                Some(Coming::begin(streams, repository, blobs, self.store))
            }
        }
    }
}

/// The bytes of a blob, or why there are none. What is gone or cut off is found when it is
/// opened, what was changed when it is read; either way the other layers are unpacked.
pub(super) enum Blob<'s> {
    Open(LayerFile<'s>),
    Far(Coming<'s>),
    Object(Box<ObjectStream<'s>>),
    /// Put together from what is here and what comes of the rest.
    Patched(Patched),
    Unusable(Option<io::Error>),
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Open(file) => file.read(buffer),
            Self::Far(stream) => stream.read(buffer),
            Self::Object(stream) => stream.read(buffer),
            Self::Patched(patched) => patched.read(buffer),
            Self::Unusable(why) => Err(match why.take() {
                Some(why) => why,
                None => io::ErrorKind::BrokenPipe.into(),
            }),
        }
    }
}

/// The layers in their order, those of registries begun before their turn.
pub(super) struct Ahead<'s> {
    sources: &'s Sources<'s>,
    layers: &'s [Wanted],
    /// Blobs of kits in registries that the store has all the same.
    here: HashSet<Digest>,
    /// Blobs that are read in another way, unless they are asked for.
    others: &'s HashSet<Digest>,
    /// What comes already, with its place in the order.
    begun: VecDeque<(usize, Coming<'s>)>,
    /// The first layer that was not looked at.
    next: usize,
}

impl<'s> Ahead<'s> {
    pub(super) fn new(
        sources: &'s Sources<'s>,
        layers: &'s [Wanted],
        others: &'s HashSet<Digest>,
    ) -> Result<Self, Error> {
        let far = layers.iter().filter(|wanted| wanted.is_far());
        let far: Vec<_> = far.map(|wanted| &wanted.layer).collect();
        let here = if far.is_empty() {
            HashSet::new()
        } else {
            segments::unchanged(sources.store, far)?
        };
        Ok(Self {
            sources,
            layers,
            here,
            others,
            begun: VecDeque::new(),
            next: 0,
        })
    }

    /// Returns the layer at `position`, and begins with those after it.
    pub(super) fn source(&mut self, position: usize, label: String) -> unpack::Layer<Blob<'s>> {
        let wanted = &self.layers[position];
        let (read, stored) = match self.stream(position) {
            Some(stream) => (Blob::Far(stream), None),
            None => open(self.sources.store, &wanted.layer),
        };
        source(wanted, label, read, stored)
    }

    fn stream(&mut self, position: usize) -> Option<Coming<'s>> {
        let mine = match self.begun.front() {
            Some((begun, _)) if *begun == position => self.begun.pop_front(),
            _ => None,
        };
        let mine = mine.map(|(_, stream)| stream);
        // Read once more, or the first of all.
        let mine = mine.or_else(|| self.open(position));
        self.next = self.next.max(position + 1);
        let most = self.sources.streams.as_ref().map_or(0, Streams::at_once);
        while self.begun.len() + 1 < most && self.next < self.layers.len() {
            let digest = &self.layers[self.next].layer.descriptor.digest;
            let is_other = self.others.contains(digest);
            if let Some(stream) = (!is_other).then(|| self.open(self.next)).flatten() {
                self.begun.push_back((self.next, stream));
            }
            self.next += 1;
        }
        mine
    }

    fn open(&self, position: usize) -> Option<Coming<'s>> {
        let wanted = &self.layers[position];
        if self.here.contains(&wanted.layer.descriptor.digest) {
            return None;
        }
        self.sources.stream(wanted)
    }
}

fn open<'s>(store: &'s Store, layer: &Layer) -> (Blob<'s>, Option<Stored>) {
    match segments::open(store, layer) {
        Ok(file) => {
            let path = store.blob_path(&layer.descriptor.digest);
            let one = file.as_one().and_then(|file| file.try_clone().ok());
            let stored = one.map(|file| Stored { file, path });
            (Blob::Open(file), stored)
        }
        Err(why) => (Blob::Unusable(Some(io::Error::other(why))), None),
    }
}

pub(super) fn source<'s>(
    wanted: &Wanted,
    label: String,
    read: Blob<'s>,
    stored: Option<Stored>,
) -> unpack::Layer<Blob<'s>> {
    let layer = &wanted.layer;
    let descriptor = &layer.descriptor;
    let shape = if layer.layer_type.encoding.is_raw() {
        Shape::Raw {
            path: layer.entry.clean.clone().into_bytes(),
            executable: layer.executable(),
        }
    } else {
        Shape::Tar
    };
    unpack::Layer {
        label,
        digest: descriptor.digest,
        size: descriptor.size,
        diff_id: layer.entry.diff_id,
        prefix: wanted.prefix().into_bytes(),
        shape,
        compression: layer.compression(),
        plain_size: layer.plain_size(),
        read,
        stored,
    }
}

/// Begins to read an object as a layer that is one file.
pub(super) fn object<'s>(
    dataset: &Elsewhere,
    sources: &'s Sources<'_>,
    label: String,
) -> Result<unpack::Layer<Blob<'s>>, Error> {
    let (Source::Object { location, digest }, Some(objects)) = (&dataset.source, &sources.objects)
    else {
        unreachable!("objects are chosen by what they are, and the way to them is there with them");
    };
    let (read, size) = match objects.open(location) {
        Ok(stream) => {
            let size = stream.size();
            (Blob::Object(Box::new(stream)), size)
        }
        // What is wrong with one says nothing about the layers.
        Err(Error::S3(why)) => (Blob::Unusable(Some(io::Error::other(why))), 0),
        Err(why) => return Err(why),
    };
    Ok(unpack::Layer {
        label,
        digest: *digest,
        size,
        diff_id: None,
        prefix: Vec::new(),
        shape: Shape::Raw {
            path: dataset.path.clone().into_bytes(),
            executable: false,
        },
        compression: Compression::None,
        plain_size: None,
        read,
        stored: None,
    })
}
