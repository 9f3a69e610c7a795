//! A place of its own for each test: home, working directory, environment.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{Layout, Output, output::hide_process_numbers};

/// A home, a working directory and the environment the program sees there: nothing of the
/// machine's own, but `PATH` for the programs it may call.
pub(crate) struct Sandbox {
    root: TempDir,
    home: PathBuf,
    work: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("kit-test-")
            .tempdir()
            .unwrap();
        // The program may show the resolved path, so that is the one to replace in its output.
        let whole = root.path().canonicalize().unwrap();
        let (home, work) = (whole.join("home"), whole.join("work"));
        fs::create_dir(&home).unwrap();
        fs::create_dir(&work).unwrap();
        let mut environment: Vec<(OsString, OsString)> = vec![
            ("KITOPS_HOME".into(), home.clone().into()),
            ("HOME".into(), whole.clone().into()),
            ("TMPDIR".into(), whole.into()),
            ("TZ".into(), "UTC".into()),
        ];
        // Windows starts no program without SYSTEMROOT.
        for kept in ["PATH", "SYSTEMROOT"] {
            if let Some(value) = std::env::var_os(kept) {
                environment.push((kept.into(), value));
            }
        }
        Self {
            root,
            home,
            work,
            environment,
        }
    }

    /// Sets `name` in the environment of the commands run from now on.
    pub(crate) fn env(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.retain(|(key, _)| key != name);
        self.environment.push((name.into(), value.into()));
    }

    /// Makes `kit` a program that shells find.
    pub(crate) fn find_kit(&mut self) {
        let program = Path::new(env!("CARGO_BIN_EXE_kit")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(program.to_owned()).chain(std::env::split_paths(&path));
        self.env("PATH", std::env::join_paths(paths).unwrap());
    }

    /// Returns the program's home.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the path of `name` in the working directory.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.work.join(name)
    }

    /// Returns the local store as a layout to be read.
    pub(crate) fn store(&self) -> Layout {
        Layout::at(self.home.join("store"))
    }

    // --- running ---

    /// Runs `kit` with `args` in the working directory.
    pub(crate) fn run<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Output {
        self.run_in("", args)
    }

    /// Runs `kit` with `args` in `folder` below the working directory.
    pub(crate) fn run_in<I: IntoIterator<Item: AsRef<OsStr>>>(
        &self,
        folder: &str,
        args: I,
    ) -> Output {
        let mut command = self.command(args);
        command.current_dir(self.path(folder));
        self.finish(command, b"")
    }

    /// Runs `kit` with `args` and `input` as its standard input.
    pub(crate) fn run_with<I: IntoIterator<Item: AsRef<OsStr>>>(
        &self,
        args: I,
        input: &[u8],
    ) -> Output {
        self.finish(self.command(args), input)
    }

    /// Returns `kit` with `args`, ready to be started, for tests that do more than wait.
    pub(crate) fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_kit"));
        command.args(args);
        command
    }

    /// Returns another program that sees what `kit` would see.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.work)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `command` to its end.
    pub(crate) fn finish(&self, mut command: Command, input: &[u8]) -> Output {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                let _ = stdin.write_all(input); // a program may end without reading all
            });
            child.wait_with_output().unwrap()
        });
        Output {
            stdout: self.plain(&output.stdout),
            stderr: self.plain(&output.stderr),
            code: exit_code(output.status),
        }
    }

    /// Replaces what differs from run to run.
    fn plain(&self, stream: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(stream).into_owned();
        for (path, name) in [
            (&*self.home, "[HOME]"),
            (&*self.work, "[WORK]"),
            (self.root.path(), "[ROOT]"),
        ] {
            let path = path.to_str().unwrap();
            text = text.replace(path, name);
            // Windows: without the `\\?\` of a resolved path.
            text = text.replace(path.trim_start_matches(r"\\?\"), name);
        }
        if cfg!(windows) {
            text = text.replace('\\', "/").replace("kit.exe", "kit");
        }
        hide_process_numbers(&text)
    }

    // --- making trees in the working directory ---

    /// Writes a file, 0644, and the folders above it.
    pub(crate) fn file(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        set_mode(&path, 0o644);
        self
    }

    /// Writes a file, 0755, and the folders above it.
    pub(crate) fn exec(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> &Self {
        self.file(&path, content);
        set_mode(&self.path(path), 0o755);
        self
    }

    /// Makes a folder and those above it.
    pub(crate) fn dir(&self, path: impl AsRef<Path>) -> &Self {
        fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    /// Makes a symbolic link at `path` that holds `target`.
    #[cfg(unix)]
    pub(crate) fn symlink(&self, target: impl AsRef<Path>, path: impl AsRef<Path>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }

    /// Copies the folder `from` to `to` in the working directory, with the modes that git keeps.
    pub(crate) fn copy(&self, from: &Path, to: &str) -> &Self {
        self.dir(to);
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = format!("{to}/{}", entry.file_name().to_str().unwrap());
            let content = entry.path();
            if content.is_dir() {
                self.copy(&content, &to);
            } else if content
                .extension()
                .is_some_and(|extension| extension == "sh")
            {
                self.exec(&to, fs::read(content).unwrap());
            } else {
                self.file(&to, fs::read(content).unwrap());
            }
        }
        self
    }
}

/// Sets permission bits where there are any.
pub(crate) fn set_mode(path: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = (path, mode); // Windows has no such bits.
}

/// Returns the exit code, or 128 and the signal as a shell does.
fn exit_code(status: std::process::ExitStatus) -> i32 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return 128 + signal;
        }
    }
    status.code().unwrap()
}
