//! What the command line means: defaults filled in, contradictions refused, before any work starts.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::args::{self, Color, FailOn, Format, Only};
use crate::engine::Selection;
use crate::report::Redact;

/// Columns of output that goes to no terminal.
const WIDTH_PIPED: usize = 100;

/// What `read` is to do.
#[derive(Debug, Clone)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "switches that the user sets one by one"
)]
pub struct Plan {
    /// The inputs; `-` is standard input. Never empty.
    pub inputs: Vec<PathBuf>,
    /// Which connections are looked at.
    pub selection: Selection,
    /// Only packets that match.
    pub filter: Option<String>,
    /// Files with keys of TLS sessions.
    pub keylogs: Vec<PathBuf>,
    /// Handshakes that are ok are counted only.
    pub only_failed: bool,
    /// The form of standard output.
    pub format: Format,
    /// Files to write besides.
    pub reports: Vec<ReportFile>,
    /// What is masked.
    pub redact: Redact,
    /// From which severity on the exit code is 1.
    pub fail_on: FailOn,
    /// Whether standard output may have colours.
    pub color: bool,
    /// Columns of standard output.
    pub width: usize,
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// Everything in full.
    pub verbose: bool,
    /// Whether progress is shown.
    pub progress: bool,
    /// No messages that are no errors.
    pub quiet: bool,
    /// Bytes for connections and reassembly; `None` for the usual limits.
    pub memory: Option<u64>,
    /// Most threads to use.
    pub threads: u16,
}

/// A report to write to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// Where.
    pub path: PathBuf,
    /// In which form.
    pub format: Format,
}

impl Plan {
    /// Whether only a part of the traffic is looked into.
    pub fn chooses(&self) -> bool {
        let Selection { ports, hosts, urls } = &self.selection;
        !ports.is_empty() || !hosts.is_empty() || !urls.is_empty() || self.filter.is_some()
    }

    /// The meaning of what was typed.
    pub fn new(args: args::Read) -> anyhow::Result<Self> {
        let mut inputs = args.files;
        if inputs.is_empty() {
            if io::stdin().is_terminal() {
                bail!("no FILE given, and standard input is a terminal; try 'hop101 read --help'");
            }
            inputs.push(PathBuf::from("-"));
        }
        if inputs.iter().filter(|path| is_stdin(path)).count() > 1 {
            bail!("standard input can be read once only, but '-' is given more than once");
        }
        let mut reports: Vec<ReportFile> = Vec::new();
        for path in args.show.report {
            if reports.iter().any(|report| report.path == path) {
                bail!("--report {} is given more than once", path.display());
            }
            if inputs.contains(&path) || args.select.keylog.contains(&path) {
                bail!("--report {} would overwrite an input", path.display());
            }
            let format = format_of(&path)?;
            reports.push(ReportFile { path, format });
        }
        let terminal = io::stdout().is_terminal();
        Ok(Self {
            inputs,
            selection: Selection {
                ports: args.select.port,
                hosts: args.select.host,
                urls: args
                    .select
                    .url
                    .iter()
                    .map(|url| without_scheme(url))
                    .collect(),
            },
            filter: args.select.filter,
            keylogs: args.select.keylog,
            only_failed: args.select.only == Some(Only::Failed),
            format: args.show.format,
            reports,
            redact: match args.show.redact {
                args::Redact::Standard => Redact::Standard,
                args::Redact::Strict => Redact::Strict,
                args::Redact::None => Redact::None,
            },
            fail_on: args.show.fail_on,
            color: color(args.show.color),
            width: width(),
            terminal,
            verbose: args.show.verbose,
            quiet: args.show.quiet,
            progress: !args.show.quiet && io::stderr().is_terminal(),
            memory: args.resources.memory,
            threads: args.resources.threads,
        })
    }
}

/// What of a URL is on the wire: `wss://chat.example/ws` may be pasted as it is.
fn without_scheme(url: &str) -> String {
    url.split_once("://")
        .map_or(url, |(_, rest)| rest)
        .to_owned()
}

/// Whether a path stands for standard input.
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether standard output may have colours.
pub(super) fn color(when: Color) -> bool {
    match when {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
    }
}

/// The columns of standard output: as COLUMNS says, as the terminal has, or 100.
pub(super) fn width() -> usize {
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.trim().parse().ok())
        .filter(|&columns: &usize| columns > 0);
    columns
        .or_else(|| {
            terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
        })
        .unwrap_or(WIDTH_PIPED)
}

/// The form that a file's extension asks for.
fn format_of(path: &Path) -> anyhow::Result<Format> {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    Ok(match extension.as_deref() {
        Some("md" | "markdown") => Format::Markdown,
        Some("html" | "htm") => Format::Html,
        Some("json") => Format::Json,
        Some("jsonl" | "ndjson") => Format::Jsonl,
        Some("txt") => Format::Table,
        _ => bail!(
            "--report {}: the form follows from the extension, which must be one of .md .html .json .jsonl .txt",
            path.display()
        ),
    })
}

/// Reads a size: a number of bytes, or with K, M, G (powers of 1024).
///
/// ```
/// use hop101::cli::plan::size;
///
/// assert_eq!(size("256M").unwrap(), 256 << 20);
/// assert_eq!(size("1.5 GiB").unwrap(), 3 << 29);
/// assert!(size("many").is_err());
/// ```
pub fn size(text: &str) -> anyhow::Result<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number
        .parse()
        .with_context(|| "a size is a number with K, M or G, e.g. 256M".to_owned())?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => bail!("a size is a number with K, M or G, e.g. 256M"),
    };
    // No sign and no NaN can come out of digits and full stops; too large a number saturates.
    #[allow(clippy::cast_sign_loss, reason = "parsed from digits")]
    Ok((number * f64::from(1_u32 << shift)) as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn extensions_decide_the_form() {
        let of = |path: &str| format_of(Path::new(path)).ok();
        assert_eq!(of("a.md"), Some(Format::Markdown));
        assert_eq!(of("a.HTML"), Some(Format::Html));
        assert_eq!(of("a.b.json"), Some(Format::Json));
        assert_eq!(of("a.jsonl"), Some(Format::Jsonl));
        assert_eq!(of("a.txt"), Some(Format::Table));
        assert_eq!(of("a.pdf"), None);
        assert_eq!(of("json"), None);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("4096").unwrap(), 4096);
        assert_eq!(size("64k").unwrap(), 64 << 10);
        assert_eq!(size("2G").unwrap(), 2 << 30);
        assert!(size("").is_err());
        assert!(size("-1").is_err());
        assert!(size("1T").is_err());
        assert!(size("1.2.3").is_err());
    }
}
