//! `hop101 explain`: what findings mean.

use anyhow::bail;

use super::args::Explain;
use super::plan;
use super::print;
use crate::diagnosis::Code;
use crate::report::{explain, table};

/// Prints the finding with this name, those whose names contain it, or all.
pub(super) fn run(args: &Explain) -> anyhow::Result<()> {
    let options = table::Options {
        width: plan::width(),
        color: plan::color(args.color),
        verbose: false,
    };
    let Some(name) = &args.code else {
        return print(explain::list(Code::ALL, &options).as_bytes());
    };
    let wanted = name.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    if let Ok(code) = wanted.parse() {
        return print(explain::page(code, &options).as_bytes());
    }
    let found: Vec<Code> = Code::ALL
        .iter()
        .copied()
        .filter(|code| !wanted.is_empty() && code.as_str().contains(&wanted))
        .collect();
    if found.is_empty() {
        bail!("no finding is called {name:?}; 'hop101 explain' lists all");
    }
    print(explain::list(&found, &options).as_bytes())
}
