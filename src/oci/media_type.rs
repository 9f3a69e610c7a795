//! Media types: what a blob says it is. Names of other tools are read here and nowhere else.

use std::fmt;

/// An image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The config of a `ModelKit`.
pub const CONFIG: &str = "application/vnd.kitops.modelkit.config.v1+json";
/// The artifact type of a `ModelKit`.
pub const ARTIFACT: &str = "application/vnd.kitops.modelkit.manifest.v1+json";
/// The config of a `ModelPack`.
pub const MODELPACK_CONFIG: &str = "application/vnd.cncf.model.config.v1+json";
/// The artifact type of a `ModelPack`.
pub const MODELPACK_ARTIFACT: &str = "application/vnd.cncf.model.manifest.v1+json";
/// The config of a `ModelPack` under its former name, read only.
pub const MODELPACK_CONFIG_FORMER: &str = "application/vnd.cnai.model.config.v1+json";
/// The artifact type of a `ModelPack` under its former name, read only.
pub const MODELPACK_ARTIFACT_FORMER: &str = "application/vnd.cnai.model.manifest.v1+json";
/// The config of artifacts that have nothing to say in it: an empty object.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// A table of contents, and the artifact that keeps it alive in a registry.
pub const TOC: &str = "application/vnd.modelkit.toc.v1";
/// A part of a layer that is kept in several blobs.
pub const SEGMENT: &str = "application/vnd.modelkit.segment.v1";

/// Which specification a kit follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `KitOps`'s own format.
    ModelKit,
    /// The CNCF's format.
    ModelPack,
}

impl Family {
    /// Returns the family of kits whose config has this media type; `None` for what is no kit.
    pub fn of_config(media_type: &str) -> Option<Self> {
        match media_type {
            CONFIG => Some(Self::ModelKit),
            MODELPACK_CONFIG | MODELPACK_CONFIG_FORMER => Some(Self::ModelPack),
            _ => None,
        }
    }

    /// Returns the media type of the config.
    pub const fn config(self) -> &'static str {
        match self {
            Self::ModelKit => CONFIG,
            Self::ModelPack => MODELPACK_CONFIG,
        }
    }

    /// Returns the artifact type of the manifest.
    pub const fn artifact(self) -> &'static str {
        match self {
            Self::ModelKit => ARTIFACT,
            Self::ModelPack => MODELPACK_ARTIFACT,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::ModelKit => "application/vnd.kitops.modelkit.",
            Self::ModelPack => "application/vnd.cncf.model.",
        }
    }
}

/// What the files of a layer are for. Prompts are [`LayerKind::Code`] with an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerKind {
    /// The model itself.
    Model,
    /// A part of the model, such as an adapter.
    ModelPart,
    /// Code.
    Code,
    /// A dataset.
    Dataset,
    /// Documentation.
    Docs,
    /// A bundled MCP server.
    McpServer,
}

impl LayerKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Model,
        Self::ModelPart,
        Self::Code,
        Self::Dataset,
        Self::Docs,
        Self::McpServer,
    ];

    /// Returns the name in a media type; `None` if the family has no such kind.
    const fn name(self, family: Family) -> Option<&'static str> {
        Some(match (family, self) {
            (Family::ModelKit, Self::Model) => "model",
            (Family::ModelKit, Self::ModelPart) => "modelpart",
            (Family::ModelKit, Self::Docs) => "docs",
            (Family::ModelKit, Self::McpServer) => "mcpb",
            (_, Self::Code) => "code",
            (_, Self::Dataset) => "dataset",
            (Family::ModelPack, Self::Model) => "weight",
            (Family::ModelPack, Self::ModelPart) => "weight.config",
            (Family::ModelPack, Self::Docs) => "doc",
            (Family::ModelPack, Self::McpServer) => return None,
        })
    }
}

/// How the files of a layer become one blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// A tar archive.
    Tar,
    /// A tar archive in gzip.
    TarGzip,
    /// A tar archive in zstd.
    TarZstd,
    /// The bytes of the one file.
    Raw,
    /// The bytes of the one file in gzip.
    RawGzip,
    /// The bytes of the one file in zstd.
    RawZstd,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 6] = [
        Self::Tar,
        Self::TarGzip,
        Self::TarZstd,
        Self::Raw,
        Self::RawGzip,
        Self::RawZstd,
    ];

    /// Tells whether the layer is a single file without a tar around it.
    pub const fn is_raw(self) -> bool {
        matches!(self, Self::Raw | Self::RawGzip | Self::RawZstd)
    }

    /// Tells whether the blob differs from what its diffId names.
    pub const fn is_compressed(self) -> bool {
        !matches!(self, Self::Tar | Self::Raw)
    }

    /// Returns the name at the end of a media type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::TarGzip => "tar+gzip",
            Self::TarZstd => "tar+zstd",
            Self::Raw => "raw",
            Self::RawGzip => "raw+gzip",
            Self::RawZstd => "raw+zstd",
        }
    }
}

/// The media type of a layer, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerType {
    /// Which specification names it.
    pub family: Family,
    /// What the files are for.
    pub kind: LayerKind,
    /// How they are packed.
    pub encoding: Encoding,
}

impl LayerType {
    /// Reads the media type of a layer; `None` if it is not one of a kit.
    ///
    /// The former `cnai` names and Docker's own `gguf` and `safetensors` (raw weights) are
    /// understood; they are never written.
    pub fn parse(media_type: &str) -> Option<Self> {
        let (family, rest) = [
            (Family::ModelKit, Family::ModelKit.prefix()),
            (Family::ModelPack, Family::ModelPack.prefix()),
            (Family::ModelPack, "application/vnd.cnai.model."),
        ]
        .into_iter()
        .find_map(|(family, prefix)| Some((family, media_type.strip_prefix(prefix)?)))?;
        let (kind, encoding) = rest.split_once(".v1.")?;
        let kind = LayerKind::ALL
            .into_iter()
            .find(|known| known.name(family) == Some(kind))?;
        let encoding = match (family, kind, encoding) {
            (Family::ModelPack, LayerKind::Model, "gguf" | "safetensors") => Encoding::Raw,
            _ => Encoding::ALL
                .into_iter()
                .find(|known| known.name() == encoding)?,
        };
        let layer = Self {
            family,
            kind,
            encoding,
        };
        layer.is_defined().then_some(layer)
    }

    /// Tells whether such layers exist: servers are always raw, and no part of a `ModelPack`.
    pub const fn is_defined(self) -> bool {
        match self.kind {
            LayerKind::McpServer => {
                matches!(self.family, Family::ModelKit) && matches!(self.encoding, Encoding::Raw)
            }
            _ => true,
        }
    }
}

/// Writes the media type. One that is not defined reads like others but is not parsed again.
impl fmt::Display for LayerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.name(self.family).unwrap_or("mcpb");
        write!(
            f,
            "{}{kind}.v1.{}",
            self.family.prefix(),
            self.encoding.name()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defined_layer_type_reads_back() {
        let mut defined = 0;
        for family in [Family::ModelKit, Family::ModelPack] {
            for kind in LayerKind::ALL {
                for encoding in Encoding::ALL {
                    let layer = LayerType {
                        family,
                        kind,
                        encoding,
                    };
                    let read = LayerType::parse(&layer.to_string());
                    assert_eq!(read, layer.is_defined().then_some(layer), "{layer}");
                    defined += usize::from(layer.is_defined());
                }
            }
        }
        assert_eq!(defined, 5 * 6 + 1 + 5 * 6);
    }

    #[test]
    fn names_are_those_of_the_specifications() {
        use {Encoding as E, Family as F, LayerKind as K};
        for (media_type, family, kind, encoding) in [
            (
                "kitops.modelkit.model.v1.tar",
                F::ModelKit,
                K::Model,
                E::Tar,
            ),
            (
                "kitops.modelkit.modelpart.v1.tar+gzip",
                F::ModelKit,
                K::ModelPart,
                E::TarGzip,
            ),
            (
                "kitops.modelkit.code.v1.tar+zstd",
                F::ModelKit,
                K::Code,
                E::TarZstd,
            ),
            (
                "kitops.modelkit.dataset.v1.raw",
                F::ModelKit,
                K::Dataset,
                E::Raw,
            ),
            (
                "kitops.modelkit.docs.v1.raw+gzip",
                F::ModelKit,
                K::Docs,
                E::RawGzip,
            ),
            (
                "kitops.modelkit.mcpb.v1.raw",
                F::ModelKit,
                K::McpServer,
                E::Raw,
            ),
            ("cncf.model.weight.v1.raw", F::ModelPack, K::Model, E::Raw),
            (
                "cncf.model.weight.config.v1.tar",
                F::ModelPack,
                K::ModelPart,
                E::Tar,
            ),
            (
                "cncf.model.doc.v1.tar+gzip",
                F::ModelPack,
                K::Docs,
                E::TarGzip,
            ),
            (
                "cncf.model.code.v1.tar+zstd",
                F::ModelPack,
                K::Code,
                E::TarZstd,
            ),
            (
                "cncf.model.dataset.v1.raw",
                F::ModelPack,
                K::Dataset,
                E::Raw,
            ),
            ("cnai.model.weight.v1.tar", F::ModelPack, K::Model, E::Tar),
            ("cncf.model.weight.v1.gguf", F::ModelPack, K::Model, E::Raw),
            (
                "cncf.model.weight.v1.safetensors",
                F::ModelPack,
                K::Model,
                E::Raw,
            ),
        ] {
            let layer = LayerType {
                family,
                kind,
                encoding,
            };
            let media_type = format!("application/vnd.{media_type}");
            assert_eq!(LayerType::parse(&media_type), Some(layer), "{media_type}");
        }
    }

    #[test]
    fn other_media_types_are_no_layers_of_a_kit() {
        for media_type in [
            "",
            CONFIG,
            MANIFEST,
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.kitops.modelkit.model.v1.tar+gzip+zstd",
            "application/vnd.kitops.modelkit.model.v1.tar+lz4",
            "application/vnd.kitops.modelkit.model.v2.tar",
            "application/vnd.kitops.modelkit.weight.v1.tar",
            "application/vnd.kitops.modelkit.model.v1.gguf",
            "application/vndxkitops.modelkit.model.v1.tar",
            "application/vnd.cncf.model.model.v1.raw",
            "application/vnd.cncf.model.doc.v1.gguf",
            "application/vnd.kitops.modelkit.mcpb.v1.tar",
            "application/vnd.kitops.modelkit.model.v1.tar ",
        ] {
            assert_eq!(LayerType::parse(media_type), None, "{media_type}");
        }
    }

    #[test]
    fn the_family_is_told_by_the_config() {
        for family in [Family::ModelKit, Family::ModelPack] {
            assert_eq!(Family::of_config(family.config()), Some(family));
        }
        assert_eq!(
            Family::of_config(MODELPACK_CONFIG_FORMER),
            Some(Family::ModelPack)
        );
        assert_eq!(
            Family::of_config("application/vnd.oci.image.config.v1+json"),
            None
        );
    }
}
