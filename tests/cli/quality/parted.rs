//! One connection, or one direction of it, of which the capture has only a part, while the rest goes on: two hosts, of which one
//! was captured too short, a filter, a ring buffer; a tap of one way, another route back.
//!
//! What weaker means, and what may stand for something else, is as where one frame is lost or a capture is cut; here is what only this
//! makes.

use super::cut::{EARLY_FACTS, LATE_FACTS, TOO_SOON};
use super::lost::{Allowed, INSTEAD, Instead, OTHER_FACTS, OtherFact, says_something, short_cases};
use super::*;

/// What a capture may say instead of something else of which one connection stops.
const BEHIND_INSTEAD: &[Instead] = &[(
    "backend-connect-timeout",
    "backend-timeout",
    "likely",
    "its proxy gave up when the second SYN was due",
)];

/// Cases of which hops in the wrong order are made where one connection begins late: what was asked on it is lost, and a client
/// that waited as long as its backend's proxy is taken for that proxy.
const MISPAIRED: [&str; 2] = ["/interim-response/", "/upgrade-added/"];

/// What it may say of a handshake where one begins late.
const UP_TO_FACTS: &[OtherFact] = &[(
    "verdict",
    "ok",
    "failed",
    true,
    "a backend's try of its own, which failed; that it was made again is the client hop's to tell",
)];

/// What either may say: one hop is left, or as good as that.
const LONE_INSTEAD: &[Instead] = &[
    (
        "accept-mismatch",
        "key-rewritten",
        "certain",
        "the client's 101 does not fit its key",
    ),
    (
        "subprotocol-not-chosen",
        "subprotocol-not-forwarded",
        "certain",
        "the client's 101 names none",
    ),
];

/// And of a handshake.
const LONE_FACTS: &[OtherFact] = &[
    (
        "ended_by",
        "proxy",
        "client",
        true,
        "nothing tells that the client of the hop that is left is a proxy",
    ),
    (
        "ended_by",
        "client",
        "proxy",
        true,
        "a guess: on the backend's hop the silence fits a timeout of the proxy",
    ),
];

/// Sender and receiver: address and port of each.
type Way = [Vec<u8>; 2];

/// Which part is not in the capture.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// A connection behind a frame.
    ConnectionBehind,
    /// A connection up to a frame.
    ConnectionUpTo,
    /// A direction of a connection from a frame on.
    DirectionFrom,
}

/// Which way a TCP segment goes.
fn way(packet: &Packet) -> Option<Way> {
    let (kind, ip) = network(packet);
    let (addresses, size, tcp) = match kind {
        [0x08, 0x00] if ip[9] == 6 => (12, 4, usize::from(ip[0] & 15) * 4),
        [0x86, 0xdd] if ip[6] == 6 => (8, 16, 40),
        _ => return None,
    };
    let end = |place: usize| {
        let address = &ip[addresses + place * size..][..size];
        let port = &ip[tcp + place * 2..][..2];
        [address, port].concat()
    };
    Some([end(0), end(1)])
}

impl Part {
    /// Whether a packet at `at` that goes `way` is not in the capture, if it is cut at `mark`, which goes `cut`.
    fn lacks(self, (at, way): (i64, &Way), (mark, cut): (i64, &Way)) -> bool {
        let same = way == cut;
        let back = way[0] == cut[1] && way[1] == cut[0];
        match self {
            Self::ConnectionBehind => (same || back) && at > mark,
            Self::ConnectionUpTo => (same || back) && at <= mark,
            Self::DirectionFrom => same && at >= mark,
        }
    }
}

/// Cuts at each frame that says something: what is wrong in the reports of what is left, and how often it was tried.
fn without_part(
    name: &str,
    files: &[Vec<u8>],
    part: Part,
    allowed: &Allowed,
) -> (Vec<String>, usize) {
    let wanted = report(files);
    let all: Vec<Vec<Packet>> = files.iter().map(|file| packets(file)).collect();
    let mut marks: Vec<(i64, Way)> = all
        .iter()
        .flatten()
        .filter(|packet| says_something(packet))
        .filter_map(|packet| Some((packet.at, way(packet)?)))
        .collect();
    marks.sort_unstable();
    marks.dedup();
    let mut wrong = Vec::new();
    for (mark, cut) in &marks {
        let lost = |packet: &Packet| {
            way(packet).is_some_and(|way| part.lacks((packet.at, &way), (*mark, cut)))
        };
        let rest: Vec<Vec<u8>> = each(files, |mut packets| {
            packets.retain(|packet| !lost(packet));
            packets
        });
        let before = |packet: &&Packet| packet.at <= *mark;
        let number = all.iter().flatten().filter(before).count();
        let what = allowed.wrong(&report(&rest), &wanted).into_iter();
        wrong.extend(what.map(|what| format!("{name} {part:?} {number}: {what}")));
    }
    (wrong, marks.len())
}

/// Cuts all samples and short cases.
fn all_without(part: Part, instead: &[Instead], facts: &[OtherFact]) {
    let allowed = Allowed::new(&[INSTEAD, instead], &[OTHER_FACTS, facts]);
    let mut wrong = Vec::new();
    let mut runs = 0;
    for (name, files) in samples().into_iter().chain(short_cases()) {
        let mispaired = MISPAIRED.iter().any(|case| name.contains(case));
        if matches!(part, Part::ConnectionUpTo) && mispaired {
            continue;
        }
        let (found, tried) = without_part(&name, &files, part, &allowed);
        wrong.extend(found);
        runs += tried;
    }
    wrong.extend(allowed.superfluous(instead, facts));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(runs > 1_000, "{runs}");
}

#[test]
fn a_connection_that_stops_in_the_capture_is_weaker_and_never_wrong() {
    let instead = [TOO_SOON, BEHIND_INSTEAD, LONE_INSTEAD].concat();
    let facts = [EARLY_FACTS, LONE_FACTS].concat();
    all_without(Part::ConnectionBehind, &instead, &facts);
}

#[test]
fn a_connection_that_begins_late_in_the_capture_is_weaker_and_never_wrong() {
    let facts = [LATE_FACTS, UP_TO_FACTS, LONE_FACTS].concat();
    all_without(Part::ConnectionUpTo, LONE_INSTEAD, &facts);
}

#[test]
fn a_direction_lost_from_some_frame_on_is_weaker_and_never_wrong() {
    all_without(Part::DirectionFrom, &[], &[]);
}
