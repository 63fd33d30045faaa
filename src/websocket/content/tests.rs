//! Messages of a sender that compresses as RFC 7692 says, or does not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use flate2::{Compress, Compression as Level, FlushCompress};
use proptest::prelude::*;

use crate::capture::{CaptureId, FrameNo, Timestamp};

const NOWHERE: FrameRef = FrameRef::new(Timestamp::from_nanos(0), CaptureId(0), FrameNo(1));

const DEFLATE: Compression = Compression::Deflate {
    no_context_takeover: false,
    window_bits: None,
};

/// Compresses as RFC 7692 7.2.1 says, keeping the window.
struct Sender(Compress);

impl Sender {
    fn new() -> Self {
        Self(Compress::new(Level::default(), false))
    }

    fn message(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 100);
        self.0
            .compress_vec(text, &mut out, FlushCompress::Sync)
            .unwrap();
        assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
        out.truncate(out.len() - 4);
        out
    }
}

fn look(content: &mut Content, payload: &[u8], compressed: bool, step: usize) -> Option<Rule> {
    content.begin(true, compressed);
    for piece in payload.chunks(step.max(1)) {
        let fault = content.feed(piece, NOWHERE);
        if fault.is_some() {
            return fault;
        }
    }
    content.end()
}

#[test]
fn messages_that_share_a_window_inflate() {
    let mut sender = Sender::new();
    let mut content = Content::new(Depth::BOUNDED, DEFLATE);
    for _ in 0..5 {
        let payload = sender.message("the same text, ä, again and again".as_bytes());
        assert_eq!(look(&mut content, &payload, true, 3), None);
    }
    let inflated = Depth::BOUNDED.inflated - content.left.inflated;
    assert_eq!(inflated, 5 * 34, "every message came out");
    let latin = sender.message(b"latin-1: \xe4!");
    assert_eq!(
        look(&mut content, &latin, true, 100),
        Some(Rule::TextNotUtf8)
    );
}

#[test]
fn a_window_that_was_to_be_forgotten_is_told() {
    let mut sender = Sender::new();
    let no_takeover = Compression::Deflate {
        no_context_takeover: true,
        window_bits: None,
    };
    let mut content = Content::new(Depth::BOUNDED, no_takeover);
    let text = b"a text long enough to be referred back to";
    assert_eq!(look(&mut content, &sender.message(text), true, 9), None);
    assert_eq!(
        look(&mut content, &sender.message(text), true, 9),
        Some(Rule::DoesNotInflate)
    );
}

#[test]
fn a_window_larger_than_agreed_is_told() {
    let words: Vec<String> = (0..400).map(|n| format!("{n:x} ")).collect();
    let text = words.concat();
    let agreed = |bits| Compression::Deflate {
        no_context_takeover: false,
        window_bits: bits,
    };
    for (bits, fault) in [
        (Some(8), Some(Rule::WindowExceeded)),
        (Some(10), Some(Rule::WindowExceeded)),
        (Some(11), None),
        (Some(15), None),
        (None, None),
    ] {
        let mut sender = Sender::new();
        let mut content = Content::new(Depth::BOUNDED, agreed(bits));
        assert_eq!(text.len(), 1328);
        let [first, again] = [(); 2].map(|()| {
            let payload = sender.message(text.as_bytes());
            look(&mut content, &payload, true, 100)
        });
        let told = first.or(again);
        assert_eq!(told, fault, "{bits:?}");
        // Said once; the rest is inflated all the same.
        let more = sender.message(b"\xff");
        assert_eq!(look(&mut content, &more, true, 9), Some(Rule::TextNotUtf8));
    }
}

/// Behind a hole inflating begins anew where it may, and with it what was found before.
#[test]
fn a_window_exceeded_before_a_hole_is_not_told_of_what_follows() {
    let limited = Compression::Deflate {
        no_context_takeover: true,
        window_bits: Some(8),
    };
    let mut content = Content::new(Depth::BOUNDED, limited);
    let far = [b"far back".as_slice(), &[0xa5; 300], b"far back"].concat();
    let told = look(&mut content, &Sender::new().message(&far), true, 100);
    assert_eq!(told, Some(Rule::WindowExceeded));
    content.begin(true, true);
    content.lose();
    let near = Sender::new().message(b"near");
    assert_eq!(look(&mut content, &near, true, 100), None);
}

/// The examples of RFC 7692 7.2.3: a message in one block, one without compression, one with BFINAL, and the
/// message behind it.
#[test]
fn the_examples_of_the_rfc() {
    let plain = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let shared = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let stored = [
        0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
    ];
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two = [
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    for step in 1..14 {
        let mut content = Content::new(Depth::BOUNDED, DEFLATE);
        for (n, payload) in [
            plain.as_slice(),
            &shared,
            &stored,
            &two,
            &last,
            &plain,
            &last,
            &last,
        ]
        .iter()
        .enumerate()
        {
            assert_eq!(look(&mut content, payload, true, step), None);
            let inflated = Depth::BOUNDED.inflated - content.left.inflated;
            assert_eq!(
                inflated,
                5 * (n as u64 + 1),
                "message {n} in steps of {step}"
            );
        }
    }
}

#[test]
fn garbage_does_not_inflate() {
    let mut content = Content::new(Depth::BOUNDED, DEFLATE);
    assert_eq!(
        look(&mut content, &[0xff; 20], true, 4),
        Some(Rule::DoesNotInflate)
    );
    // Nothing more is said about this direction.
    assert_eq!(look(&mut content, &[0xff; 20], true, 4), None);
}

#[test]
fn a_bomb_is_given_up() {
    let mut sender = Sender::new();
    let bomb = sender.message(&vec![b'0'; 40 << 20]);
    let mut content = Content::new(Depth::BOUNDED, DEFLATE);
    assert_eq!(look(&mut content, &bomb, true, 1400), None);
    assert_eq!(content.left.inflated, 0);
    assert!(content.inflater.is_none());
    assert!(content.is_sated());
}

#[test]
fn only_the_first_messages_are_inflated() {
    let mut sender = Sender::new();
    let mut content = Content::new(Depth::BOUNDED, DEFLATE);
    for _ in 0..Depth::BOUNDED.messages {
        assert_eq!(look(&mut content, &sender.message(b"x"), true, 9), None);
        assert!(content.inflater.is_some());
        assert!(!content.is_sated());
    }
    assert_eq!(look(&mut content, &[0xff; 9], true, 9), None);
    assert!(content.inflater.is_none());
    assert!(content.is_sated(), "and it is said");
}

#[test]
fn only_the_first_compressed_bytes_are_inflated() {
    // What does not compress comes out as long as it went in.
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(300_000)
    .collect();
    let mut sender = Sender::new();
    let long = sender.message(&noise);
    assert!(long.len() as u64 > Depth::BOUNDED.bytes);
    let mut content = Content::new(Depth::BOUNDED, DEFLATE);
    content.begin(false, true);
    for piece in long.chunks(1400) {
        assert_eq!(content.feed(piece, NOWHERE), None);
    }
    assert_eq!(content.end(), None);
    assert!(content.inflater.is_none());
    assert!(content.is_sated());
}

#[test]
fn plain_text_is_looked_at_to_its_end() {
    let mut content = Content::new(Depth::BOUNDED, Compression::Off);
    let mut long = vec![b'a'; 4 << 20];
    assert_eq!(look(&mut content, &long, false, 1400), None);
    long.extend(b"\xff");
    assert_eq!(
        look(&mut content, &long, false, 1400),
        Some(Rule::TextNotUtf8)
    );
    assert!(!content.is_sated());
}

proptest! {
    #[test]
    fn hostile_payload_does_no_harm(messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..10)) {
        let mut content = Content::new(Depth::BOUNDED, DEFLATE);
        for payload in messages {
            look(&mut content, &payload, true, 7);
        }
    }
}
