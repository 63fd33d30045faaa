//! What `hop101 live` means.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use super::super::args::Read;
use super::super::plan::{Plan, size};
use super::args::Live;
use super::evidence;
use crate::capture::live::Options;

/// What `live` is to do.
#[derive(Debug, Clone)]
pub struct LivePlan {
    /// What it has in common with `read`; the input is the file written, else the names of the interfaces.
    pub read: Plan,
    /// How to capture.
    pub capture: Options,
    /// Most packets.
    pub count: Option<u64>,
    /// How long.
    pub duration: Option<Duration>,
    /// File for all packets.
    pub write: Option<PathBuf>,
    /// Where and how to keep evidence.
    pub evidence: Option<evidence::Options>,
    /// User to become.
    pub user: Option<String>,
}

impl LivePlan {
    /// The meaning of what was typed.
    pub fn new(args: Live) -> anyhow::Result<Self> {
        let Live {
            interface,
            capture,
            keep,
            select,
            show,
            resources,
            ..
        } = args;
        if keep
            .write
            .as_deref()
            .is_some_and(super::super::plan::is_stdin)
        {
            bail!(
                "-w -: packets cannot go to standard output, which has the verdicts; name a file"
            );
        }
        let input = keep
            .write
            .clone()
            .unwrap_or_else(|| PathBuf::from(interface.join(",")));
        let read = Plan::new(Read {
            files: vec![input],
            select,
            show,
            resources,
        })?;
        let usize = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        Ok(Self {
            capture: Options {
                interfaces: interface,
                snaplen: capture.snaplen,
                buffer: usize(capture.buffer),
                promiscuous: capture.promiscuous,
                filter: read.filter.clone(),
                ports: read.selection.ports.clone(),
            },
            count: capture.count,
            duration: capture.duration,
            evidence: keep.evidence.map(|folder| evidence::Options {
                folder,
                memory: usize(keep.evidence_memory),
                max_files: keep.evidence_files as usize,
                max_bytes: keep.evidence_total,
            }),
            write: keep.write,
            user: capture.user,
            read,
        })
    }
}

/// A block of the kernel's buffer holds a packet of the largest size, and one is filled while another is read.
const BUFFER_MIN: u64 = 1 << 20;

/// libpcap takes the size of its buffer as a signed number of 32 bits.
const BUFFER_MAX: u64 = 1 << 31;

/// Reads the size of the kernel's buffer.
pub(super) fn buffer(text: &str) -> anyhow::Result<u64> {
    let bytes = size(text)?;
    if !(BUFFER_MIN..=BUFFER_MAX).contains(&bytes) {
        bail!("a buffer has between 1M and 2G");
    }
    Ok(bytes)
}

/// Reads a time: seconds, or a number with s, m, h or d.
pub(super) fn duration(text: &str) -> anyhow::Result<Duration> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .with_context(|| "a time is a number with s, m, h or d, e.g. 5m".to_owned())?;
    let seconds = match unit.trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => bail!("a time is a number with s, m, h or d, e.g. 5m"),
    };
    if number == 0 {
        bail!("nothing can be captured in no time");
    }
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("90").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("5m").unwrap(), Duration::from_mins(5));
        assert_eq!(duration("2 h").unwrap(), Duration::from_hours(2));
        assert!(duration("").is_err());
        assert!(duration("-1").is_err());
        assert!(duration("1w").is_err());
        assert_eq!(
            duration("99999999999999999d").unwrap(),
            Duration::from_secs(u64::MAX)
        );
    }
}
