//! The fields of a Kitfile in the order both forms are written in.

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_saphyr::FlowSeq;

use super::{Kitfile, Layer, Value};

/// What an element says, in order; fields without a value are left out when it is made.
pub(super) struct Fields<'a>(pub(super) Vec<(&'static str, Field<'a>)>);

/// What stands in a field.
pub(super) enum Field<'a> {
    Text(&'a str),
    /// A list on one line where the form has such a thing.
    Line(FlowSeq<&'a [String]>),
    Digest(crate::digest::Digest),
    Value(&'a Value),
    Element(Fields<'a>),
    List(Vec<Fields<'a>>),
}

/// The two forms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// YAML for people: without layers, and without an empty `package`.
    Kitfile,
    /// JSON for programs.
    Config,
}

impl<'a> Fields<'a> {
    /// Returns the fields of `kitfile`.
    pub(super) fn of(kitfile: &'a Kitfile, form: Form) -> Self {
        let package = &kitfile.package;
        let package = Self::new()
            .text("name", &package.name)
            .text("version", &package.version)
            .text("description", &package.description)
            .text("license", &package.license)
            .line("authors", &package.authors);
        let mut fields = Self::new().always("manifestVersion", &kitfile.manifest_version);
        if form == Form::Config || !package.0.is_empty() {
            fields.0.push(("package", Field::Element(package)));
        }
        if let Some(model) = &kitfile.model {
            let shard = |layer, name, path, part_type| {
                Self::new()
                    .text("name", name)
                    .text("path", path)
                    .text("type", part_type)
                    .layer(layer, form)
            };
            let of_model = further(&model.shards, form)
                .map(|layer| shard(layer, &model.name, &model.path, ""));
            let parts = model.parts.iter().flat_map(|part| {
                let first = Self::new()
                    .text("name", &part.name)
                    .text("path", &part.path)
                    .text("license", &part.license)
                    .text("type", &part.part_type)
                    .layer(&part.layer, form);
                let of_part = further(&part.shards, form)
                    .map(move |layer| shard(layer, &part.name, &part.path, &part.part_type));
                std::iter::once(first).chain(of_part)
            });
            let parts = of_model.chain(parts);
            let model = Self::new()
                .text("name", &model.name)
                .text("path", &model.path)
                .text("license", &model.license)
                .text("framework", &model.framework)
                .text("format", &model.format)
                .text("version", &model.version)
                .text("description", &model.description)
                .list("parts", parts)
                .value("parameters", model.parameters.as_ref())
                .layer(&model.layer, form);
            fields.0.push(("model", Field::Element(model)));
        }
        let code = kitfile.code.iter().map(|code| {
            Self::new()
                .text("path", &code.path)
                .text("description", &code.description)
                .text("license", &code.license)
                .layer(&code.layer, form)
        });
        let datasets = kitfile.datasets.iter().flat_map(|data| {
            let first = Self::new()
                .text("name", &data.name)
                .text("path", &data.path)
                .text("remotePath", &data.remote_path)
                .text("remoteHash", &data.remote_hash)
                .text("description", &data.description)
                .text("license", &data.license)
                .value("parameters", data.parameters.as_ref())
                .layer(&data.layer, form);
            let of_data = further(&data.shards, form).map(|layer| {
                Self::new()
                    .text("name", &data.name)
                    .text("path", &data.path)
                    .layer(layer, form)
            });
            std::iter::once(first).chain(of_data)
        });
        let docs = kitfile.docs.iter().map(|docs| {
            Self::new()
                .always("path", &docs.path)
                .text("description", &docs.description)
                .layer(&docs.layer, form)
        });
        let prompts = kitfile.prompts.iter().map(|prompt| {
            Self::new()
                .text("name", &prompt.name)
                .text("path", &prompt.path)
                .text("description", &prompt.description)
                .layer(&prompt.layer, form)
        });
        let mcp_servers = kitfile.mcp_servers.iter().map(|server| {
            Self::new()
                .text("name", &server.name)
                .text("path", &server.path)
                .text("description", &server.description)
                .layer(&server.layer, form)
        });
        fields
            .list("code", code)
            .list("datasets", datasets)
            .list("docs", docs)
            .list("prompts", prompts)
            .list("mcpServers", mcp_servers)
    }

    const fn new() -> Self {
        Self(Vec::new())
    }

    fn always(mut self, name: &'static str, text: &'a str) -> Self {
        self.0.push((name, Field::Text(text)));
        self
    }

    fn text(self, name: &'static str, text: &'a str) -> Self {
        if text.is_empty() {
            self
        } else {
            self.always(name, text)
        }
    }

    fn line(mut self, name: &'static str, texts: &'a [String]) -> Self {
        if !texts.is_empty() {
            self.0.push((name, Field::Line(FlowSeq(texts))));
        }
        self
    }

    fn value(mut self, name: &'static str, value: Option<&'a Value>) -> Self {
        if let Some(value) = value {
            self.0.push((name, Field::Value(value)));
        }
        self
    }

    fn list(mut self, name: &'static str, elements: impl Iterator<Item = Self>) -> Self {
        let elements: Vec<_> = elements.collect();
        if !elements.is_empty() {
            self.0.push((name, Field::List(elements)));
        }
        self
    }

    fn layer(mut self, layer: &Layer, form: Form) -> Self {
        if form == Form::Config {
            let digests = [("digest", layer.digest), ("diffId", layer.diff_id)];
            for (name, digest) in digests {
                self.0
                    .extend(digest.map(|digest| (name, Field::Digest(digest))));
            }
        }
        self
    }
}

/// Returns the further layers of an element, which only a config has.
fn further(shards: &[Layer], form: Form) -> std::slice::Iter<'_, Layer> {
    match form {
        Form::Kitfile => <&[Layer]>::default().iter(),
        Form::Config => shards.iter(),
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, field) in &self.0 {
            map.serialize_entry(name, field)?;
        }
        map.end()
    }
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Line(texts) => texts.serialize(serializer),
            Self::Digest(digest) => digest.serialize(serializer),
            Self::Value(value) => value.serialize(serializer),
            Self::Element(fields) => fields.serialize(serializer),
            Self::List(elements) => serializer.collect_seq(elements),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => serializer.serialize_i64(value),
                (_, Ok(value)) => serializer.serialize_u64(value),
                _ => serializer.serialize_i128(*value),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(values) => serializer.collect_map(values),
        }
    }
}
