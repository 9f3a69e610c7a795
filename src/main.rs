//! The `kit` program: starts the command line and reports its exit code.

fn main() -> std::process::ExitCode {
    modelkit::cli::main()
}
