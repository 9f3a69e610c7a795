//! Licence expressions as Cargo manifests write them: names, `AND`, `OR`, `WITH`, parentheses,
//! and the old `/` for `OR`.

/// Tells whether `expression` can be met with the licences in `allowed` alone. A licence with an
/// exception is a name of its own there: `Apache-2.0 WITH LLVM-exception`.
pub(crate) fn is_met(expression: &str, allowed: &[String]) -> Result<bool, String> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut reader = Reader {
        words: spaced.split_whitespace().collect(),
        at: 0,
        allowed,
    };
    let met = reader.any()?;
    match reader.next() {
        None => Ok(met),
        Some(word) => Err(format!("`{word}` is unexpected in `{expression}`")),
    }
}

struct Reader<'a> {
    words: Vec<&'a str>,
    at: usize,
    allowed: &'a [String],
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.at += 1;
        self.words.get(self.at - 1).copied()
    }

    /// Takes the next word if it is `word`.
    fn take(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at) == Some(&word);
        self.at += usize::from(found);
        found
    }

    /// `OR` binds weakest.
    fn any(&mut self) -> Result<bool, String> {
        let mut met = self.all()?;
        while self.take("OR") {
            met |= self.all()?;
        }
        Ok(met)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut met = self.one()?;
        while self.take("AND") {
            met &= self.one()?;
        }
        Ok(met)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let met = self.any()?;
            return if self.take(")") {
                Ok(met)
            } else {
                Err("a `)` is missing".to_owned())
            };
        }
        let name = match self.next() {
            None | Some("AND" | "OR" | "WITH" | ")") => {
                return Err("a licence is missing".to_owned());
            }
            Some(name) => name,
        };
        let name = if self.take("WITH") {
            let exception = self.next().ok_or("an exception is missing")?;
            format!("{name} WITH {exception}")
        } else {
            name.to_owned()
        };
        Ok(self.allowed.contains(&name))
    }
}

#[test]
fn expressions_are_judged_as_they_are_meant() {
    let allowed = [
        "MIT",
        "Apache-2.0",
        "Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ];
    let allowed = allowed.map(str::to_owned);
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("MIT/GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("MIT AND GPL-3.0 OR Apache-2.0", true),
        ("MIT AND (GPL-3.0 OR LGPL-3.0)", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("MIT WITH Classpath-exception-2.0", false),
    ] {
        assert_eq!(is_met(expression, &allowed), Ok(met), "{expression}");
    }
    for broken in [
        "",
        "MIT OR",
        "AND MIT",
        "(MIT",
        "MIT)",
        "MIT Apache-2.0",
        "MIT WITH",
    ] {
        assert!(is_met(broken, &allowed).is_err(), "{broken}");
    }
}
