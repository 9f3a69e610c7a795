//! A directory, and what its file system can do.

use std::path::Path;

use serde::Serialize;

use crate::{
    cli::human,
    platform::{self, Ability, Volume},
};

/// A directory and what its file system can do.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    pub(super) path: String,
    exists: bool,
    file_system: Option<&'static str>,
    free: Option<u64>,
    writable: Option<bool>,
    network: bool,
    folds_case: Option<bool>,
    shares_blocks: Option<bool>,
    hard_links: Option<bool>,
    syncs: Option<bool>,
}

impl Place {
    /// Looks at the directory `path`, which need not be there.
    pub(super) fn of(path: &Path) -> Self {
        let exists = path.is_dir();
        // Of a folder that is not there the one above it counts, which will hold it.
        let nearest = path.ancestors().find(|above| above.is_dir());
        let volume = Volume::of(nearest.unwrap_or(path));
        let known = |ability| match ability {
            Ability::Yes => Some(true),
            Ability::No => Some(false),
            Ability::Unknown => None,
        };
        Self {
            path: path.to_string_lossy().into_owned(),
            exists,
            file_system: volume.kind,
            free: platform::free_space(nearest.unwrap_or(path)),
            writable: known(volume.is_writable),
            network: volume.is_network,
            folds_case: known(volume.folds_case),
            shares_blocks: known(volume.shares_blocks),
            hard_links: known(volume.links_files),
            syncs: known(volume.syncs),
        }
    }

    /// Returns what is wrong with it for a home, each with what helps.
    pub(super) fn problems(&self) -> Vec<(String, &'static str)> {
        let another = "name another with --config PATH or KITOPS_HOME";
        let path = &self.path;
        let mut problems = Vec::new();
        if Path::new(path).exists() && !self.exists {
            problems.push((format!("the home {path} is not a folder"), another));
        } else if self.writable == Some(false) {
            let problem = if self.exists {
                format!("the home {path} cannot be written to")
            } else {
                format!("the home {path} cannot be made")
            };
            problems.push((problem, another));
        }
        if self.network {
            let kind = self.file_system.unwrap_or("unknown");
            problems.push((
                format!("the home {path} is on a network file system ({kind})"),
                "locks and syncs may not hold there: keep the store on a local disk",
            ));
        }
        if self.syncs == Some(false) {
            problems.push((
                format!("the file system of {path} makes no folder durable"),
                "keep the store on another disk",
            ));
        }
        problems
    }

    /// Returns it in one line.
    pub(super) fn shown(&self) -> String {
        let yes = |name: &str, ability: Option<bool>| match ability {
            Some(true) => Some(name.to_owned()),
            Some(false) => Some(format!("no {name}")),
            None => None,
        };
        let mut parts: Vec<String> = Vec::new();
        if !self.exists {
            parts.push("not there yet".to_owned());
        }
        parts.extend(self.file_system.map(str::to_owned));
        parts.extend(self.free.map(|free| format!("{} free", human::bytes(free))));
        if self.writable == Some(false) {
            parts.push("not writable".to_owned());
        }
        parts.extend(yes("case folding", self.folds_case));
        parts.extend(yes("shared blocks", self.shares_blocks));
        parts.extend(yes("hard links", self.hard_links));
        parts.extend(yes("syncs", self.syncs));
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a home with which all is well.
    fn home() -> Place {
        Place {
            path: "/nowhere/kit".to_owned(),
            exists: true,
            file_system: Some("xfs"),
            free: Some(1 << 40),
            writable: Some(true),
            network: false,
            folds_case: Some(false),
            shares_blocks: None,
            hard_links: Some(true),
            syncs: Some(true),
        }
    }

    // hazard: 107
    #[test]
    fn what_makes_a_home_unfit_is_told_and_what_is_not_known_is_not() {
        let told = |change: fn(&mut Place)| {
            let mut place = home();
            change(&mut place);
            let problems = place.problems().into_iter();
            let problems: Vec<String> = problems
                .map(|(problem, hint)| format!("{problem} ({hint})"))
                .collect();
            problems.join("; ")
        };
        let another = "name another with --config PATH or KITOPS_HOME";
        assert_eq!(told(|_| {}), "");
        assert_eq!(
            told(|home| {
                home.writable = None;
                home.syncs = None;
                home.file_system = None;
                home.exists = false;
            }),
            ""
        );
        assert_eq!(
            told(|home| home.writable = Some(false)),
            format!("the home /nowhere/kit cannot be written to ({another})")
        );
        assert_eq!(
            told(|home| {
                home.exists = false;
                home.writable = Some(false);
            }),
            format!("the home /nowhere/kit cannot be made ({another})")
        );
        assert_eq!(
            told(|home| {
                home.network = true;
                home.file_system = Some("nfs");
            }),
            "the home /nowhere/kit is on a network file system (nfs) \
             (locks and syncs may not hold there: keep the store on a local disk)"
        );
        assert_eq!(
            told(|home| home.syncs = Some(false)),
            "the file system of /nowhere/kit makes no folder durable (keep the store on another disk)"
        );
    }

    #[test]
    fn a_line_tells_what_a_place_has_and_lacks() {
        assert_eq!(
            home().shown(),
            "xfs, 1.0 TiB free, no case folding, hard links, syncs"
        );
        let mut place = home();
        (place.exists, place.writable) = (false, Some(false));
        assert_eq!(
            place.shown(),
            "not there yet, xfs, 1.0 TiB free, not writable, no case folding, hard links, syncs"
        );
    }
}
