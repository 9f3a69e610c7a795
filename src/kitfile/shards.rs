//! Elements that stand in a config once for each of their layers, because their folder is cut into
//! several: models, parts and datasets.

use std::collections::BTreeMap;

use super::{Dataset, Kitfile, Layer, Model, Part, entries::holds_layer};

impl Kitfile {
    /// Makes one element of each and the neighbours that repeat it.
    pub(super) fn fold(&mut self) {
        if let Some(model) = &mut self.model {
            let is_more = |part: &Part| part.repeats_model(model);
            let count = model.parts.iter().take_while(|part| is_more(part)).count();
            if holds_layer(&model.path) {
                let parts = model.parts.drain(..count);
                model.shards.extend(parts.map(|part| part.layer));
            }
            fold(&mut model.parts);
        }
        fold(&mut self.datasets);
    }

    /// Gives the elements whose places in [`Self::entries`] are the keys of `counts` that many
    /// layers each, of which nothing is known, and all others one.
    pub fn cut(&mut self, counts: &BTreeMap<usize, usize>) {
        let mut position = 0;
        let mut shards = |is_entry: bool| {
            let count = counts.get(&position).filter(|_| is_entry);
            position += usize::from(is_entry);
            vec![Layer::default(); count.map_or(0, |count| count.saturating_sub(1))]
        };
        if let Some(model) = &mut self.model {
            model.shards = shards(holds_layer(&model.path));
            for part in &mut model.parts {
                part.shards = shards(true);
            }
        }
        for _ in &self.code {
            shards(true);
        }
        for data in &mut self.datasets {
            data.shards = shards(data.remote_path.is_empty());
        }
    }
}

/// An element whose folder may be in several layers.
pub(super) trait Sharded {
    /// Tells whether this is how the element before it is repeated for a further layer: by its name
    /// and its path as they are written, and by nothing that says more.
    fn repeats(&self, first: &Self) -> bool;
    /// Returns its layer, and where further ones go.
    fn places(&mut self) -> (Layer, &mut Vec<Layer>);
}

impl Part {
    /// Tells whether this stands for a further layer of the model.
    pub(super) fn repeats_model(&self, model: &Model) -> bool {
        (&self.name, &self.path) == (&model.name, &model.path)
            && self.license.is_empty()
            && self.part_type.is_empty()
    }
}

impl Sharded for Part {
    fn repeats(&self, first: &Self) -> bool {
        (&self.name, &self.path, &self.part_type) == (&first.name, &first.path, &first.part_type)
            && self.license.is_empty()
    }
    fn places(&mut self) -> (Layer, &mut Vec<Layer>) {
        (self.layer, &mut self.shards)
    }
}

impl Sharded for Dataset {
    fn repeats(&self, first: &Self) -> bool {
        let is_here = |data: &Self| data.remote_path.is_empty() && data.remote_hash.is_empty();
        (&self.name, &self.path) == (&first.name, &first.path)
            && is_here(self)
            && is_here(first)
            && self.description.is_empty()
            && self.license.is_empty()
            && self.parameters.is_none()
    }
    fn places(&mut self) -> (Layer, &mut Vec<Layer>) {
        (self.layer, &mut self.shards)
    }
}

fn fold<T: Sharded>(list: &mut Vec<T>) {
    list.dedup_by(|next, first| {
        let is_more = next.repeats(first);
        if is_more {
            let (layer, _) = next.places();
            first.places().1.push(layer);
        }
        is_more
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::Digest,
        kitfile::{Entry, Section, parse},
    };

    const WRITTEN: &str = "manifestVersion: \"1.0.0\"
model:
  name: net
  path: ./w
  license: MIT
  parts:
    - name: lora
      path: lora
      license: MIT
      type: lora
    - name: net
      path: other
  parameters:
    a: 1
code:
  - path: src
datasets:
  - name: rows
    path: data/
    description: all of them
    license: MIT
    parameters:
      b: 2
  - name: far
    path: far
    remotePath: s3://a/b
    remoteHash: abc
  - name: more
    path: more
";

    fn places(kitfile: &Kitfile) -> Vec<(Section, usize, usize, Option<Digest>)> {
        let one = |it: Entry| (it.section, it.index, it.shard, it.digest);
        kitfile.layers().into_iter().map(one).collect()
    }

    /// Returns the Kitfile above with its model, its first part and its first dataset cut.
    fn cut() -> Kitfile {
        let mut kitfile = parse(WRITTEN).unwrap().kitfile;
        kitfile.cut(&BTreeMap::from([(0, 3), (1, 2), (4, 2)]));
        let digests = (0..10_u8).map(|number| Digest::of(&[number]));
        kitfile.set_layers(digests.map(|digest| (digest, digest)));
        kitfile
    }

    #[test]
    fn a_config_repeats_an_element_for_each_of_its_layers_and_reads_back_folded() {
        let kitfile = cut();
        let sections = [
            (Section::Model, 0, 0),
            (Section::Model, 0, 1),
            (Section::Model, 0, 2),
            (Section::Part, 0, 0),
            (Section::Part, 0, 1),
            (Section::Part, 1, 0),
            (Section::Code, 0, 0),
            (Section::Dataset, 0, 0),
            (Section::Dataset, 0, 1),
            (Section::Dataset, 2, 0),
        ];
        let shown = places(&kitfile).into_iter();
        let shown: Vec<_> = shown.map(|it| (it.0, it.1, it.2)).collect();
        assert_eq!(shown, sections);
        let config = String::from_utf8(kitfile.to_config()).unwrap();
        for (text, count) in [
            (r#"{"name":"net","path":"./w","digest":"#, 2),
            (
                r#"{"name":"lora","path":"lora","license":"MIT","type":"lora","digest":"#,
                1,
            ),
            (r#"{"name":"lora","path":"lora","type":"lora","digest":"#, 1),
            (
                r#"{"name":"rows","path":"data/","description":"all of them","license":"MIT","parameters":{"b":2},"digest":"#,
                1,
            ),
            (r#"{"name":"rows","path":"data/","digest":"#, 1),
        ] {
            assert_eq!(config.matches(text).count(), count, "{text} in {config}");
        }
        let read = Kitfile::from_config(config.as_bytes()).unwrap();
        assert_eq!(read, kitfile);
        assert_eq!(places(&read), places(&kitfile));
        // For people there is nothing to be seen of it.
        assert_eq!(read.to_yaml(), WRITTEN);
        assert_eq!(read.entries().len(), 6);
    }

    #[test]
    fn a_kitfile_that_repeats_elements_as_a_config_does_is_the_one_that_was_packed() {
        // What KitOps writes when it unpacks: the config without digests.
        let again = "    - name: net\n      path: ./w\n".repeat(2);
        let text = WRITTEN.replacen("  parts:\n", &format!("  parts:\n{again}"), 1);
        let again = "      type: lora\n    - name: lora\n      path: lora\n      type: lora\n";
        let text = text.replacen("      type: lora\n", again, 1);
        let again = "      b: 2\n  - name: rows\n    path: data/\n";
        let text = text.replacen("      b: 2\n", again, 1);
        let parsed = parse(&text).unwrap();
        assert_eq!(parsed.kitfile, parse(WRITTEN).unwrap().kitfile);
        assert!(parsed.warnings.is_empty());
    }

    #[test]
    fn what_says_more_or_lies_apart_is_no_repetition() {
        for text in [
            "datasets: [{name: a, path: d}, {name: a, path: ./d}]",
            "datasets: [{name: a, path: d}, {name: b, path: d}]",
            "datasets: [{name: a, path: d}, {name: a, path: d, description: x}]",
            "datasets: [{name: a, path: d}, {name: b, path: e}, {name: a, path: d}]",
            "datasets: [{name: a, path: d, remotePath: 's3://a/b', remoteHash: a}, {name: a, path: d}]",
            "model: {name: a, path: d, parts: [{name: b, path: e}, {name: a, path: d}]}",
            "model: {name: a, path: d, parts: [{name: a, path: d, type: lora}]}",
            "model: {name: a, parts: [{path: e, type: x}, {path: e}]}",
            "code: [{path: d}, {path: d}]",
            "docs: [{path: d}, {path: d}]",
        ] {
            let problems = parse(text).unwrap_err().to_string();
            assert!(problems.contains("use the same path"), "{text}: {problems}");
        }
        // The model is elsewhere: parts of its name are nothing of it.
        let text = "model: {name: a, path: 'team/net:1', parts: [{name: a, path: d}]}";
        let parts = parse(text).unwrap().kitfile.model.unwrap().parts;
        assert_eq!(parts.len(), 1);
    }
}
