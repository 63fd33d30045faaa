//! What was typed.

use std::path::PathBuf;

use crate::engine::Network;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args as Group, Parser, Subcommand, ValueEnum};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Says on which hop a WebSocket handshake through nginx died, and what to change.
#[derive(Debug, Parser)]
#[command(
    name = "hop101",
    version,
    styles = STYLES,
    max_term_width = 100,
    after_help = "Examples:
  hop101 read case.pcapng                            the cause on one screen
  hop101 read front.pcap backend.pcap                two vantage points, one story
  hop101 read case.pcapng --report ticket.md         a report to attach, secrets masked

Exit code: 0 nothing found, 1 something at or above --fail-on found, 2 the run failed or an input is damaged."
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Explain captures: which handshakes failed, on which hop, why, and what to change
    #[command(after_help = "Examples:
  hop101 read case.pcapng
  hop101 read front.pcap backend.pcap                two vantage points, one story
  tcpdump -i any -s 0 -w - tcp | hop101 read         what a pipe brings
  hop101 read case.pcapng --keylog keys.log          wss, with the keys that the client wrote (SSLKEYLOGFILE)
  hop101 read case.pcapng --report ticket.md --report ticket.html
  hop101 read e2e.pcap --format json --only failed   for programs

Exit code: 0 nothing found, 1 something at or above --fail-on found, 2 the run failed or an input is damaged.")]
    Read(Read),
    /// Capture and explain as it happens: each failure within a second, the full report at the end
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[command(after_help = "Examples:
  sudo hop101 live -i any                            verdicts while the user retries; Ctrl-C for the report
  sudo hop101 live -i any --only failed --evidence /var/log/hop101
  sudo hop101 live -i eth0 -i lo --port 80,8080 -w case.pcapng --report ticket.html
  sudo hop101 live -i any --duration 5m --format jsonl

Needs root or CAP_NET_RAW (sudo setcap cap_net_raw+ep $(which hop101)); gives all privileges up before it looks
into the first packet. Ctrl-C or SIGTERM ends with the report, a second one at once; SIGUSR1 prints a snapshot.

Exit code: 0 nothing found, 1 something at or above --fail-on found, 2 the capture failed.")]
    Live(super::live::args::Live),
    /// Write only the frames of chosen handshakes, to attach to a ticket
    #[command(after_help = "Examples:
  hop101 cut case.pcapng -o failed.pcapng --failed
  hop101 cut front.pcap backend.pcap -o h3.pcapng --handshake h3   both hops in one file

Every frame names its handshake in a comment. Payload is copied as it is, cookies and tokens included.

Exit code: 0 written, 2 nothing to write or an input is damaged.")]
    Cut(Cut),
    /// Say what a finding means: how it looks on the wire, why it happens, what nginx logs, what to change
    #[command(after_help = "Examples:
  hop101 explain                         all findings, a line each
  hop101 explain upgrade-not-forwarded   this one in full
  hop101 explain idle                    those with this in their name")]
    Explain(Explain),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Of this command instead of the whole program
        command: Option<String>,
    },
}

/// The command `read`.
#[derive(Debug, Group)]
pub struct Read {
    /// Captures: pcap or pcapng, also compressed; '-' is standard input. Several are vantage points of one story
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// What to look at.
    #[command(flatten)]
    pub select: Select,

    /// What to print.
    #[command(flatten)]
    pub show: Show,

    /// What to use.
    #[command(flatten)]
    pub resources: Resources,
}

/// The command `cut`.
#[derive(Debug, Group)]
pub struct Cut {
    /// Captures, as for 'read'; they are read twice, so pipes will not do
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Where to write, as pcapng
    #[arg(short, long, value_name = "OUT.pcapng")]
    pub output: PathBuf,

    /// Only these handshakes, by the ids that 'read' gives them [default: all]
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub handshake: Vec<String>,

    /// Only handshakes that never came up, ended badly, or cannot be told
    #[arg(long)]
    pub failed: bool,

    /// Keys of TLS sessions, as given to 'read': they decide which handshakes there are
    #[arg(long, value_name = "FILE")]
    pub keylog: Vec<PathBuf>,

    /// Most memory for connections and for bytes that wait to be put in order [default: 512M]
    #[arg(long, value_name = "SIZE", value_parser = super::plan::size)]
    pub memory: Option<u64>,

    /// Do not say what was written
    #[arg(short, long)]
    pub quiet: bool,
}

/// The command `explain`.
#[derive(Debug, Group)]
pub struct Explain {
    /// The finding, or a part of its name [default: list all]
    pub code: Option<String>,

    /// Colours; auto also minds NO_COLOR
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// What to look at.
#[derive(Debug, Group)]
#[command(next_help_heading = "What to look at")]
pub struct Select {
    /// Only connections to these server ports [default: any port, judged by its bytes]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub port: Vec<u16>,

    /// Only connections from or to this address or network, e.g. 10.20.0.0/16, also in VLANs and tunnels
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub host: Vec<Network>,

    /// Only handshakes that ask for a URL with this text in it, e.g. chat.example or /ws/orders: in the host and path of any
    /// hop. Others are not counted
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub url: Vec<String>,

    /// Only packets that match this filter, in the language of tcpdump; it sees the outermost addresses
    #[arg(long, value_name = "BPF")]
    pub filter: Option<String>,

    /// Keys of TLS sessions, as SSLKEYLOGFILE has them, to look into wss; keys inside a pcapng are used as well
    #[arg(long, value_name = "FILE")]
    pub keylog: Vec<PathBuf>,

    /// Leave out handshakes that are ok, their connections and findings; they are still counted
    #[arg(long, value_enum, value_name = "WHICH")]
    pub only: Option<Only>,
}

/// What to print.
#[derive(Debug, Group)]
#[command(next_help_heading = "What to print")]
pub struct Show {
    /// The form of standard output
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub format: Format,

    /// Also write a report to this file; the form follows from the extension: .md .html .json .jsonl .txt
    #[arg(long, value_name = "FILE")]
    pub report: Vec<PathBuf>,

    /// How much to mask: cookies, credentials and tokens; with strict also addresses, names and query strings
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL")]
    pub redact: Redact,

    /// Exit with 1 when something at least this bad was found
    #[arg(long, value_enum, default_value_t, value_name = "SEVERITY")]
    pub fail_on: FailOn,

    /// Colours; auto also minds NO_COLOR
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,

    /// Every handshake and finding in full
    #[arg(short, long)]
    pub verbose: bool,

    /// No progress on standard error
    #[arg(short, long)]
    pub quiet: bool,
}

/// Threads unless told otherwise: one that analyzes, one that decompresses.
pub const THREADS: u16 = 2;

/// What to use.
#[derive(Debug, Group)]
#[command(next_help_heading = "Resources")]
pub struct Resources {
    /// Most threads to use: the second one decompresses a compressed capture while the first analyzes; the report is the same
    #[arg(long, value_name = "N", default_value_t = THREADS, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,

    /// Most memory for connections, for bytes that wait to be put in order and for fragments [default: 512M]
    #[arg(long, value_name = "SIZE", value_parser = super::plan::size)]
    pub memory: Option<u64>,
}

/// Which handshakes are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Only {
    /// Those that never came up, ended badly, or cannot be told
    Failed,
}

/// A form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For a terminal: one screen for each cause
    #[default]
    Table,
    /// One document, schema hop101.report/1
    Json,
    /// One line as each thing finishes
    Jsonl,
    /// For a ticket
    Markdown,
    /// One page without scripts, to attach or print
    Html,
}

/// How much is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Redact {
    /// Cookies, credentials, tokens in query strings
    #[default]
    Standard,
    /// Also addresses, host names, query strings, close reasons, headers that do not matter
    Strict,
    /// Nothing
    None,
}

/// From which severity on the exit code is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum FailOn {
    /// What broke a handshake or session
    #[default]
    Error,
    /// Also what should not be so
    Warning,
    /// Exit with 0 whatever is found
    Never,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
