//! Which parts of a kit are wanted: `--filter`, `--include` and `--exclude`.

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use crate::{
    glob::{self, Pattern, clean},
    kitfile::Section,
    suggest,
};

/// What a filter can select.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// The Kitfile.
    Kitfile,
    /// The model and its parts.
    Model,
    /// Datasets.
    Datasets,
    /// Code.
    Code,
    /// Documentation.
    Docs,
    /// Prompts.
    Prompts,
    /// MCP servers.
    McpServers,
}

impl Type {
    /// Every type.
    pub const ALL: [Self; 7] = [
        Self::Kitfile,
        Self::Model,
        Self::Datasets,
        Self::Code,
        Self::Docs,
        Self::Prompts,
        Self::McpServers,
    ];

    /// Returns the word that a filter has for the type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kitfile => "kitfile",
            Self::Model => "model",
            Self::Datasets => "datasets",
            Self::Code => "code",
            Self::Docs => "docs",
            Self::Prompts => "prompts",
            Self::McpServers => "mcpservers",
        }
    }

    /// Returns the type that selects the entries of `section`.
    pub const fn of(section: Section) -> Self {
        match section {
            Section::Model | Section::Part => Self::Model,
            Section::Code => Self::Code,
            Section::Dataset => Self::Datasets,
            Section::Docs => Self::Docs,
            Section::Prompt => Self::Prompts,
            Section::McpServer => Self::McpServers,
        }
    }
}

impl FromStr for Type {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| Error::UnknownType {
                given: text.to_owned(),
                suggestion: suggest::closest(text, Self::ALL.map(Self::as_str)),
            })
    }
}

/// Why filters or path patterns cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A word that is no type.
    #[error(
        "invalid filter type {given} (must be one of 'kitfile', 'model', 'datasets', 'code', \
         'docs', 'prompts', or 'mcpservers'){}",
        did_you_mean(*suggestion)
    )]
    UnknownType {
        /// The word.
        given: String,
        /// The type that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// Not of the form of a filter.
    #[error(
        "invalid filter: should be in format <type1>,<type2>[:<filter1>,<filter2>], but is `{given}`"
    )]
    Shape {
        /// What was given.
        given: String,
    },
    /// A filter that selects nothing.
    #[error("nothing in the kit matches {}{}", filters.join(" or "), listed(available))]
    NoMatch {
        /// What was asked for.
        filters: Vec<String>,
        /// Filters that would select something, in packing order.
        available: Vec<String>,
    },
    /// A pattern that cannot be compiled.
    #[error(transparent)]
    Pattern(#[from] glob::Error),
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |word| format!("; did you mean `{word}`?"))
}

fn listed(available: &[String]) -> String {
    if available.is_empty() {
        ", which holds nothing a filter could select".to_owned()
    } else {
        format!("; it holds {}", available.join(", "))
    }
}

/// A predicate on the entries of a Kitfile, and on the Kitfile itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// An entry is selected if any rule selects it; `None` selects everything.
    rules: Option<Vec<Rule>>,
}

/// One `--filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    types: Vec<Type>,
    /// `None` without a `:`: every entry of the types.
    values: Option<Vec<String>>,
}

impl Filter {
    /// Returns the filter that selects all.
    pub const fn everything() -> Self {
        Self { rules: None }
    }

    /// Returns the filter that selects all of these types: what the old switches mean. No type
    /// means that no switch was given: everything.
    pub fn of_types(types: &[Type]) -> Self {
        let rule = || Rule {
            types: types.to_vec(),
            values: None,
        };
        Self {
            rules: (!types.is_empty()).then(|| vec![rule()]),
        }
    }

    /// Reads filters of the form `type[,type…][:value[,value…]]`; none at all select everything.
    /// A value may hold `:` but no `,`.
    pub fn parse(values: &[String]) -> Result<Self, Error> {
        if values.is_empty() {
            return Ok(Self::everything());
        }
        let rules = values.iter().map(|text| Rule::parse(text));
        Ok(Self {
            rules: Some(rules.collect::<Result<_, _>>()?),
        })
    }

    /// Tells whether nothing is left out.
    pub const fn is_everything(&self) -> bool {
        self.rules.is_none()
    }

    /// Tells whether the Kitfile is wanted; values behind `kitfile:` mean nothing.
    pub fn selects_kitfile(&self) -> bool {
        self.selects_type(Type::Kitfile)
    }

    /// Tells whether anything of a type may be wanted.
    pub fn selects_type(&self, wanted: Type) -> bool {
        self.rules
            .as_ref()
            .is_none_or(|rules| rules.iter().any(|rule| rule.types.contains(&wanted)))
    }

    /// Tells whether an entry is wanted. Code and docs have no names: theirs is not looked at.
    /// `path` may be raw or clean.
    pub fn selects(&self, section: Section, name: &str, path: &str) -> bool {
        self.rules
            .as_ref()
            .is_none_or(|rules| rules.iter().any(|rule| rule.selects(section, name, path)))
    }

    /// Returns what the filter selects of one type only, values staying in force: a parent kit
    /// gives its model and nothing else. `None` if that is nothing.
    pub fn restricted_to(&self, only: Type) -> Option<Self> {
        let Some(rules) = &self.rules else {
            return Some(Self::of_types(&[only]));
        };
        let restricted: Vec<Rule> = rules
            .iter()
            .filter(|rule| rule.types.contains(&only))
            .map(|rule| Rule {
                types: vec![only],
                values: rule.values.clone(),
            })
            .collect();
        (!restricted.is_empty()).then_some(Self {
            rules: Some(restricted),
        })
    }

    /// Returns the error for a filter that selected none of `entries`: it tells what there is.
    pub fn no_match<'a>(
        &self,
        entries: impl IntoIterator<Item = (Section, &'a str, &'a str)>,
    ) -> Error {
        let mut available: Vec<String> = Vec::new();
        for (section, name, path) in entries {
            let value = if has_name(section) && !name.is_empty() {
                name.to_owned()
            } else {
                clean(path)
            };
            let filter = format!("{}:{value}", Type::of(section).as_str());
            // A sharded entry stands there many times.
            if available.last() != Some(&filter) {
                available.push(filter);
            }
        }
        Error::NoMatch {
            filters: self
                .rules
                .iter()
                .flatten()
                .map(|rule| format!("`{rule}`"))
                .collect(),
            available,
        }
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, Error> {
        let (types, values) = match text.split_once(':') {
            Some((types, values)) => (types, Some(values)),
            None => (text, None),
        };
        if types.split(',').any(|word| word.trim().is_empty()) {
            let given = text.to_owned();
            return Err(Error::Shape { given });
        }
        Ok(Self {
            types: types.split(',').map(str::parse).collect::<Result<_, _>>()?,
            values: values.map(|values| values.split(',').map(str::to_owned).collect()),
        })
    }

    fn selects(&self, section: Section, name: &str, path: &str) -> bool {
        if !self.types.contains(&Type::of(section)) {
            return false;
        }
        let Some(values) = &self.values else {
            return true;
        };
        let path = clean(path);
        values.iter().any(|value| {
            (has_name(section) && value == name) || (!value.is_empty() && clean(value) == path)
        })
    }
}

/// Tells whether entries of the section have a name in the Kitfile.
const fn has_name(section: Section) -> bool {
    !matches!(section, Section::Code | Section::Docs)
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<&str> = self.types.iter().map(|known| known.as_str()).collect();
        f.write_str(&types.join(","))?;
        match &self.values {
            Some(values) => write!(f, ":{}", values.join(",")),
            None => Ok(()),
        }
    }
}

/// A predicate on the paths of single files: `--include` and `--exclude`.
#[derive(Clone, Debug, Default)]
pub struct PathGlobs {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl PathGlobs {
    /// Tells whether something might be selected that is `folder` or below it: `false` is certain.
    pub fn may_select_below(&self, folder: &[u8]) -> bool {
        let mut include = self.include.iter();
        self.include.is_empty() || include.any(|pattern| pattern.may_match_below(folder))
    }

    /// Compiles patterns (see [`Pattern::of_paths`]). Without `include`, everything is included.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, Error> {
        let compiled = |patterns: &[String]| -> Result<Vec<Pattern>, glob::Error> {
            patterns
                .iter()
                .map(|text| Pattern::of_paths(text))
                .collect()
        };
        Ok(Self {
            include: compiled(include)?,
            exclude: compiled(exclude)?,
        })
    }

    /// Tells whether no path is left out.
    pub const fn is_everything(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Tells whether the file at `path`, relative and clean, is wanted. A pattern that matches a
    /// folder holds for all that is below it; what is excluded is not included again.
    pub fn selects(&self, path: &[u8]) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.covers(path));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}
