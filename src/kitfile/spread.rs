//! Repeats elements, where the files of one have layers of their own.

use std::collections::BTreeMap;

use super::{
    Code, Dataset, Docs, Kitfile, Part, Prompt,
    clean::is_kit_reference,
    entries::{Section, holds_layer},
    validate::is_windows_absolute,
};

impl Kitfile {
    /// Puts one element for each path in the place of the elements whose places in
    /// [`Self::entries`] are the keys of `paths`. Name and licence are repeated; descriptions and
    /// parameters stand in the first. There is one model only: its further paths become its first
    /// parts. Servers stay as they are.
    ///
    /// Paths are files' paths or those of the elements, and none of the lists is empty.
    pub fn spread(&mut self, paths: &BTreeMap<usize, Vec<String>>) {
        let positions = self.entries();
        let places = |section: Section| -> BTreeMap<usize, &Vec<String>> {
            let entries = positions.iter().enumerate();
            entries
                .filter(|(_, entry)| entry.section == section)
                .filter_map(|(position, entry)| Some((entry.index, paths.get(&position)?)))
                .collect()
        };
        if let Some(model) = &mut self.model {
            repeat(&mut model.parts, &places(Section::Part), |part, path| {
                Part {
                    path,
                    ..part.clone()
                }
            });
            let places = places(Section::Model);
            if let Some([first, rest @ ..]) = places.get(&0).map(|paths| paths.as_slice())
                && holds_layer(&model.path)
            {
                model.path = written(first);
                let parts = rest.iter().map(|path| Part {
                    name: model.name.clone(),
                    path: written(path),
                    license: model.license.clone(),
                    ..Part::default()
                });
                model.parts.splice(0..0, parts);
            }
        }
        repeat(&mut self.code, &places(Section::Code), |code, path| Code {
            path,
            license: code.license.clone(),
            ..Code::default()
        });
        repeat(
            &mut self.datasets,
            &places(Section::Dataset),
            |data, path| Dataset {
                name: data.name.clone(),
                path,
                license: data.license.clone(),
                ..Dataset::default()
            },
        );
        repeat(&mut self.docs, &places(Section::Docs), |_, path| Docs {
            path,
            ..Docs::default()
        });
        repeat(
            &mut self.prompts,
            &places(Section::Prompt),
            |prompt, path| Prompt {
                name: prompt.name.clone(),
                path,
                ..Prompt::default()
            },
        );
    }
}

/// An element that has a path.
trait HasPath {
    fn path(&mut self) -> &mut String;
}

macro_rules! has_path {
    ($($element:ty),*) => {$(
        impl HasPath for $element {
            fn path(&mut self) -> &mut String {
                &mut self.path
            }
        }
    )*};
}
has_path!(Code, Dataset, Docs, Part, Prompt);

/// Repeats the elements of `list` that have `paths`; `further` makes one out of the first.
fn repeat<T: HasPath>(
    list: &mut Vec<T>,
    paths: &BTreeMap<usize, &Vec<String>>,
    further: impl Fn(&T, String) -> T,
) {
    for (index, mut element) in std::mem::take(list).into_iter().enumerate() {
        let Some([first, rest @ ..]) = paths.get(&index).map(|paths| paths.as_slice()) else {
            list.push(element);
            continue;
        };
        *element.path() = written(first);
        let rest: Vec<T> = rest
            .iter()
            .map(|path| further(&element, written(path)))
            .collect();
        list.push(element);
        list.extend(rest);
    }
}

/// Returns how a Kitfile writes the path of a file, which must not read as something else.
fn written(path: &str) -> String {
    if is_kit_reference(path) || is_windows_absolute(path) {
        format!("./{path}")
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kitfile::Model;

    fn paths(kitfile: &Kitfile) -> Vec<(Section, String)> {
        let entries = kitfile.entries().into_iter();
        entries.map(|entry| (entry.section, entry.path)).collect()
    }

    #[test]
    fn elements_are_repeated_where_they_stand() {
        let mut kitfile = Kitfile {
            model: Some(Model {
                name: "net".to_owned(),
                path: "w".to_owned(),
                license: "MIT".to_owned(),
                description: "long".to_owned(),
                parts: vec![Part {
                    path: "lora".to_owned(),
                    part_type: "lora".to_owned(),
                    ..Part::default()
                }],
                ..Model::default()
            }),
            datasets: ["remote", "d"]
                .map(|path| Dataset {
                    name: path.to_owned(),
                    path: path.to_owned(),
                    remote_path: if path == "remote" { "s3://a/b" } else { "" }.to_owned(),
                    description: "long".to_owned(),
                    ..Dataset::default()
                })
                .to_vec(),
            ..Kitfile::default()
        };
        let files = |list: &[&str]| list.iter().map(|path| (*path).to_owned()).collect();
        kitfile.spread(&BTreeMap::from([
            (0, files(&["m:1", "w/b"])),
            (1, files(&["lora/1", "lora/2"])),
            (2, files(&["d/1", "d/2", "C:x"])),
        ]));
        let expected = [
            (Section::Model, "./m:1"),
            (Section::Part, "w/b"),
            (Section::Part, "lora/1"),
            (Section::Part, "lora/2"),
            (Section::Dataset, "d/1"),
            (Section::Dataset, "d/2"),
            (Section::Dataset, "./C:x"),
        ];
        let expected = expected.map(|(section, path)| (section, path.to_owned()));
        assert_eq!(paths(&kitfile), expected);
        let model = kitfile.model.unwrap();
        assert_eq!(
            (&*model.parts[0].name, &*model.parts[0].license),
            ("net", "MIT")
        );
        assert_eq!(model.parts[2].part_type, "lora");
        assert_eq!(kitfile.datasets.len(), 4);
        let told = kitfile.datasets.iter().map(|data| data.description.len());
        assert_eq!(told.collect::<Vec<_>>(), [4, 4, 0, 0]);
    }
}
