//! What of a context is packed in no layer, and what the user hears of it.

use std::{fs, path::Path};

use super::Walk;
use crate::{
    archive::{error::Error, guard::Seen, ignore::Decider},
    platform,
};

impl Walk<'_> {
    pub(super) fn count_ignored(&mut self, decider: Decider<'_>) {
        match decider {
            Decider::Line(..) => self.found.ignored += 1,
            Decider::Litter(name) => *self.found.litter.entry(name).or_default() += 1,
            Decider::Description(_) => {}
        }
        let layers = self
            .owners
            .at(&self.path, None)
            .into_iter()
            .chain(self.owners.below(&self.path).iter().copied());
        for layer in layers {
            self.found.ignored_layers.push((layer, decider.to_string()));
        }
    }

    /// Returns why what a link leads to must stay out although the link's own name may be packed.
    pub(super) fn guarded_end(&self, end: &Path) -> Option<String> {
        let guard = self.options.guard?;
        let path = match self.links.inside(end) {
            Some(path) => String::from_utf8_lossy(&path).into_owned(),
            None => end.file_name()?.to_string_lossy().into_owned(),
        };
        guard(Seen::End(&path)).map(|reason| format!("it leads to `{path}`: {reason}"))
    }

    /// Tells that a file or link, which is at `on_disk`, is in no layer of a draft.
    pub(super) fn tell_uncovered(&mut self, on_disk: &Path) {
        let shown = self.shown();
        let end = fs::canonicalize(on_disk).ok();
        if let Some(reason) = end.and_then(|end| self.guarded_end(&end)) {
            self.found.guarded.push((shown, reason));
        } else {
            let warning = format!("`{shown}` is in no layer of the draft");
            self.found.warnings.push(warning);
        }
    }

    pub(super) fn special(&mut self, metadata: &fs::Metadata) -> Result<(), Error> {
        let path = self.shown();
        let kind = platform::special_kind(metadata);
        if self.options.strict {
            return Err(Error::Special { path, kind });
        }
        self.found
            .warnings
            .push(format!("`{path}` is {kind} and is not packed"));
        Ok(())
    }

    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}
