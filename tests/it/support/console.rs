//! Console blocks in pages: what stands behind `$` is run, and what is shown below it compared.

use super::Sandbox;

/// A command of a console block, and what is printed below it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What is typed, without the remark at its end.
    pub(crate) line: String,
    /// The code that the remark `# exit 3` promises, else 0.
    pub(crate) code: i32,
    pub(crate) output: String,
}

impl Step {
    /// Returns the words behind `kit`, if it is that program, as a shell without variables would.
    pub(crate) fn kit(&self) -> Option<Vec<&str>> {
        let words = self.line.strip_prefix("kit ")?.split_whitespace();
        Some(words.map(|word| word.trim_matches('\'')).collect())
    }

    /// Compares a run of the line with what the page shows.
    #[track_caller]
    pub(crate) fn check(&self, found: &super::Output) {
        assert_eq!(found.code, self.code, "{}\n{found}", self.line);
        if !self.output.is_empty() {
            assert_eq!(found.stdout, self.output, "{}", self.line);
        }
    }

    /// Runs the line in a shell that finds `kit`, for pages that use other programs, too.
    #[track_caller]
    pub(crate) fn run_in_shell(&self, kit: &Sandbox) {
        let mut command = kit.program("sh");
        command.args(["-c", &self.line]);
        self.check(&kit.finish(command, b""));
    }
}

/// Returns the commands in the console blocks of `text`.
pub(crate) fn steps(text: &str) -> Vec<Step> {
    let blocks = text
        .split("```console\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        if let Some(typed) = line.strip_prefix("$ ") {
            let (typed, remark) = typed.split_once(" # ").unwrap_or((typed, ""));
            let code = remark
                .strip_prefix("exit ")
                .map(|code| code.parse().unwrap());
            steps.push(Step {
                line: typed.trim_end().to_owned(),
                code: code.unwrap_or(0),
                output: String::new(),
            });
        } else if let (Some(more), Some(step)) = (line.strip_prefix("> "), steps.last_mut()) {
            // The shell asks for more of the same line.
            step.line += "\n";
            step.line += more;
        } else if let Some(step) = steps.last_mut() {
            step.output += line;
            step.output += "\n";
        }
    }
    steps
}

#[test]
fn console_blocks_are_read_as_a_shell_would() {
    let text = "```console\n$ kit a 'b/**'  # note\n1\n2\n$ cargo x # exit 3\n```\n$ kit no\n\
                ```console\n$ kit d\n```";
    let step = |line: &str, code, output: &str| Step {
        line: line.to_owned(),
        code,
        output: output.to_owned(),
    };
    assert_eq!(
        steps(text),
        [
            step("kit a 'b/**'", 0, "1\n2\n"),
            step("cargo x", 3, ""),
            step("kit d", 0, "")
        ]
    );
    assert_eq!(steps(text)[0].kit(), Some(vec!["a", "b/**"]));
    assert_eq!(steps(text)[1].kit(), None);
}
