//! From frames to segments, with what must be remembered between frames: fragments.

use super::fragments::{Added, FRAGMENT_BYTES, Fragments, Whole};
use super::link;
use super::plain;
use super::walk::{Layer, Outcome, Walk};
use super::{Decoded, OtherKind, Segment};
use crate::capture::{Frame, LinkType};

/// What was reassembled, and what was given up, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecodeStats {
    /// IP datagrams put together from fragments.
    pub datagrams_reassembled: u64,
    /// Datagrams given up because the rest did not come in time.
    pub datagrams_incomplete: u64,
    /// Datagrams given up to stay within the limits.
    pub datagrams_given_up: u64,
    /// Datagrams given up because fragments contradicted each other.
    pub datagrams_contradicted: u64,
    /// Datagrams given up because a fragment broke the rules of IP.
    pub datagrams_malformed: u64,
    /// Fragments that were of no use because the snaplen cut them.
    pub fragments_cut: u64,
}

/// Finds the TCP segment in frames.
pub struct Decoder {
    fragments: Fragments,
    whole: Option<Whole>,
    stats: DecodeStats,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that has seen nothing yet.
    pub fn new() -> Self {
        Self::with_fragment_bytes(FRAGMENT_BYTES)
    }

    /// One that holds at most so many bytes of datagrams that are not complete.
    pub fn with_fragment_bytes(bytes: usize) -> Self {
        Self {
            fragments: Fragments::new(bytes),
            whole: None,
            stats: DecodeStats::default(),
        }
    }

    /// The segment in a frame of the usual kinds that is whole and plain, as nearly all segments are: nothing needs to be
    /// remembered for it.
    #[expect(
        clippy::inline_always,
        reason = "per frame: saves copies through memory"
    )]
    #[inline(always)]
    pub fn plain<'a>(frame: &Frame<'a>) -> Option<Segment<'a>> {
        plain_segment(frame)
    }

    /// What a frame holds; borrowed from the frame, or for a reassembled datagram from the decoder.
    #[inline]
    pub fn decode<'a>(&'a mut self, frame: &Frame<'a>) -> Decoded<'a> {
        match plain_segment(frame) {
            Some(segment) => Decoded::Tcp(segment),
            None => self.unusual(frame),
        }
    }

    /// What a frame holds in which [`Self::plain`] finds no segment.
    #[inline]
    pub fn unusual<'a>(&'a mut self, frame: &Frame<'a>) -> Decoded<'a> {
        // Most of what is no TCP is QUIC or names asked for.
        match plain_datagram(frame) {
            Some(kind) => Decoded::Other(kind),
            None => self.general(frame),
        }
    }

    /// What became of fragments so far.
    pub const fn stats(&self) -> DecodeStats {
        self.stats
    }

    /// Datagrams that wait for their rest: those of [`DecodeStats`] that could still become complete.
    pub fn datagrams_held(&self) -> usize {
        self.fragments.held()
    }

    /// The way that all frames can go, plain or not.
    pub fn general<'a>(&'a mut self, frame: &Frame<'a>) -> Decoded<'a> {
        let cut = (frame.wire_len as usize).saturating_sub(frame.data.len());
        let cut = u32::try_from(cut).unwrap_or(u32::MAX);
        let mut walk = Walk::new(frame.id, frame.interface, frame.data, cut);
        let layer = match link::enter(&mut walk, frame.link) {
            Ok(layer) => layer,
            Err(other) => return Decoded::Other(other),
        };
        let fragment = match walk.run(layer) {
            Outcome::Done(decoded) => return decoded,
            Outcome::Fragment(fragment) => fragment,
        };
        let mut whole = match self.fragments.add(&fragment, &mut self.stats) {
            Added::Held => return Decoded::Other(OtherKind::Fragment),
            Added::Dropped => return Decoded::Other(OtherKind::Unreadable),
            Added::Complete(whole) => whole,
        };
        // A tunnel's datagram may carry a fragment again; each turn uses up a datagram that was held, so this ends.
        while let Outcome::Fragment(fragment) = walk_on(&whole) {
            whole = match self.fragments.add(&fragment, &mut self.stats) {
                Added::Held => return Decoded::Other(OtherKind::Fragment),
                Added::Dropped => return Decoded::Other(OtherKind::Unreadable),
                Added::Complete(whole) => whole,
            };
        }
        match walk_on(self.whole.insert(whole)) {
            Outcome::Done(decoded) => decoded,
            Outcome::Fragment(_) => Decoded::Other(OtherKind::Unreadable),
        }
    }
}

fn walk_on(whole: &Whole) -> Outcome<'_> {
    whole.walk().run(Layer::Protocol(whole.protocol))
}

/// The segment in a frame of the usual kinds that is whole and plain.
#[expect(
    clippy::inline_always,
    reason = "per frame: saves copies through memory"
)]
#[inline(always)]
fn plain_segment<'a>(frame: &Frame<'a>) -> Option<Segment<'a>> {
    let (ether_type, ip, interface) = plain_link(frame)?;
    match ether_type {
        [0x08, 0x00] => plain::over_ipv4(ip, frame.id, interface),
        [0x86, 0xdd] => plain::over_ipv6(ip, frame.id, interface),
        _ => None,
    }
}

/// The datagram in a frame of the usual kinds that is whole, plain and no tunnel.
fn plain_datagram(frame: &Frame<'_>) -> Option<OtherKind> {
    match plain_link(frame)? {
        ([0x08, 0x00], ip, _) => plain::datagram_over_ipv4(ip),
        ([0x86, 0xdd], ip, _) => plain::datagram_over_ipv6(ip),
        _ => None,
    }
}

/// What follows the link layers of the usual kinds: its type, its bytes, and the interface that they were seen on.
#[expect(
    clippy::inline_always,
    reason = "per frame: saves copies through memory"
)]
#[inline(always)]
fn plain_link<'a>(frame: &Frame<'a>) -> Option<([u8; 2], &'a [u8], u32)> {
    match frame.link {
        LinkType::ETHERNET => {
            let (&[.., a, b], ip) = frame.data.split_first_chunk::<14>()?;
            Some(([a, b], ip, frame.interface))
        }
        LinkType::LINUX_SLL2 => {
            let (&[a, b, _, _, i0, i1, i2, i3, ..], ip) = frame.data.split_first_chunk::<20>()?;
            Some(([a, b], ip, u32::from_be_bytes([i0, i1, i2, i3])))
        }
        LinkType::LINUX_SLL => {
            let (&[.., a, b], ip) = frame.data.split_first_chunk::<16>()?;
            Some(([a, b], ip, frame.interface))
        }
        _ => None,
    }
}
