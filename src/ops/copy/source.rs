//! Where is copied from.

use std::{
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use super::{Options, Place};
use crate::{
    archive::bundle::Bundle,
    digest::Digest,
    limits::Limits,
    oci::{Contents, Descriptor, Index, Manifest, annotation},
    ops::{
        Error,
        load::{self, is_called},
        pull::Registries,
        referrers::fallback_tag,
        supply::{Content, Flow},
        transfer::Network,
    },
    progress::Progress,
    reference::{self, Reference},
    registry::{self, Raw, Repository, Supply},
};

/// A repository or a layout.
pub(super) enum Source<'n> {
    Registry {
        repository: Repository,
        name: reference::Repository,
        network: &'n Network,
        progress: &'n dyn Progress,
    },
    Layout {
        layout: Arc<load::Source>,
        index: Index,
        path: String,
    },
}

impl<'n> Source<'n> {
    pub(super) fn open(
        options: &Options,
        network: &'n Network,
        registries: &dyn Registries,
        progress: &'n dyn Progress,
    ) -> Result<Self, Error> {
        Ok(match &options.source {
            Place::Registry(reference) => {
                let name = reference.repository();
                let name = name.filter(|name| name.registry().is_some());
                let name = name.ok_or_else(|| Error::NoRegistry {
                    reference: reference.to_string(),
                })?;
                Self::Registry {
                    repository: registries.repository(name)?,
                    name: name.clone(),
                    network,
                    progress,
                }
            }
            Place::Layout { path, .. } => Self::layout(path, &options.limits)?,
        })
    }

    fn layout(path: &Path, limits: &Limits) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let bundle = Arc::new(Bundle::open(path, limits)?);
        let layout = load::Source::new(bundle, shown.clone(), "");
        Ok(Self::Layout {
            index: layout.index()?,
            layout: Arc::new(layout),
            path: shown,
        })
    }

    /// Returns what it is called.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Registry { name, .. } => name.to_string(),
            Self::Layout { path, .. } => path.clone(),
        }
    }

    /// Returns the path of the repository in its registry, if that is the one of `target`.
    pub(super) fn path_in(&self, target: &reference::Repository) -> Option<String> {
        match self {
            Self::Registry { name, .. } if name.registry() == target.registry() => {
                Some(name.path().to_owned())
            }
            _ => None,
        }
    }

    fn wait<T>(
        &self,
        future: impl Future<Output = Result<T, registry::Error>>,
    ) -> Result<T, Error> {
        match self {
            Self::Registry {
                network, progress, ..
            } => network.wait(*progress, future),
            Self::Layout { .. } => unreachable!("a layout waits for nobody"),
        }
    }

    /// Finds the manifest that is to be copied.
    pub(super) fn root(&self, place: &Place) -> Result<Raw, Error> {
        match (self, place) {
            (Self::Registry { repository, .. }, Place::Registry(reference)) => {
                let wanted = match (reference.digest(), reference.tag()) {
                    (Some(digest), _) => digest.to_string(),
                    (None, tag) => tag.unwrap_or(Reference::LATEST).to_owned(),
                };
                self.wait(repository.raw_manifest(&wanted))
            }
            (Self::Layout { index, path, .. }, Place::Layout { name, .. }) => {
                let wanted = name.as_deref();
                let is_meant = |it: &&Descriptor| {
                    let called = it.annotations.get(annotation::REF_NAME);
                    match wanted {
                        Some(wanted) => {
                            called.is_some_and(|called| is_called(called, wanted))
                                || it.digest.to_string() == wanted
                        }
                        None => true,
                    }
                };
                let mut found: Vec<&Descriptor> = index.manifests.iter().filter(is_meant).collect();
                if wanted.is_none() && found.iter().any(|it| has_name(it)) {
                    // What has no name is there for what has one.
                    found.retain(|it| has_name(it));
                }
                found.sort_by_key(|it| it.digest);
                found.dedup_by_key(|it| it.digest);
                let names = || {
                    let all = index.manifests.iter();
                    let called = all.filter_map(|it| it.annotations.get(annotation::REF_NAME));
                    called.cloned().collect()
                };
                match found.as_slice() {
                    [only] => self.manifest(only),
                    [] => Err(Error::NoSuchName {
                        path: path.clone(),
                        name: wanted.unwrap_or_default().to_owned(),
                        names: names(),
                    }),
                    _ => Err(Error::Ambiguous {
                        path: path.clone(),
                        names: names(),
                    }),
                }
            }
            _ => unreachable!("a source is opened for its place"),
        }
    }

    /// Fetches a manifest that another one names.
    pub(super) fn manifest(&self, descriptor: &Descriptor) -> Result<Raw, Error> {
        match self {
            Self::Registry { repository, .. } => {
                self.wait(repository.raw_manifest(&descriptor.digest.to_string()))
            }
            Self::Layout { layout, .. } => {
                let bytes = layout.document(descriptor, Manifest::MAX_LEN as u64)?;
                let media_type = &descriptor.media_type;
                Ok(Raw {
                    descriptor: Descriptor::of(media_type, &bytes),
                    bytes,
                })
            }
        }
    }

    /// Returns what a tag names, if there is such a tag.
    pub(super) fn tagged(&self, tag: &str) -> Result<Option<Raw>, Error> {
        match self {
            Self::Registry { repository, .. } => match self.wait(repository.raw_manifest(tag)) {
                Ok(raw) => Ok(Some(raw)),
                Err(Error::Registry(registry::Error::NoManifest { .. })) => Ok(None),
                Err(error) => Err(error),
            },
            Self::Layout { index, .. } => {
                let is_it = |it: &&Descriptor| {
                    let name = it.annotations.get(annotation::REF_NAME);
                    name.is_some_and(|name| is_called(name, tag))
                };
                let found = index.manifests.iter().find(is_it);
                found.map(|it| self.manifest(it)).transpose()
            }
        }
    }

    /// Tells whether a blob is there.
    pub(super) fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        match self {
            Self::Registry { repository, .. } => self.wait(repository.has(blob)),
            Self::Layout { layout, .. } => match layout.open(blob) {
                Ok(_) => Ok(true),
                Err(Error::MissingSource { .. } | Error::DamagedSource { .. }) => Ok(false),
                Err(error) => Err(error),
            },
        }
    }

    /// Lists what names `subject` as its subject.
    pub(super) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        if let Self::Registry { repository, .. } = self
            && let Some(list) = self.wait(repository.referrers(subject))?
        {
            return Ok(list);
        }
        let mut found = Vec::new();
        if let Self::Layout { index, .. } = self {
            for descriptor in &index.manifests {
                // What cannot be read refers to nothing.
                let raw = self.manifest(descriptor).ok();
                let contents = raw.and_then(|raw| Contents::parse(&raw.bytes).ok());
                let about = contents.and_then(|it| it.subject);
                if about.is_some_and(|about| about.digest == *subject) {
                    found.push(descriptor.clone());
                }
            }
        }
        // Where no lists are kept, a tag leads to one.
        if let Some(raw) = self.tagged(&fallback_tag(subject))? {
            let index =
                Index::parse(&raw.bytes).map_err(|source| registry::Error::BadManifest {
                    registry: self.name(),
                    name: fallback_tag(subject),
                    source: Box::new(source),
                })?;
            found.extend(index.manifests);
        }
        Ok(found)
    }

    /// Returns what gives the content of a blob.
    pub(super) fn supply(&self, blob: &Descriptor) -> Arc<dyn Supply> {
        let opener = self.opener(blob);
        Arc::new(Flow::new(opener))
    }

    /// Returns what gives the content of a blob from a byte on.
    pub(super) fn opener(
        &self,
        blob: &Descriptor,
    ) -> impl Fn(u64) -> io::Result<Content> + Send + Sync + use<> {
        let blob = blob.clone();
        let place = match self {
            Self::Registry {
                repository,
                network,
                ..
            } => Ok((repository.clone(), network.handle())),
            Self::Layout { layout, .. } => Err(Arc::clone(layout)),
        };
        move |from| match &place {
            Ok((repository, runtime)) => {
                let reader = repository.reader(runtime.clone(), &blob, from);
                Ok(Box::new(reader) as Content)
            }
            Err(layout) => {
                let mut content = layout.open(&blob).map_err(io::Error::other)?;
                io::copy(&mut content.by_ref().take(from), &mut io::sink())?;
                Ok(content)
            }
        }
    }
}

fn has_name(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key(annotation::REF_NAME)
}
