//! How long the records of a session are that nobody opens: what a proxy in the middle relays keeps its length.
//!
//! ```text
//!   client == record of n + overhead bytes ==> proxy -- n bytes in clear --> backend
//! ```
//!
//! Invariants: a sketch is bounded, and kept only while it can be one of HTTP/1: nothing of it costs a session of another
//! kind more than a few records.

use std::ops::RangeInclusive;

use super::TlsFacts;
use super::names::cipher_name;
use crate::capture::FrameRef;
use crate::tcp::Direction;

/// Records kept of each direction: those of the TLS handshake, of some requests before the one that matters, and of the
/// first messages behind it.
pub const SIZES_MAX: usize = 24;

/// A record is full with so much text (RFC 8446 5.1). Who fills records sends files: what proxies relay comes in smaller
/// buffers (nginx: 4 or 8 KiB).
const FULL: u16 = 1 << 14;

/// A record with application data, or what looks like one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The frame that completed it.
    pub frame: FrameRef,
    /// The length in its header.
    pub len: u16,
}

/// The first records of a session, by direction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sizes {
    to_server: Vec<Size>,
    to_client: Vec<Size>,
    cut: bool,
}

impl Sizes {
    /// Those of a direction, in order.
    pub fn of(&self, direction: Direction) -> &[Size] {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    /// One more record.
    #[cfg(test)]
    pub(crate) fn add(&mut self, direction: Direction, len: u16, frame: FrameRef) {
        let list = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        list.push(Size { frame, len });
    }

    /// All of them in other frames.
    #[cfg(test)]
    pub(crate) fn change_frames(&mut self, change: impl Fn(FrameRef) -> FrameRef) {
        for size in self.to_server.iter_mut().chain(&mut self.to_client) {
            size.frame = change(size.frame);
        }
    }

    /// Whether more records came, in either direction, than are here.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }
}

/// Watches the records of one session for as long as that may be worth it.
#[derive(Debug, Default)]
pub(super) enum Watch {
    /// No application data came so far.
    #[default]
    Before,
    /// Nor is it known what was said before the capture began.
    Midstream,
    Watching(Box<Sizes>),
    /// Nothing more is taken down; what was, if it is any good.
    Over(Option<Box<Sizes>>),
}

impl Watch {
    /// A record with application data begins.
    pub(super) fn begins(
        &mut self,
        direction: Direction,
        len: u16,
        frame: FrameRef,
        facts: &TlsFacts,
    ) {
        if let Self::Before | Self::Midstream = self {
            // Of half a handshake nobody knows what a record has beside its text.
            let is_known = facts.cipher.is_some() && may_be_http1(facts);
            let was_up = matches!(self, Self::Midstream) && facts.began_before();
            *self = if is_known || was_up {
                Self::Watching(Box::default())
            } else {
                Self::Over(None)
            };
        }
        let Self::Watching(sizes) = self else {
            return;
        };
        let list = match direction {
            Direction::ToServer => &mut sizes.to_server,
            Direction::ToClient => &mut sizes.to_client,
        };
        if len < FULL && list.len() < SIZES_MAX {
            list.push(Size { frame, len });
            return;
        }
        sizes.cut = true;
        let sizes = std::mem::take(sizes);
        *self = Self::Over(Some(sizes));
    }

    /// The record at hand goes on in this frame.
    pub(super) fn goes_on(&mut self, direction: Direction, frame: FrameRef) {
        if let Self::Watching(sizes) = self {
            let list = match direction {
                Direction::ToServer => &mut sizes.to_server,
                Direction::ToClient => &mut sizes.to_client,
            };
            if let Some(last) = list.last_mut() {
                last.frame = frame;
            }
        }
    }

    /// Records are missing, or it is read with keys.
    pub(super) fn give_up(&mut self) {
        *self = Self::Over(None);
    }

    /// Whether more records are wanted.
    pub(super) const fn is_watching(&self) -> bool {
        matches!(self, Self::Watching(_))
    }

    /// What was taken down.
    pub(super) const fn sizes(&self) -> Option<&Sizes> {
        match self {
            Self::Watching(sizes) | Self::Over(Some(sizes)) => Some(sizes),
            Self::Before | Self::Midstream | Self::Over(None) => None,
        }
    }

    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        self.sizes().map_or(0, |sizes| {
            let places = sizes.to_server.capacity() + sizes.to_client.capacity();
            size_of::<Sizes>() + places * size_of::<Size>()
        })
    }
}

/// Whether the session may carry HTTP/1: who offers h2 gets it as a rule, and with TLS 1.3 nobody sees what the server
/// chose. Browsers offer `http/1.1` alone for WebSocket.
fn may_be_http1(facts: &TlsFacts) -> bool {
    let offered = &facts.alpn_offered;
    let offers = |name: &str| offered.iter().any(|one| &**one == name);
    facts.alpn.as_deref().map_or_else(
        || offered.is_empty() || offers("http/1.1") && !offers("h2"),
        |chosen| chosen == "http/1.1",
    )
}

impl TlsFacts {
    /// Whether neither hello was captured, as of a session that was up when the capture began.
    pub const fn began_before(&self) -> bool {
        self.client_hello.is_none() && self.server_hello.is_none()
    }

    /// What it may be where the hellos were not captured: as to what a record has beside its text, all that is in use comes
    /// down to TLS 1.3, and 1.2 with AES-GCM or ChaCha20.
    pub fn guesses() -> [Self; 3] {
        let guess = |version, cipher| Self {
            version: Some(version),
            cipher: Some(cipher),
            ..Self::default()
        };
        [
            guess(0x0304, 0x1301),
            guess(0x0303, 0xc02f),
            guess(0x0303, 0xcca8),
        ]
    }

    /// How many bytes a record of a length may carry, by version and suite; `None` where these are not known. The bytes
    /// of the content type, padding that nobody uses, are not among them.
    pub fn carried_by(&self, len: u16) -> Option<RangeInclusive<u16>> {
        let (least, most) = overhead(self.version?, self.cipher?)?;
        Some(len.saturating_sub(most)..=len.checked_sub(least)?)
    }
}

/// What a record has beside its text, least and most (RFC 8446 5.2, RFC 5246 6.2.3, RFC 5288 3, RFC 7905 2, RFC 6655 3).
fn overhead(version: u16, cipher: u16) -> Option<(u16, u16)> {
    const TAG: u16 = 16;
    const SHORT_TAG: u16 = 8;
    const NONCE: u16 = 8;
    const CONTENT_TYPE: u16 = 1;
    const BLOCK: u16 = 16;
    let name = cipher_name(cipher)?;
    let tag = if name.contains("_CCM_8") {
        SHORT_TAG
    } else {
        TAG
    };
    let exact = |len: u16| Some((len, len));
    if version >= 0x0304 {
        return exact(CONTENT_TYPE + tag);
    }
    if name.contains("CHACHA20") {
        return exact(TAG);
    }
    if name.contains("_GCM") || name.contains("_CCM") {
        return exact(NONCE + tag);
    }
    // RFC 5246 6.2.3.2: an IV, then text, MAC and 1 to 16 bytes of padding (more is allowed, and nobody sends it).
    let mac = if name.ends_with("_SHA384") {
        48
    } else if name.ends_with("_SHA256") {
        32
    } else {
        20
    };
    (name.contains("_AES_") && name.contains("_CBC_") && version >= 0x0302)
        .then_some((BLOCK + mac + 1, BLOCK + mac + BLOCK))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::capture::{CaptureId, FrameNo, Timestamp};

    fn frame(number: u64) -> FrameRef {
        FrameRef::new(Timestamp::from_nanos(0), CaptureId(0), FrameNo(number))
    }

    fn facts(offered: &[&str], chosen: Option<&str>) -> TlsFacts {
        TlsFacts {
            client_hello: Some(frame(0)),
            alpn_offered: offered.iter().map(|&one| one.into()).collect(),
            alpn: chosen.map(Into::into),
            version: Some(0x0304),
            cipher: Some(0x1301),
            ..TlsFacts::default()
        }
    }

    #[test]
    fn what_a_record_carries_follows_from_version_and_suite() {
        for (version, cipher, len, carried) in [
            (0x0304, 0x1301, 23, Some(6..=6)),
            (0x0304, 0x1303, 17, Some(0..=0)),
            (0x0304, 0x1301, 16, None),
            (0x0303, 0xc02f, 30, Some(6..=6)),
            (0x0303, 0xcca8, 22, Some(6..=6)),
            (0x0303, 0xc0ae, 22, Some(6..=6)),
            (0x0303, 0xc0ac, 30, Some(6..=6)),
            (0x0303, 0xc013, 64, Some(12..=27)),
            (0x0303, 0xc027, 64, Some(0..=15)),
            (0x0303, 0x0005, 64, None),
            (0x0301, 0xc013, 64, None),
        ] {
            let facts = TlsFacts {
                version: Some(version),
                cipher: Some(cipher),
                ..TlsFacts::default()
            };
            assert_eq!(facts.carried_by(len), carried, "{version:04x} {cipher:04x}");
        }
    }

    #[test]
    fn only_what_may_be_http1_is_watched() {
        for (offered, chosen, watched) in [
            (&[][..], None, true),
            (&["http/1.1"], None, true),
            (&["h2", "http/1.1"], None, false),
            (&["h2", "http/1.1"], Some("http/1.1"), true),
            (&["h2", "http/1.1"], Some("h2"), false),
            (&["h2"], None, false),
            (&["dot"], None, false),
        ] {
            let mut watch = Watch::default();
            watch.begins(Direction::ToServer, 100, frame(1), &facts(offered, chosen));
            assert_eq!(watch.is_watching(), watched, "{offered:?} {chosen:?}");
        }
    }

    #[test]
    fn what_was_up_before_the_capture_is_watched_and_half_a_handshake_is_not() {
        let hello = Some(frame(1));
        for (mut watch, client_hello, server_hello, watched) in [
            (Watch::Midstream, None, None, true),
            (Watch::Midstream, hello, None, false),
            (Watch::Midstream, None, hello, false),
            (Watch::Before, None, None, false),
        ] {
            let facts = TlsFacts {
                client_hello,
                server_hello,
                ..TlsFacts::default()
            };
            watch.begins(Direction::ToServer, 100, frame(2), &facts);
            assert_eq!(watch.is_watching(), watched);
        }
    }

    #[test]
    fn all_that_is_guessed_is_known() {
        let carried = TlsFacts::guesses().map(|guess| guess.carried_by(100));
        assert_eq!(carried, [Some(83..=83), Some(76..=76), Some(84..=84)]);
    }

    #[test]
    fn a_sketch_ends_with_a_full_record_or_when_it_is_full() {
        let facts = facts(&[], None);
        let mut watch = Watch::default();
        watch.begins(Direction::ToServer, 100, frame(1), &facts);
        watch.goes_on(Direction::ToServer, frame(2));
        watch.begins(Direction::ToClient, FULL + 17, frame(3), &facts);
        assert!(!watch.is_watching());
        let sizes = watch.sizes().unwrap();
        assert!(sizes.is_cut());
        let expected = Size {
            frame: frame(2),
            len: 100,
        };
        assert_eq!(sizes.of(Direction::ToServer), [expected]);
        assert!(sizes.of(Direction::ToClient).is_empty());

        let mut watch = Watch::default();
        for number in 0..=SIZES_MAX as u64 {
            assert!(number == 0 || watch.is_watching());
            watch.begins(Direction::ToClient, 20, frame(number), &facts);
        }
        assert!(!watch.is_watching());
        let sizes = watch.sizes().unwrap();
        assert_eq!(sizes.of(Direction::ToClient).len(), SIZES_MAX);
    }
}
