//! The command line: everything is in the library.

fn main() -> std::process::ExitCode {
    hop101::cli::run(std::env::args_os())
}
