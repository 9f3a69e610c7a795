use serde_json::{Value, json};

use super::Template;

fn data() -> Value {
    json!({
        "Repo": "team/net",
        "Tags": ["1.0", "prod"],
        "None": [],
        "modelName": "net",
        "Size": 2560,
        "Ratio": 0.5,
        "Empty": "",
        "Yes": true,
        "Nothing": null,
        "Inner": { "A": { "B": "deep" } },
        "Rows": [{ "N": 1 }, { "N": 2 }],
    })
}

fn render(template: &str) -> String {
    match Template::parse(template).and_then(|template| template.render(&data())) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        assert_eq!(&render(template), expected, "{template}");
    }
}

#[test]
fn values_print_as_in_go() {
    check(&[
        ("", ""),
        ("text } }} {", "text } }} {"),
        ("{{.Repo}}", "team/net"),
        ("{{ .Repo }}:{{ .Size }}", "team/net:2560"),
        ("{{ .Repo }}\t{{ .Tags }}", "team/net\t[1.0 prod]"),
        (r"{{ .Repo }}\t{{ .Size }}\n", r"team/net\t2560\n"), // Typed in a shell: not interpreted.
        (r#"{{ .Repo }}{{ "\t" }}{{ .Size }}"#, "team/net\t2560"),
        ("{{ `raw\\n` }}", "raw\\n"),
        (r#"{{ "\x41\u00e9\"}}" }}"#, "Aé\"}}"),
        ("{{ .ModelName }}", "net"),
        ("{{ .Inner.A.B }} {{ .Inner.A }}", "deep map[B:deep]"),
        (
            "{{ .None }}{{ .Yes }}{{ .Ratio }}{{ .Nothing }}",
            "[]true0.5<no value>",
        ),
        (
            "{{ 5 }} {{ -3 }} {{ +4 }} {{ 1.5 }} {{ true }}",
            "5 -3 4 1.5 true",
        ),
        ("{{ (index .Rows 1).N }} {{ $.Repo }}", "2 team/net"),
    ]);
}

#[test]
fn blanks_and_comments_are_trimmed_as_in_go() {
    check(&[
        ("a {{- .Size -}} b", "a2560b"),
        ("a \n\t{{- .Size }} b", "a2560 b"),
        ("a {{ .Size -}} \n b", "a 2560b"),
        ("a {{/* gone }} */}} b", "a  b"),
        ("a {{- /* gone */ -}} b", "ab"),
        ("{{-3}}", "-3"),
        ("a {{ -3 }}", "a -3"),
    ]);
}

#[test]
fn conditions_and_loops_nest() {
    check(&[
        ("{{ if .Yes }}a{{ else }}b{{ end }}", "a"),
        ("{{ if .Empty }}a{{ else }}b{{ end }}", "b"),
        (
            "{{ if .Empty }}a{{ else if .None }}b{{ else if .Size }}c{{ else }}d{{ end }}!",
            "c!",
        ),
        ("{{ if .Empty }}a{{ end }}", ""),
        ("{{ range .Tags }}<{{ . }}>{{ end }}", "<1.0><prod>"),
        ("{{ range .None }}x{{ else }}none{{ end }}", "none"),
        ("{{ range .Nothing }}x{{ else }}none{{ end }}", "none"),
        (
            "{{ range .Rows }}{{ .N }}{{ if eq .N 1 }},{{ end }}{{ end }}",
            "1,2",
        ),
        (
            "{{ range .Rows }}{{ $.Repo }} {{ end }}",
            "team/net team/net ",
        ),
        ("{{ range .Inner }}{{ .B }}{{ end }}", "deep"),
        ("{{ with .Inner.A }}{{ .B }}{{ end }}", "deep"),
        (
            "{{ with .Empty }}x{{ else }}{{ .Repo }}{{ end }}",
            "team/net",
        ),
        (
            "{{ with .Empty }}x{{ else with .Inner }}{{ .A.B }}{{ end }}",
            "deep",
        ),
    ]);
}

#[test]
fn functions_work_alone_nested_and_piped() {
    check(&[
        (
            "{{ len .Tags }} {{ len .Repo }} {{ .Inner | len }}",
            "2 8 1",
        ),
        (
            r#"{{ join .Tags ", " }} {{ .Tags | join "+" }}"#,
            "1.0, prod 1.0+prod",
        ),
        (
            "{{ upper .Repo }} {{ .Repo | upper | lower }}",
            "TEAM/NET team/net",
        ),
        (
            "{{ json .Tags }} {{ json .Inner }}",
            r#"["1.0","prod"] {"A":{"B":"deep"}}"#,
        ),
        (
            r#"{{ index .Tags 1 }} {{ index .Inner "A" "B" }}"#,
            "prod deep",
        ),
        (
            r#"{{ eq .Repo "x" "team/net" }} {{ ne .Size 2560 }}"#,
            "true false",
        ),
        (
            "{{ lt 1 2 }} {{ le 2 2 }} {{ gt 1.5 1 }} {{ ge 1 2 }}",
            "true true true false",
        ),
        (
            "{{ and .Yes .Size }} {{ and .Empty .Size }}|{{ or .Empty .Repo }}",
            "2560 |team/net",
        ),
        ("{{ and .None (index .Tags 9) }}", "[]"),
        ("{{ not .Empty }} {{ not (eq 1 1) }}", "true false"),
        (r#"{{ print "a" 1 2 "b" }}{{ println 1 }}"#, "a1 2b1\n"),
    ]);
}

#[test]
fn printf_follows_go() {
    check(&[
        (
            r#"{{ printf "%s|%-10s|%10s|%.2s" .Repo .Repo .Repo .Repo }}"#,
            "team/net|team/net  |  team/net|te",
        ),
        (
            r#"{{ printf "%d|%6d|%06d|%+d|%-6d|" .Size .Size .Size .Size .Size }}"#,
            "2560|  2560|002560|+2560|2560  |",
        ),
        (
            r#"{{ printf "%v %v %v" .Tags .Yes .Ratio }}"#,
            "[1.0 prod] true 0.5",
        ),
        (
            r#"{{ printf "%q %x %x %X %t %.1f %%" .Repo .ModelName 255 255 .Yes .Ratio }}"#,
            "\"team/net\" 6e6574 ff FF true 0.5 %",
        ),
        (r#"{{ .Repo | printf "%s:%s" "x" }}"#, "x:team/net"),
        (
            r#"{{ printf "%d" .Repo }} {{ printf "%s" }} {{ printf "x" 1 }} {{ printf "%" }}"#,
            "%!d(string=team/net) %!s(MISSING) x%!(EXTRA int=1) %!(NOVERB)",
        ),
        (r#"{{ printf "%s" .Tags }}"#, "[1.0 prod]"),
    ]);
}

#[test]
fn errors_name_the_place() {
    let at = |line: usize, column: usize, message: &str| {
        format!("bad template, line {line}, column {column}: {message}")
    };
    for (template, expected) in [
        ("{{ .Repo", at(1, 1, "`{{` has no `}}`")),
        ("x\nä {{ frob }}", at(2, 6, "there is no function `frob`")),
        ("{{ if .Yes }}a", at(1, 3, "`if` has no `end`")),
        ("{{ end }}", at(1, 3, "`end` without a beginning")),
        ("a{{ else }}", at(1, 4, "`else` without `if`")),
        (
            "{{ if .Yes }}{{ else }}{{ else }}{{ end }}",
            at(1, 26, "a second `else`"),
        ),
        ("{{}}", at(1, 3, "a value is missing")),
        ("{{ .Repo | }}", at(1, 3, "a value is missing")),
        (
            "{{ .Repo .Size }}",
            at(1, 10, "only a function takes arguments"),
        ),
        (
            "{{ .Repo | .Size }}",
            at(1, 12, "only a function can stand after `|`"),
        ),
        ("{{ (len .Tags }}", at(1, 4, "`(` has no `)`")),
        ("{{ len .Tags) }}", at(1, 13, "unexpected `)`")),
        ("{{ \"open }}", at(1, 1, "`{{` has no `}}`")),
        ("{{ \"\\y\" }}", at(1, 4, "`\\y` is no escape")),
        ("{{ 12x }}", at(1, 4, "`12x` is not a number")),
        ("{{ $x }}", at(1, 4, "variables are not supported")),
        ("{{ # }}", at(1, 4, "unexpected `#`")),
        ("{{ define \"x\" }}", at(1, 3, "`define` is not supported")),
        ("{{/* open", at(1, 3, "the comment has no end")),
        (
            "{{ .Inner.X }}",
            at(1, 4, "there is no field `.X`, only .A"),
        ),
        ("{{ .Repo.X }}", at(1, 4, "a text has no field `.X`")),
        (
            "{{ range .Size }}{{ end }}",
            at(1, 3, "cannot range over a number"),
        ),
        (
            "{{ index .Tags 2 }}",
            at(1, 4, "index 2 is outside the list of 2"),
        ),
        (
            "{{ index .Tags -1 }}",
            at(1, 4, "index -1 is outside the list of 2"),
        ),
        ("{{ len .Size }}", at(1, 4, "a number has no length")),
        (
            "{{ lt .Repo 1 }}",
            at(1, 4, "cannot compare a text and a number"),
        ),
        ("{{ upper 1 }}", at(1, 4, "a number is not a text")),
        ("{{ not }}", at(1, 4, "one argument is needed, there are 0")),
    ] {
        assert_eq!(render(template), expected, "{template}");
    }
}

#[test]
fn nesting_without_end_is_refused_not_followed() {
    let parentheses = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(render(&parentheses).ends_with("nested too deeply"));
    let blocks = "{{ if .Yes }}".repeat(100_000);
    assert!(render(&blocks).ends_with("nested too deeply"));
    let chain = format!(
        "{{{{ if .Empty }}}}{}{{{{ end }}}}",
        "{{ else if .Empty }}".repeat(100_000)
    );
    assert!(render(&chain).ends_with("nested too deeply"));
}

#[test]
fn it_is_known_which_fields_a_template_does_not_use() {
    for (source, may) in [
        ("{{ .Digest }}", false),
        ("{{ .manifest.layers }}", false),
        ("{{ .Models }}", true),
        ("{{ range .models }}{{ .path }}{{ end }}", true),
        ("{{ json . }}", true),
        ("{{.}}", true),
    ] {
        let template = Template::parse(source).unwrap();
        assert_eq!(template.may_use("odels"), may, "{source}");
    }
}
