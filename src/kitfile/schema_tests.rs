//! The published schema says the same as the reader: `docs/kitfile.schema.json` against
//! `testdata/kitfiles`.

use std::fs;

use serde_json::{Map, Value as Json};

use super::*;
use super::{
    decode::{Source, decode},
    tree::{Kind, Node, Style},
};

/// Returns why `instance` does not satisfy `schema`, for the keywords that the schema uses.
fn violation(root: &Json, schema: &Json, instance: &Json, at: &str) -> Option<String> {
    let schema = schema.as_object().unwrap();
    schema.iter().find_map(|(keyword, rule)| {
        let fails = |why: &str| Some(format!("{at}: {why} ({keyword})"));
        match (keyword.as_str(), instance) {
            ("$ref", _) => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                violation(root, &root["$defs"][name], instance, at)
            }
            ("type", _) => {
                let types = rule
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![rule.clone()]);
                (!types.contains(&Json::from(type_of(instance)))).then(|| fails("wrong type"))?
            }
            ("anyOf", _) => {
                let rules = rule.as_array().unwrap();
                let fits = |rule: &Json| violation(root, rule, instance, at).is_none();
                (!rules.iter().any(fits)).then(|| fails("fits none"))?
            }
            ("not", _) => violation(root, rule, instance, at)
                .is_none()
                .then(|| fails("fits"))?,
            ("properties", Json::Object(fields)) => fields.iter().find_map(|(name, value)| {
                violation(root, rule.get(name)?, value, &format!("{at}.{name}"))
            }),
            ("additionalProperties", Json::Object(fields)) => {
                assert_eq!(rule, &Json::Bool(false));
                let unknown = fields
                    .keys()
                    .find(|name| schema["properties"].get(*name).is_none());
                unknown.and_then(|name| fails(name))
            }
            ("required", Json::Object(fields)) => rule
                .as_array()
                .unwrap()
                .iter()
                .find(|name| !fields.contains_key(name.as_str().unwrap()))
                .and_then(|name| fails(&name.to_string())),
            ("items", Json::Array(items)) => items
                .iter()
                .enumerate()
                .find_map(|(index, item)| violation(root, rule, item, &format!("{at}[{index}]"))),
            ("maxLength", Json::String(text)) => {
                let most = usize::try_from(rule.as_u64().unwrap()).unwrap();
                (text.chars().count() > most).then(|| fails("too long"))?
            }
            ("pattern", Json::String(text)) => {
                (!matches(rule.as_str().unwrap(), text)).then(|| fails("no match"))?
            }
            // These say nothing, or nothing about an instance of this type.
            (
                "$schema"
                | "$defs"
                | "title"
                | "description"
                | "properties"
                | "additionalProperties"
                | "required"
                | "items"
                | "maxLength"
                | "pattern",
                _,
            ) => None,
            _ => panic!("teach this test the keyword {keyword}"),
        }
    })
}

/// The regular expressions of the schema, said once more without a regex engine.
fn matches(pattern: &str, text: &str) -> bool {
    let outside = text.starts_with(['/', '\\'])
        || text.contains("://")
        || text == ".."
        || text.starts_with("../");
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match pattern {
        r"^[/\\]|://|^\.\.(/|$)" => outside,
        r"^[/\\]|^[A-Za-z]:|://|^\.\.(/|$)" => {
            outside
                || (text.starts_with(|c: char| c.is_ascii_alphabetic())
                    && text[1..].starts_with(':'))
        }
        r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$" => {
            text.is_empty()
                || (text.starts_with(word)
                    && text.chars().all(|c| word(c) || matches!(c, '.' | '-')))
        }
        r"\.mcpb$" => text.strip_suffix(".mcpb").is_some(),
        _ => panic!("teach this test the pattern {pattern}"),
    }
}

fn type_of(instance: &Json) -> &'static str {
    match instance {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// Returns what an editor with the schema sees of a Kitfile.
fn instance(node: &Node) -> Json {
    match &node.kind {
        Kind::List(items) => items.iter().map(|item| instance(item)).collect(),
        Kind::Map(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| (key.text.clone(), instance(value)));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
        Kind::Scalar {
            text,
            style: Style::Quoted,
        } => Json::from(text.as_str()),
        Kind::Scalar { text, .. } => match resolve::plain(text) {
            Ok(Value::Null) => Json::Null,
            Ok(Value::Bool(value)) => Json::from(value),
            Ok(Value::Integer(_) | Value::Float(_)) => Json::from(0),
            _ => Json::from(text.as_str()),
        },
    }
}

fn schema() -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kitfile.schema.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_schema_accepts_every_valid_kitfile() {
    let schema = schema();
    for path in tests::cases("valid") {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.trim_start_matches('\u{feff}');
        let root = yaml::read(text, &mut Vec::new()).unwrap();
        let fault = violation(&schema, &schema, &instance(&root), "");
        assert_eq!(fault, None, "{}", path.display());
    }
}

#[test]
fn the_schema_refuses_every_kitfile_of_a_wrong_shape() {
    let schema = schema();
    let mut refused = 0;
    for path in tests::cases("invalid") {
        let bytes = fs::read(&path).unwrap();
        let Some(root) = str::from_utf8(&bytes)
            .ok()
            .and_then(|text| yaml::read(text, &mut Vec::new()).ok())
        else {
            continue;
        };
        let shape = decode(&root, Source::Kitfile).problems;
        let is_shape = |problem: &Problem| {
            problem.message.starts_with("unknown field") || problem.message.contains("must be")
        };
        let name = path.file_stem().unwrap().to_str().unwrap();
        // What a schema can say of values is refused by it too.
        let by_value = [
            "absolute-paths",
            "urls",
            "part-types",
            "mcp-servers",
            "long-path",
        ];
        if shape.iter().any(is_shape) || by_value.contains(&name) {
            let fault = violation(&schema, &schema, &instance(&root), "");
            assert!(fault.is_some(), "{}", path.display());
            refused += 1;
        }
    }
    assert!(refused >= 10, "only {refused} cases are about the shape");
}

#[test]
fn the_schema_knows_the_fields_that_the_reader_knows() {
    let schema = schema();
    let mut text = String::new();
    for (name, rule) in schema["properties"].as_object().unwrap() {
        let Some(choices) = rule.get("anyOf") else {
            text.extend([name, ": x\n"]);
            continue;
        };
        let item = choices[1].get("items");
        let definition = item.unwrap_or(&choices[1])["$ref"].as_str().unwrap();
        let definition = definition.strip_prefix("#/$defs/").unwrap();
        let fields = schema["$defs"][definition]["properties"]
            .as_object()
            .unwrap();
        let fields: Vec<_> = fields.keys().map(|field| format!("{field}: ")).collect();
        let fields = fields.join(", ");
        let value = match item {
            Some(_) => format!("[{{{fields}}}]"),
            None => format!("{{{fields}}}"),
        };
        text.extend([name, ": ", &value, "\n"]);
    }
    let root = yaml::read(&text, &mut Vec::new()).unwrap();
    assert_eq!(decode(&root, Source::Kitfile).problems, [], "{text}");
}
