use std::collections::HashMap;

use super::*;
use crate::{digest::Digest, kitfile::parse};

/// Kits by name, each with what its `model.path` says.
struct Kits(HashMap<&'static str, &'static str>);

impl Kits {
    fn of(kits: &[(&'static str, &'static str)]) -> Self {
        Self(kits.iter().copied().collect())
    }

    fn find(&self, reference: &Reference) -> Result<(Descriptor, Kitfile), Error> {
        let name = reference.to_string();
        match self.0.get(name.as_str()) {
            Some(path) => Ok((descriptor(&name), kitfile(path))),
            None => Err(store::Error::NotFound {
                reference: reference.clone(),
                suggestions: Vec::new(),
            }
            .into()),
        }
    }

    /// Follows the chain of a kit with this `model.path` and these names, and shows what came of it.
    fn follow(&self, names: &str, path: &str) -> String {
        let names = Reference::parse_list(names).unwrap();
        let child = Child {
            names: &names,
            descriptor: None,
            kitfile: &kitfile(path),
        };
        show(follow(child, &|reference| self.find(reference)))
    }
}

fn show(followed: Result<Vec<Parent>, Error>) -> String {
    match followed {
        Ok(parents) => {
            let names: Vec<_> = parents.iter().map(|it| it.reference.to_string()).collect();
            names.join(" ")
        }
        Err(error) => error.to_string(),
    }
}

fn kitfile(model: &str) -> Kitfile {
    parse(&format!("model:\n  path: {model}\n"))
        .unwrap()
        .kitfile
}

fn descriptor(name: &str) -> Descriptor {
    Descriptor::new("kit", Digest::of(name.as_bytes()), 1)
}

#[test]
fn chains_are_followed_to_the_kit_with_the_model() {
    let kits = Kits::of(&[
        ("b:1", "c:1"),
        ("c:1", "model.bin"),
        ("d:latest", "model.bin"),
        ("self:1", "self:1"),
        ("x:1", "y:1"),
        ("y:1", "x:1"),
    ]);
    for (names, path, shown) in [
        ("a:1", "./b:1", ""),
        ("a:1", "c:1", "c:1"),
        ("a:1", "localhost/b:1", "b:1 c:1"),
        (
            "a:1",
            "localhost:80/b",
            "parent kit localhost:80/b:latest is not in the store (a:1 => localhost:80/b:latest)",
        ),
        (
            "a:1",
            "z:1",
            "parent kit z:1 is not in the store (a:1 => z:1)",
        ),
        (
            "a:1",
            "a:1",
            "kits take their model from each other in a circle: a:1 => a:1",
        ),
        (
            "b:2,3",
            "b:3",
            "kits take their model from each other in a circle: b:3 => b:3",
        ),
        (
            "c:1",
            "b:1",
            "kits take their model from each other in a circle: c:1 => b:1 => c:1",
        ),
        (
            "a:1",
            "x:1",
            "kits take their model from each other in a circle: a:1 => x:1 => y:1 => x:1",
        ),
    ] {
        assert_eq!(kits.follow(names, path), shown, "{names} {path}");
    }
}

#[test]
fn a_circle_is_seen_by_digest_too() {
    let names = [Reference::parse("a:1").unwrap()];
    let own = descriptor("same");
    let followed = follow(
        Child {
            names: &names,
            descriptor: Some(&own),
            kitfile: &kitfile("other:2"),
        },
        &|_| Ok((descriptor("same"), kitfile("model.bin"))),
    );
    assert!(show(followed).ends_with("in a circle: a:1 => other:2, which is a kit met before"));
}

#[test]
fn ten_parents_are_followed_and_not_one_more() {
    let names: Vec<String> = (0..12).map(|number| format!("k:{number}")).collect();
    let follow_to = |last: usize| {
        let next = |at: usize| {
            if at == last {
                "model.bin".to_owned()
            } else {
                names[at + 1].clone()
            }
        };
        let child = Child {
            names: &[],
            descriptor: None,
            kitfile: &kitfile("k:1"),
        };
        show(follow(child, &|reference| {
            let name = reference.to_string();
            let at = names.iter().position(|known| *known == name).unwrap();
            Ok((descriptor(&name), kitfile(&next(at))))
        }))
    };
    assert_eq!(follow_to(10).split(' ').count(), MAX_PARENTS);
    let shown = follow_to(11);
    assert!(
        shown.starts_with("more than 10 kits take their model from one another: this kit => k:1")
            && shown.ends_with("=> k:10 => k:11"),
        "{shown}"
    );
}

#[test]
fn paths_are_compared_across_all_kits_of_a_chain() {
    let parent = |name: &str, text: &str| Parent {
        reference: Reference::parse(name).unwrap(),
        descriptor: descriptor(name),
        kitfile: parse(text).unwrap().kitfile,
    };
    let child = parse(
        "model: {path: 'b:1'}\ncode: [{path: .}]\ndocs: [{path: ./README.md}]\n\
         datasets: [{name: far, path: far, remotePath: 'd:1'}]\n",
    )
    .unwrap()
    .kitfile;
    let parents = [
        parent(
            "b:1",
            "model: {path: 'c:1', parts: [{name: lora, path: w/lora.bin}]}\ndocs: [{path: README.md}]\n",
        ),
        parent(
            "c:1",
            "model: {name: net, path: w}\ncode: [{path: w/lora.bin/..//lora.bin}, {path: far}]\n",
        ),
    ];
    let error = check("a:1", &child, &parents).unwrap_err();
    let Error::Chain(error) = error else {
        panic!("{error}");
    };
    let ChainError::SharedPaths { clashes } = *error else {
        panic!("{error}");
    };
    assert_eq!(
        clashes,
        [
            "`README.md`: docs of a:1, docs of b:1",
            "`far`: dataset `far` of a:1, code of c:1",
            "`w/lora.bin`: modelpart `lora` of b:1, code of c:1",
        ]
    );
    check("a:1", &child, &[]).unwrap();
    let paths = ["w".to_owned(), "far".to_owned()];
    let claimed = claimed(&parents, &paths);
    assert_eq!(claimed[0].owner, "model `net` of c:1");
    assert!(claimed[0].is_model && !claimed[1].is_model);
}
