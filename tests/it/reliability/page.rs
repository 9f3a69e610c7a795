//! `docs/reliability.md`

use std::fmt::Write as _;

use super::{
    Case, Cases,
    scan::{Found, Test, union, words},
};

/// Returns the page.
pub(super) fn write(cases: &Cases, found: &Found) -> String {
    let chapters = &cases.chapter;
    let none = Vec::new();
    let tests = |case: &Case| found.tests.get(&case.number).unwrap_or(&none);
    let all = || chapters.iter().flat_map(|chapter| &chapter.case);
    let covered = all().filter(|case| case.not_covered.is_none()).count();
    let mut different: Vec<&Test> = found.tests.values().flatten().collect();
    different.sort();
    different.dedup();
    let mut text = format!(
        "<!-- Written by tests/it/reliability from testdata/hazards/cases.toml and the markers in the tests. -->\n\n\
         # Reliability\n\n\
         What may happen to a kit, what is promised then, and the tests that fail if the promise does not hold: {} hazards,\n\
         {covered} of them shown by {} tests. This runs them, with all others:\n\n\
         ```console\n$ KIT_REQUIRE_REAL=1 cargo test --locked\n```\n\n\
         It ends with `test result: ok` for each part, and that is the outcome: each promise below holds on the machine it ran\n\
         on, as far as the last column says. The workflow [`ci.yml`](../.github/workflows/ci.yml) runs it for every change on\n\
         Linux, macOS and Windows. Some tests need programs (`docker-registry`, `htpasswd`, `openssl`, `skopeo`, `strace`) or the\n\
         right to mount; they print `SKIP` where they lack them, and with `KIT_REQUIRE_REAL=1`, as on Linux there, a missing program\n\
         is a failure. One promise alone: `cargo test --locked NAME_OF_THE_TEST`.\n\n\
         Beyond that, `tests/faults/run` kills the program at each of its system calls, and `tests/fuzz/run` looks for inputs\n\
         that break what must hold for all; what it finds becomes a test. A test fails if a hazard has neither a test nor a reason\n\
         why there is none, or if this page is not what the tests say.\n\n\
         | chapter | hazards | shown by tests |\n|---|---|---|\n",
        all().count(),
        different.len(),
    );
    for chapter in chapters {
        let covered = chapter.case.iter().filter(|it| it.not_covered.is_none());
        let anchor = chapter
            .title
            .to_lowercase()
            .replace(' ', "-")
            .replace(',', "");
        let (title, count) = (&chapter.title, chapter.case.len());
        writeln!(
            text,
            "| [{title}](#{anchor}) | {count} | {} |",
            covered.count()
        )
        .unwrap();
    }
    text += "\n## Not covered\n\n| | hazard | why no test shows it |\n|---|---|---|\n";
    for case in all() {
        if let Some(why) = &case.not_covered {
            writeln!(text, "| {} | {} | {why} |", case.number, case.what).unwrap();
        }
    }
    for chapter in chapters {
        let title = &chapter.title;
        write!(
            text,
            "\n## {title}\n\n| | hazard | promise | shown by | runs on |\n|---|---|---|---|---|\n"
        )
        .unwrap();
        for case in &chapter.case {
            let systems = union(tests(case));
            let shown = tests(case).iter().map(|test| {
                let only = if test.systems == systems {
                    String::new()
                } else {
                    format!(" ({})", words(test.systems))
                };
                format!("[`{}`](../{}){only}", test.name, test.file)
            });
            let shown = shown.collect::<Vec<_>>().join("<br>");
            let runs = match case.not_covered {
                Some(_) => "[not covered](#not-covered)".to_owned(),
                None => words(systems),
            };
            let Case {
                number,
                what,
                promise,
                ..
            } = case;
            writeln!(text, "| {number} | {what} | {promise} | {shown} | {runs} |").unwrap();
        }
    }
    text += "\n## Limits\n\nWhat is just allowed and what is just too much, each in one test. \
             [All limits](format.md#limits) are in the page about formats.\n\n\
             | limit | constant | test |\n|---|---|---|\n";
    for limit in &cases.limit {
        let (what, constant, name) = (&limit.what, &limit.constant, &limit.test);
        let place = &found.places[name];
        writeln!(text, "| {what} | `{constant}` | [`{name}`](../{place}) |").unwrap();
    }
    text
}
