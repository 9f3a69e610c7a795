//! A [`Kitfile`], or a part of one, to YAML.

use serde::Serialize;

use super::{
    Kitfile,
    fields::{Fields, Form},
};

impl Kitfile {
    /// Returns the Kitfile as YAML text that reads back as the same Kitfile, without layers.
    pub fn to_yaml(&self) -> String {
        yaml(&Fields::of(self, Form::Kitfile))
    }
}

/// Returns `content`, made of maps, lists and scalars, as YAML text.
pub(super) fn yaml(content: &impl Serialize) -> String {
    let options = serde_saphyr::ser_options! {
        indent_step: 2,
        compact_list_indent: false,
        // Only texts with line breaks become blocks; long lines stay as they are.
        folded_wrap_chars: usize::MAX,
    };
    serde_saphyr::to_string_with_options(content, options)
        .expect("maps, lists and scalars can always be written")
}
