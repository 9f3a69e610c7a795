//! Whatever is written reads back, and whatever is read is refused or understood.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Texts that some reader or writer takes for something else.
fn nasty() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "",
        " ",
        "~",
        "null",
        "Null",
        "true",
        "False",
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "Y",
        "0",
        "-0",
        "0x1F",
        "0o17",
        "017",
        "08",
        "1_000",
        "1.0",
        "1.10",
        "1e3",
        ".5",
        ".inf",
        "-.INF",
        ".nan",
        "2001-01-01",
        "2001-12-14t21:59:43.10-05:00",
        "12:30:45",
        "<<",
        "=",
        "-",
        "- a",
        "?",
        "? a",
        ":",
        "a: b",
        "a:",
        ":a",
        "#",
        "a #b",
        "a#b",
        "[",
        "]",
        "{",
        "}",
        "[a]",
        "{a: b}",
        ",",
        "a,b",
        "&a",
        "*a",
        "!a",
        "!!str",
        "|",
        ">",
        "|-",
        "%",
        "%YAML",
        "@a",
        "`a",
        "'",
        "\"",
        "'a'",
        "\"a\"",
        "\\",
        "\\n",
        "a\nb",
        "a\n",
        "\na",
        "a\n\n",
        " a\n b",
        "a\n  b\n",
        "\n",
        "\t",
        "\ta",
        "a\tb",
        "a\r\nb",
        "\r",
        "a ",
        " a",
        "---",
        "--- a",
        "...",
        "... a",
        "a\n---\nb",
        "a\n...\n",
        "\u{feff}",
        "\u{feff}a",
        "\u{85}",
        "\u{2028}",
        "\u{2029}",
        "\u{a0}",
        "\u{7f}",
        "\u{1b}[0m",
        "\u{0}",
        "é",
        "e\u{301}",
        "数",
        "😀",
        "\u{fffe}",
        "\u{ffff}",
        "\u{d7ff}",
        "<a&b>",
        "0b1",
        "0b",
        "+1",
        "0b-1",
        "1:30",
        "190:20:30.15",
        "1__0",
        "_1",
        "0x_1",
        "a\u{2028}b\nc",
        "  \n  a",
        "#\na",
        "a\n #b",
        "x\n\n\ny\n\n",
    ])
    .prop_map(str::to_owned);
    prop_oneof![
        known,
        any::<String>(),
        "[ \\n\\t:#'\"a,-]{0,12}",
        "[-+.0-9_eExob:T ]{1,12}"
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| Value::Integer(n.into())),
        any::<u64>().prop_map(|n| Value::Integer(n.into())),
        any::<i128>().prop_map(Value::Integer),
        any::<f64>().prop_filter_map("finite", Value::from_float),
        nasty().prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map(nasty(), inner, 0..5).prop_map(Value::Map),
        ]
    })
}

prop_compose! {
    fn kitfile()(
        texts in prop::collection::vec(nasty(), 12),
        authors in prop::collection::vec(nasty(), 0..4),
        parameters in value(),
        has_model in any::<bool>(),
    ) -> Kitfile {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap();
        let parameters = Some(parameters).filter(|value| *value != Value::Null);
        Kitfile {
            manifest_version: text(),
            package: Package { name: text(), version: text(), description: text(), license: text(), authors },
            model: has_model.then(|| Model {
                name: text(),
                path: "model".to_owned(),
                description: text(),
                parts: vec![Part { name: text(), path: "part".to_owned(), ..Part::default() }],
                parameters: parameters.clone(),
                ..Model::default()
            }),
            datasets: vec![Dataset { name: text(), path: "data".to_owned(), description: text(), parameters, ..Dataset::default() }],
            docs: vec![Docs { path: "docs".to_owned(), description: text(), ..Docs::default() }],
            ..Kitfile::default()
        }
    }
}

proptest! {
    // hazard: 130
    #[test]
    fn what_is_written_reads_back_as_the_same(kitfile in kitfile()) {
        let yaml = kitfile.to_yaml();
        let parsed = parse(&yaml);
        prop_assert_eq!(parsed.as_ref().map(|parsed| &parsed.kitfile), Ok(&kitfile), "{}", yaml);
        let config = kitfile.to_config();
        let read = Kitfile::from_config(&config);
        prop_assert_eq!(read.as_ref(), Ok(&kitfile), "{}", String::from_utf8_lossy(&config));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-?:,\\[\\]{}#&*!|>'\"%@`a<~. \\n\\t]{0,60}") {
        drop(parse(&text));
        drop(Kitfile::from_config(text.as_bytes()));
    }

    // hazard: 129
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        drop(parse_bytes(&bytes));
        drop(Kitfile::from_config(&bytes));
    }
}

#[test]
fn a_map_of_every_nasty_key_reads_back() {
    let map: BTreeMap<String, Value> =
        ["<<", "~", "null", "1", "a: b", "", "? a", "\u{2028}", "- "]
            .into_iter()
            .map(|key| (key.to_owned(), Value::Text(key.to_owned())))
            .collect();
    let model = Model {
        parameters: Some(Value::Map(map)),
        ..Model::default()
    };
    let kitfile = Kitfile {
        model: Some(model),
        ..Kitfile::default()
    };
    assert_eq!(parse(&kitfile.to_yaml()).unwrap().kitfile, kitfile);
}
