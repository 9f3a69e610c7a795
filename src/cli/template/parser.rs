//! Builds the tree of a template.

use serde_json::Value;

use super::{
    Fault,
    functions::Function,
    lexer::{self, Piece, Placed, Token},
};

/// Deeper nesting than this is refused: the tree is walked recursively.
const MOST_DEPTH: usize = 100;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
}

/// What depends on the value of a pipeline.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each of which gets the value of the one before as its last argument.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) at: usize,
    pub(super) commands: Vec<Command>,
}

#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) at: usize,
    pub(super) function: Option<Function>,
    pub(super) operands: Vec<Operand>,
}

/// A value, and the fields to take from it.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) base: Base,
    pub(super) fields: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Base {
    Dot,
    Root,
    Literal(Value),
    Nested(Pipeline),
}

/// How a list of nodes ended.
enum Stop {
    Source,
    End,
    /// `else`, with what follows the word.
    Else(Vec<Placed>),
}

pub(super) fn parse(source: &str) -> Result<Vec<Node>, Fault> {
    let mut parser = Parser {
        pieces: lexer::pieces(source)?.into_iter(),
        last: 0,
    };
    match parser.nodes(0)? {
        (nodes, Stop::Source) => Ok(nodes),
        (_, Stop::End) => Err(Fault::new(parser.last, "`end` without a beginning")),
        (_, Stop::Else(_)) => Err(Fault::new(parser.last, "`else` without `if`")),
    }
}

struct Parser<'a> {
    pieces: std::vec::IntoIter<Piece<'a>>,
    /// Where the action started that was read last.
    last: usize,
}

impl Parser<'_> {
    fn nodes(&mut self, depth: usize) -> Result<(Vec<Node>, Stop), Fault> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (source, at) = match piece {
                Piece::Text("") => continue,
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.to_owned()));
                    continue;
                }
                Piece::Action { source, at } => (source, at),
            };
            self.last = at;
            if depth > MOST_DEPTH {
                return Err(Fault::new(at, "nested too deeply"));
            }
            let tokens = lexer::tokens(source, at)?;
            let word = match tokens.first() {
                Some(Placed {
                    token: Token::Word(word),
                    ..
                }) => word.as_str(),
                _ => "",
            };
            let make: fn(Branch) -> Node = match word {
                "if" => Node::If,
                "with" => Node::With,
                "range" => Node::Range,
                "end" if tokens.len() == 1 => return Ok((nodes, Stop::End)),
                "else" => return Ok((nodes, Stop::Else(tokens[1..].to_vec()))),
                "end" => return Err(Fault::new(tokens[1].at, "`end` stands alone")),
                "define" | "template" | "block" | "break" | "continue" => {
                    return Err(Fault::new(at, format!("`{word}` is not supported")));
                }
                _ => {
                    nodes.push(Node::Print(pipeline(&tokens, at)?));
                    continue;
                }
            };
            nodes.push(make(self.branch(&tokens[1..], at, word, depth)?));
        }
        Ok((nodes, Stop::Source))
    }

    /// Reads what belongs to `word`, up to its `end`.
    fn branch(
        &mut self,
        condition: &[Placed],
        at: usize,
        word: &str,
        depth: usize,
    ) -> Result<Branch, Fault> {
        let pipeline = pipeline(condition, at)?;
        let (body, end) = self.nodes(depth + 1)?;
        let otherwise = match end {
            Stop::End => Vec::new(),
            Stop::Source => return Err(Fault::new(at, format!("`{word}` has no `end`"))),
            Stop::Else(rest) if rest.is_empty() => match self.nodes(depth + 1)? {
                (nodes, Stop::End) => nodes,
                (_, Stop::Else(_)) => return Err(Fault::new(self.last, "a second `else`")),
                (_, Stop::Source) => return Err(Fault::new(at, format!("`{word}` has no `end`"))),
            },
            Stop::Else(rest) => {
                let here = self.last;
                let again = match &rest[0].token {
                    Token::Word(again) if again == word && word != "range" => again,
                    _ => {
                        return Err(Fault::new(
                            rest[0].at,
                            format!("cannot follow `else` of `{word}`"),
                        ));
                    }
                };
                // One `end` closes the whole chain.
                let inner = self.branch(&rest[1..], here, again, depth + 1)?;
                vec![if word == "if" {
                    Node::If(inner)
                } else {
                    Node::With(inner)
                }]
            }
        };
        Ok(Branch {
            pipeline,
            body,
            otherwise,
        })
    }
}

/// Reads a whole pipeline; `at` is where it would stand if it is empty.
fn pipeline(tokens: &[Placed], at: usize) -> Result<Pipeline, Fault> {
    let mut rest = tokens;
    let pipeline = piped(&mut rest, at, 0)?;
    match rest.first() {
        None => Ok(pipeline),
        Some(token) => Err(Fault::new(token.at, "unexpected `)`")),
    }
}

/// Reads up to the end or a closing parenthesis, which stays.
fn piped(rest: &mut &[Placed], at: usize, depth: usize) -> Result<Pipeline, Fault> {
    if depth > MOST_DEPTH {
        return Err(Fault::new(at, "nested too deeply"));
    }
    let mut commands = Vec::new();
    loop {
        let start = rest.first().map_or(at, |token| token.at);
        let command = command(rest, start, depth)?;
        if !commands.is_empty() && command.function.is_none() {
            return Err(Fault::new(start, "only a function can stand after `|`"));
        }
        commands.push(command);
        match rest.split_first() {
            Some((
                Placed {
                    token: Token::Pipe, ..
                },
                more,
            )) => *rest = more,
            _ => return Ok(Pipeline { at, commands }),
        }
    }
}

fn command(rest: &mut &[Placed], at: usize, depth: usize) -> Result<Command, Fault> {
    let mut function = None;
    let mut operands: Vec<Operand> = Vec::new();
    while let Some((first, more)) = rest.split_first() {
        let at = first.at;
        let base = match &first.token {
            Token::Pipe | Token::Close => break,
            Token::Word(name) => match name.as_str() {
                "true" => Base::Literal(true.into()),
                "false" => Base::Literal(false.into()),
                "nil" => Base::Literal(Value::Null),
                _ => {
                    let found = Function::named(name)
                        .ok_or_else(|| Fault::new(at, format!("there is no function `{name}`")))?;
                    *rest = more;
                    if function.is_none() && operands.is_empty() {
                        function = Some(found);
                    } else {
                        // A function among operands is called without arguments.
                        operands.push(Operand {
                            at,
                            base: Base::Nested(Pipeline {
                                at,
                                commands: vec![Command {
                                    at,
                                    function: Some(found),
                                    operands: Vec::new(),
                                }],
                            }),
                            fields: Vec::new(),
                        });
                    }
                    continue;
                }
            },
            Token::Field(name) => {
                *rest = more;
                match operands.last_mut() {
                    Some(operand) if !first.apart => operand.fields.push(name.clone()),
                    _ => operands.push(Operand {
                        at,
                        base: Base::Dot,
                        fields: vec![name.clone()],
                    }),
                }
                continue;
            }
            Token::Dot => Base::Dot,
            Token::Root => Base::Root,
            Token::Text(text) => Base::Literal(text.as_str().into()),
            Token::Number(number) => Base::Literal(number.clone().into()),
            Token::Open => {
                *rest = more;
                let nested = piped(rest, at, depth + 1)?;
                match rest.split_first() {
                    Some((closing, more)) if closing.token == Token::Close => *rest = more,
                    _ => return Err(Fault::new(at, "`(` has no `)`")),
                }
                operands.push(Operand {
                    at,
                    base: Base::Nested(nested),
                    fields: Vec::new(),
                });
                continue;
            }
        };
        *rest = more;
        operands.push(Operand {
            at,
            base,
            fields: Vec::new(),
        });
    }
    if function.is_none() {
        match operands.get(1) {
            None if operands.is_empty() => return Err(Fault::new(at, "a value is missing")),
            Some(second) => return Err(Fault::new(second.at, "only a function takes arguments")),
            None => {}
        }
    }
    Ok(Command {
        at,
        function,
        operands,
    })
}
