//! Walks the tree of a template with the data.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    Fault,
    functions::{self, Function},
    parser::{Base, Branch, Command, Node, Operand, Pipeline},
};

pub(super) fn render(nodes: &[Node], root: &Value) -> Result<String, Fault> {
    let mut out = String::new();
    let scope = Scope { root, dot: root };
    scope.nodes(nodes, &mut out)?;
    Ok(out)
}

/// What `$` and `.` stand for.
#[derive(Clone, Copy)]
struct Scope<'a> {
    root: &'a Value,
    dot: &'a Value,
}

impl Scope<'_> {
    fn nodes(self, nodes: &[Node], out: &mut String) -> Result<(), Fault> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Print(pipeline) => {
                    out.push_str(&functions::display(&*self.pipeline(pipeline)?));
                }
                Node::If(branch) => {
                    let body = if functions::is_true(&*self.pipeline(&branch.pipeline)?) {
                        &branch.body
                    } else {
                        &branch.otherwise
                    };
                    self.nodes(body, out)?;
                }
                Node::With(branch) => {
                    let dot = self.pipeline(&branch.pipeline)?;
                    if functions::is_true(&dot) {
                        self.at(&dot).nodes(&branch.body, out)?;
                    } else {
                        self.nodes(&branch.otherwise, out)?;
                    }
                }
                Node::Range(branch) => self.range(branch, out)?,
            }
        }
        Ok(())
    }

    fn at<'b>(self, dot: &'b Value) -> Scope<'b>
    where
        Self: 'b,
    {
        Scope {
            root: self.root,
            dot,
        }
    }

    fn range(self, branch: &Branch, out: &mut String) -> Result<(), Fault> {
        let over = self.pipeline(&branch.pipeline)?;
        let items: Vec<&Value> = match &*over {
            Value::Null => Vec::new(),
            Value::Array(items) => items.iter().collect(),
            Value::Object(map) => map.values().collect(),
            other => {
                let message = format!("cannot range over {}", functions::kind(other));
                return Err(Fault::new(branch.pipeline.at, message));
            }
        };
        if items.is_empty() {
            return self.nodes(&branch.otherwise, out);
        }
        for item in items {
            self.at(item).nodes(&branch.body, out)?;
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline) -> Result<Cow<'_, Value>, Fault> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, value)?);
        }
        Ok(value.expect("the parser makes no empty pipeline"))
    }

    fn command<'b>(
        &'b self,
        command: &Command,
        piped: Option<Cow<'b, Value>>,
    ) -> Result<Cow<'b, Value>, Fault> {
        let Some(function) = command.function else {
            return self.operand(&command.operands[0]);
        };
        let mut arguments = Vec::with_capacity(command.operands.len() + 1);
        for operand in &command.operands {
            let value = self.operand(operand)?;
            // These two stop at the first argument that decides.
            let decided = match function {
                Function::And => !functions::is_true(&value),
                Function::Or => functions::is_true(&value),
                _ => false,
            };
            if decided {
                return Ok(value);
            }
            arguments.push(value.into_owned());
        }
        arguments.extend(piped.map(Cow::into_owned));
        functions::call(function, arguments)
            .map(Cow::Owned)
            .map_err(|message| Fault::new(command.at, message))
    }

    fn operand(&self, operand: &Operand) -> Result<Cow<'_, Value>, Fault> {
        let mut value = match &operand.base {
            Base::Dot => Cow::Borrowed(self.dot),
            Base::Root => Cow::Borrowed(self.root),
            Base::Literal(value) => Cow::Owned(value.clone()),
            Base::Nested(pipeline) => self.pipeline(pipeline)?,
        };
        for name in &operand.fields {
            value = match value {
                Cow::Borrowed(value) => field(value, name).map(Cow::Borrowed),
                Cow::Owned(value) => field(&value, name).map(|value| Cow::Owned(value.clone())),
            }
            .map_err(|message| Fault::new(operand.at, message))?;
        }
        Ok(value)
    }
}

/// Returns the field `.name` of `value`.
fn field<'a>(value: &'a Value, name: &str) -> Result<&'a Value, String> {
    let Value::Object(map) = value else {
        return Err(format!("{} has no field `.{name}`", functions::kind(value)));
    };
    let mut letters = name.chars();
    let lower = letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect::<String>());
    let found = map
        .get(name)
        .or_else(|| lower.and_then(|lower| map.get(&lower)));
    found.ok_or_else(|| {
        let names: Vec<String> = map.keys().map(|key| format!(".{}", capital(key))).collect();
        format!("there is no field `.{name}`, only {}", names.join(", "))
    })
}

fn capital(key: &str) -> String {
    let mut letters = key.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
