use super::*;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn filter(texts: &[&str]) -> Filter {
    Filter::parse(&strings(texts)).unwrap()
}

/// One entry of each section, with the name and path it has in the Kitfile.
const ENTRIES: [(Section, &str, &str); 9] = [
    (Section::Model, "net", "./model"),
    (Section::Part, "lora", "model/lora.gguf"),
    (Section::Code, "", "src/"),
    (Section::Code, "", "."),
    (Section::Dataset, "train", "data/train.csv"),
    (Section::Dataset, "", "data/a:b.csv"),
    (Section::Docs, "", "./README.md"),
    (Section::Prompt, "greet", "prompts/greet.md"),
    (Section::McpServer, "tools", "tools.mcpb"),
];

/// The paths that the filters select, as they stand in the Kitfile.
fn selected(texts: &[&str]) -> Vec<&'static str> {
    let filter = filter(texts);
    ENTRIES
        .iter()
        .filter(|(section, name, path)| filter.selects(*section, name, path))
        .map(|(_, _, path)| *path)
        .collect()
}

#[test]
fn filters_select_by_type_name_and_cleaned_path() {
    for (texts, expected) in [
        (&["model"][..], &["./model", "model/lora.gguf"][..]),
        (&["model:lora"], &["model/lora.gguf"]),
        (&["model:net,lora"], &["./model", "model/lora.gguf"]),
        (&["model:model/"], &["./model"]),
        (&["datasets:train"], &["data/train.csv"]),
        (&["datasets:./data//train.csv"], &["data/train.csv"]),
        (&["datasets:data/a:b.csv"], &["data/a:b.csv"]),
        (&["datasets:"], &["data/a:b.csv"]),
        (&["docs:README.md"], &["./README.md"]),
        (&["docs:./README.md"], &["./README.md"]),
        (&["docs:"], &[]),
        (&["code:src"], &["src/"]),
        (&["code:."], &["."]),
        (&["code,docs"], &["src/", ".", "./README.md"]),
        (&["code,docs:src,README.md"], &["src/", "./README.md"]),
        (
            &["prompts", "mcpservers:tools"],
            &["prompts/greet.md", "tools.mcpb"],
        ),
        (&["kitfile"], &[]),
        (&["datasets:Train"], &[]),
        (&["datasets:data"], &[]),
    ] {
        assert_eq!(selected(texts), expected, "{texts:?}");
    }
    assert_eq!(selected(&[]).len(), ENTRIES.len());
}

#[test]
fn the_kitfile_is_selected_by_its_type_or_by_no_filter() {
    assert!(Filter::everything().selects_kitfile());
    assert!(filter(&["kitfile"]).selects_kitfile());
    assert!(filter(&["model", "kitfile:anything"]).selects_kitfile());
    assert!(!filter(&["model"]).selects_kitfile());
}

#[test]
fn the_old_switches_are_filters_of_types() {
    assert_eq!(Filter::of_types(&[]), Filter::everything());
    let types = [Type::Model, Type::Docs];
    assert_eq!(Filter::of_types(&types), filter(&["model,docs"]));
    assert!(Filter::of_types(&[]).is_everything());
    assert!(!Filter::of_types(&types).is_everything());
}

#[test]
fn a_parent_kit_gives_its_model_under_the_same_values() {
    let model = |texts: &[&str]| filter(texts).restricted_to(Type::Model);
    assert_eq!(model(&[]), Some(filter(&["model"])));
    assert_eq!(
        model(&["kitfile,model:net", "docs"]),
        Some(filter(&["model:net"]))
    );
    assert_eq!(model(&["docs"]), None);
}

#[test]
fn a_filter_that_cannot_be_read_says_why() {
    let types = "(must be one of 'kitfile', 'model', 'datasets', 'code', 'docs', 'prompts', or 'mcpservers')";
    let shape = "invalid filter: should be in format <type1>,<type2>[:<filter1>,<filter2>], but is";
    for (text, message) in [
        (
            "dataset",
            format!("invalid filter type dataset {types}; did you mean `datasets`?"),
        ),
        (
            "Model",
            format!("invalid filter type Model {types}; did you mean `model`?"),
        ),
        (
            "model,dcos:x",
            format!("invalid filter type dcos {types}; did you mean `docs`?"),
        ),
        ("weights", format!("invalid filter type weights {types}")),
        (
            "model, docs",
            format!("invalid filter type  docs {types}; did you mean `docs`?"),
        ),
        ("", format!("{shape} ``")),
        (":net", format!("{shape} `:net`")),
        ("model,,docs", format!("{shape} `model,,docs`")),
        ("model,", format!("{shape} `model,`")),
    ] {
        assert_eq!(
            Filter::parse(&strings(&[text])).unwrap_err().to_string(),
            message
        );
    }
}

#[test]
fn no_match_tells_what_there_is() {
    let error = filter(&["model:big", "docs:x"]).no_match(ENTRIES);
    assert_eq!(
        error.to_string(),
        "nothing in the kit matches `model:big` or `docs:x`; it holds model:net, model:lora, \
         code:src, code:., datasets:train, datasets:data/a:b.csv, docs:README.md, \
         prompts:greet, mcpservers:tools"
    );
    let Error::NoMatch { available, .. } = error else {
        panic!("no_match makes this error");
    };
    for text in &available {
        assert_eq!(selected(&[text]).len(), 1, "{text} can be used as it is");
    }
    let shards = [(Section::Dataset, "d", "data"); 3];
    assert_eq!(
        filter(&["code"]).no_match(shards).to_string(),
        "nothing in the kit matches `code`; it holds datasets:d"
    );
    assert_eq!(
        filter(&["code"]).no_match([]).to_string(),
        "nothing in the kit matches `code`, which holds nothing a filter could select"
    );
}

#[test]
fn globs_select_files_and_all_below_a_folder() {
    let globs = |include: &[&str], exclude: &[&str]| {
        PathGlobs::new(&strings(include), &strings(exclude)).unwrap()
    };
    let all = globs(&[], &[]);
    assert!(all.is_everything() && all.selects(b"any/\xff"));
    let csv = globs(&["data/**.csv"], &[]);
    assert!(csv.selects(b"data/x.csv") && csv.selects(b"data/a/b.csv"));
    assert!(!csv.selects(b"data/x.txt") && !csv.selects(b"x.csv"));
    for folder in ["data", "./data/", "/data", "da*"] {
        let data = globs(&[folder], &[]);
        assert!(
            data.selects(b"data/a/x") && !data.selects(b"src/data2"),
            "{folder}"
        );
    }
    let some = globs(&["."], &["**/*.tmp", "cache"]);
    assert!(some.selects(b"a/b") && !some.selects(b"a/b.tmp") && !some.selects(b"cache/x/y"));
    let both = globs(&["a", "b"], &["a/x"]);
    assert!(both.selects(b"a/y") && both.selects(b"b/x") && !both.selects(b"a/x/z"));
    assert!(!both.selects(b"c") && !both.is_everything());
}

#[test]
fn an_invalid_glob_is_named() {
    let error = PathGlobs::new(&[], &strings(&["ok", "da[ta"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pattern `da[ta` holds a `[` that does not begin a set such as `[a-z]`"
    );
}
