//! Kitfiles: YAML, model, JSON, model and YAML again are one and the same Kitfile.

use modelkit::kitfile::{self, Kitfile, MAX_BYTES, MAX_CONFIG_BYTES};

pub(super) fn check(input: &[u8]) -> bool {
    let parsed = match kitfile::parse_bytes(input) {
        Ok(parsed) => parsed,
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason");
            // Whatever the text holds, a problem is a line.
            let lines = problems.to_string();
            assert_eq!(lines.lines().count(), problems.0.len(), "{lines:?}");
            let last = input.split(|byte| matches!(byte, b'\n' | b'\r')).count();
            for problem in &problems.0 {
                let line = problem.position.map_or(1, |position| position.line);
                assert!((1..=last + 1).contains(&line), "line {line} of {last}");
            }
            return false;
        }
    };
    let first = parsed.kitfile;
    assert_eq!(first.validate(), [], "it was accepted");
    let entries = first.entries();

    let config = first.to_config();
    if config.len() <= MAX_CONFIG_BYTES {
        let from_config = Kitfile::from_config(&config).expect("a config that was written is read");
        assert_eq!(from_config, first, "by way of the config");
        assert_eq!(from_config.to_config(), config);
        assert_eq!(from_config.entries(), entries);
    }

    // Aliases that are written out may make the text longer than a Kitfile may be.
    let yaml = first.to_yaml();
    if yaml.len() <= MAX_BYTES {
        let second = kitfile::parse(&yaml).unwrap_or_else(|problems| {
            panic!("a Kitfile that was written is refused: {problems}\n{yaml}")
        });
        assert_eq!(second.kitfile, first, "by way of YAML:\n{yaml}");
        assert_eq!(second.warnings.len(), parsed.warnings.len());
        assert_eq!(second.kitfile.to_yaml(), yaml);
    }
    true
}
