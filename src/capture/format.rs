//! The file formats, as one.

use super::notes::Secrets;
use super::parse::{Meta, Parsed};
use super::pcap::Pcap;
use super::pcapng::PcapNg;

/// How an input is read.
pub(super) enum Format {
    Pcap(Pcap),
    PcapNg(Box<PcapNg>),
}

impl Format {
    /// The frame that `bytes` begin with if it is there as a whole, and nothing special.
    #[expect(
        clippy::inline_always,
        reason = "per frame: saves copies through memory"
    )]
    #[inline(always)]
    pub(super) fn frame(&mut self, bytes: &[u8]) -> Option<Meta> {
        match self {
            Self::Pcap(file) => file.frame(bytes),
            Self::PcapNg(file) => file.frame(bytes),
        }
    }

    /// What `bytes` begin with, whatever it is; `number` is what Wireshark calls it if it is a frame.
    pub(super) fn next(&mut self, bytes: &[u8], number: u64) -> Parsed {
        match self {
            Self::Pcap(file) => file.next(bytes),
            Self::PcapNg(file) => file.next(bytes, number),
        }
    }

    /// Secrets that were found and not taken before.
    pub(super) fn take_secrets(&mut self) -> Vec<Secrets> {
        match self {
            Self::Pcap(_) => Vec::new(),
            Self::PcapNg(file) => std::mem::take(&mut file.notes.secrets),
        }
    }
}
