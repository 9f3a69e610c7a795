//! `docs/performance.md`, its figures and its charts: one is made of the other, by `tests/bench/run`
//! and by `cargo bench --bench charts`.

#[path = "../bench/charts/draw.rs"]
mod draw;

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// Returns the text of a file, as it is where lines end with one character.
fn text(name: &str) -> String {
    let text = fs::read_to_string(docs().join(name)).unwrap();
    text.replace("\r\n", "\n")
}

fn rows() -> Vec<Value> {
    let figures: Value = serde_json::from_str(&text("performance.json")).unwrap();
    figures["rows"].as_array().unwrap().clone()
}

#[test]
fn the_charts_are_what_the_figures_say_and_there_are_no_others() {
    let charts = draw::charts(&text("performance.json")).unwrap();
    assert!(!charts.is_empty());
    for chart in &charts {
        assert_eq!(
            text(&format!("charts/{}", chart.file)),
            chart.svg,
            "docs/charts/{}: `cargo bench --bench charts` draws it",
            chart.file
        );
    }
    let drawn: BTreeSet<_> = charts.into_iter().map(|chart| chart.file).collect();
    let found: BTreeSet<_> = fs::read_dir(docs().join("charts"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, drawn);
}

#[test]
fn the_page_shows_every_chart_under_its_title() {
    let page = text("performance.md");
    let charts = draw::charts(&text("performance.json")).unwrap();
    for chart in &charts {
        let (_, below) = page
            .split_once(&format!("\n## {}\n", chart.title))
            .unwrap_or_else(|| panic!("no section for {}", chart.title));
        let shown = below.trim_start().lines().next().unwrap();
        let ending = format!("](charts/{})", chart.file);
        assert!(
            shown.starts_with("![") && shown.ends_with(&ending),
            "{shown}"
        );
    }
    assert_eq!(page.matches("](charts/").count(), charts.len());
}

#[test]
fn the_page_has_the_results_of_the_figures_and_no_others() {
    let mut expected = Vec::new();
    for row in rows() {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        expected.push(format!(
            "### Row {}: {}",
            word(&row["row"]),
            word(&row["title"])
        ));
        for result in row["results"].as_array().unwrap() {
            let cells = ["what", "measured", "must", "verdict"].map(|name| word(&result[name]));
            expected.push(format!("| {} |", cells.join(" | ")));
        }
    }
    let page = text("performance.md");
    let found: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("### Row ") || line.starts_with("| "))
        .filter(|line| *line != "| what | measured | must | result |")
        .collect();
    assert_eq!(
        found, expected,
        "`tests/bench/run --page` writes the page of its figures"
    );
}

#[test]
fn charts_are_the_same_each_time_and_have_no_words_that_are_markup() {
    let figures = r#"{"rows": [{"row": "1", "results": [{"what": "<a> & `b`", "verdict": "MISSED",
        "wire": {"bytes": 512, "of": 1024, "most": 256, "other": 1024}}]}]}"#;
    let [once, again] = [(), ()].map(|()| draw::charts(figures).unwrap().remove(0).svg);
    assert_eq!(once, again);
    assert!(once.contains("row 1: &lt;a&gt; &amp; b\n"), "{once}");
    assert!(once.contains("50.00 %: 0.5 KiB beside 1.0 KiB\n"), "{once}");
    for meaning in [
        "where it is more than it may be",
        "the other program",
        "the most it may be",
    ] {
        assert!(once.contains(meaning), "{once}");
    }
}

#[test]
fn a_label_ends_before_the_value_of_its_line() {
    let what = "é".repeat(300);
    let figures = format!(
        r#"{{"rows": [{{"row": "1", "results": [{{"what": "{what}", "verdict": "holds",
        "peak": {{"bytes": 1048576}}}}]}}]}}"#
    );
    let svg = draw::charts(&figures).unwrap().remove(0).svg;
    let label = svg.lines().find(|line| line.starts_with("row 1:")).unwrap();
    assert!(label.ends_with("é…"), "{label}");
    assert!((100..130).contains(&label.chars().count()), "{label}");
}

#[test]
fn a_figure_that_charts_do_not_know_is_a_mistake() {
    let figures = r#"{"rows": [{"row": "1", "results": [{"what": "a", "verdict": "holds",
        "wire": {"bytes": 512, "off": 1024}}]}]}"#;
    let said = draw::charts(figures).map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("unknown field `off`"), "{said}");
}
