//! What was typed after `hop101 live`.

use std::path::PathBuf;

use clap::Args as Group;

use super::super::args::{Resources, Select, Show};
use super::super::plan::size;
use super::plan::{buffer, duration};

/// The command `live`.
#[derive(Debug, Group)]
pub struct Live {
    /// Interface to capture on, by name or number of -D; 'any' sees all. Several are one story
    #[arg(
        short,
        long,
        value_name = "IFACE",
        required_unless_present = "list_interfaces"
    )]
    pub interface: Vec<String>,

    /// List the interfaces of this machine
    #[arg(short = 'D', long)]
    pub list_interfaces: bool,

    /// How to capture.
    #[command(flatten)]
    pub capture: Capture,

    /// What to keep.
    #[command(flatten)]
    pub keep: Keep,

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

/// How to capture.
#[derive(Debug, Group)]
#[command(next_help_heading = "How to capture")]
pub struct Capture {
    /// Stop after this many packets
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Stop after this long, e.g. 90, 30s, 5m or 2h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<std::time::Duration>,

    /// Bytes to take of each packet; heads that are cut cannot be read
    #[arg(short, long, value_name = "BYTES", default_value_t = crate::capture::live::SNAPLEN_DEFAULT,
          value_parser = clap::value_parser!(u32).range(64..=262_144))]
    pub snaplen: u32,

    /// Kernel buffer for each interface
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = buffer)]
    pub buffer: u64,

    /// Also take packets that are meant for other machines
    #[arg(long)]
    pub promiscuous: bool,

    /// User to become once everything is open [default: who called sudo]; 'root' to stay root
    #[arg(short = 'Z', long, value_name = "USER")]
    pub user: Option<String>,
}

/// What to keep.
#[derive(Debug, Group)]
#[command(
    next_help_heading = "What to keep (packets hold secrets: nothing is masked in these files)"
)]
pub struct Keep {
    /// Also write all packets to this file, as pcapng
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// Write the packets of each handshake that fails or breaks to a file of its own in this directory
    #[arg(long, value_name = "DIR")]
    pub evidence: Option<PathBuf>,

    /// Memory for the last packets, from which evidence is taken
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size, requires = "evidence")]
    pub evidence_memory: u64,

    /// Most evidence files of a run; the oldest make room
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "evidence")]
    pub evidence_files: u32,

    /// Most bytes of all evidence files of a run together; the oldest make room
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size, requires = "evidence")]
    pub evidence_total: u64,
}
