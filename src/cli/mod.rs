//! The command line: what was typed ([`args`]) becomes what it means ([`plan`]), which a command then does.
//!
//! Results go to standard output, everything else to standard error; a closed pipe ends the output without a word.
pub mod args;
mod cut;
mod explain;
mod inputs;
mod keys;
#[cfg(all(feature = "live", target_os = "linux"))]
pub mod live;
mod output;
mod passes;
pub mod plan;
mod progress;
mod read;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser};

use self::args::{Args, Command};

/// The run failed, or an input was damaged.
pub const EXIT_FAILED: u8 = 2;

/// At least one finding is as bad as `--fail-on` says.
pub const EXIT_FOUND: u8 = 1;

/// Runs the command line `args` (the first one is the program's name) and says how the process should exit.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            // Help and version come this way too. Nothing is left to do if they cannot be printed.
            let _ = error.print();
            if let Some(file) = file_as_command(&error) {
                message(&format!("to explain a capture: hop101 read {file}"));
            }
            return ExitCode::from(if error.use_stderr() { EXIT_FAILED } else { 0 });
        }
    };
    let done = match args.command {
        Command::Read(read) => plan::Plan::new(read).and_then(|plan| read::run(&plan)),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Live(live) if live.list_interfaces => live::list(),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Live(live) => live::plan::LivePlan::new(live).and_then(|plan| live::run(&plan)),
        Command::Cut(cut) => cut::run(&cut),
        Command::Explain(explain) => explain::run(&explain).map(|()| 0),
        Command::Completions { shell } => {
            let mut command = Args::command();
            let name = command.get_name().to_owned();
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut text);
            print(&text).map(|()| 0)
        }
        Command::Man { command } => man(command.as_deref()).map(|()| 0),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            message(&format!("{error:#}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// The file that somebody gave where a command has to stand.
fn file_as_command(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::InvalidSubcommand)? {
        ContextValue::String(word) if Path::new(word).is_file() => Some(word),
        _ => None,
    }
}

/// A line on standard error.
fn message(text: &str) {
    let text = crate::report::escape::visible(text);
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "hop101: {text}");
}

/// Writes to standard output; a closed pipe is no error.
fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("standard output"))
        }
        _ => Ok(()),
    }
}

/// The manual page of the program, or of one of its commands.
fn man(command: Option<&str>) -> anyhow::Result<()> {
    let mut root = Args::command();
    root.build();
    let page = match command {
        None => root,
        Some(name) => root
            .find_subcommand(name)
            .ok_or_else(|| anyhow::anyhow!("there is no command {name:?}"))?
            .clone()
            .display_name(format!("hop101-{name}")),
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    print(&text)
}
