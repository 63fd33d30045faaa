//! One connection, or one direction of it, of which the capture has only a part, while the rest goes on: two hosts, of which one
//! was captured too short, a filter, a ring buffer; a tap of one way, another route back.
//!
//! What weaker means, and what may stand for something else, is as where one frame is lost or a capture is cut; here is what only this
//! makes.

use super::cut::{EARLY_FACTS, LATE_FACTS, Mark, TOO_SOON, UNSEEN_BEHIND, all_cut};
use super::lost::{Instead, OtherFact};
use super::*;

/// What a capture may say instead of something else of which one connection stops.
const BEHIND_INSTEAD: &[Instead] = &[(
    "backend-connect-timeout",
    "backend-timeout",
    "likely",
    "its proxy gave up when the second SYN was due",
)];

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

/// Whether a packet is one of the connection on which a cut is made.
fn is_of(packet: &Packet, [from, to]: &Way) -> bool {
    let way = way(packet);
    way.is_some_and(|[sender, receiver]| {
        (&sender, &receiver) == (from, to) || (&receiver, &sender) == (from, to)
    })
}

#[test]
fn a_connection_that_stops_in_the_capture_is_weaker_and_never_wrong() {
    let instead = [TOO_SOON, UNSEEN_BEHIND, BEHIND_INSTEAD, LONE_INSTEAD].concat();
    let facts = [EARLY_FACTS, LONE_FACTS].concat();
    let lost = |packet: &Packet, (at, cut): &Mark<Way>| is_of(packet, cut) && packet.at > *at;
    all_cut(way, lost, &instead, &facts);
}

#[test]
fn a_connection_that_begins_late_in_the_capture_is_weaker_and_never_wrong() {
    let instead = [UNSEEN_BEHIND, LONE_INSTEAD].concat();
    let facts = [LATE_FACTS, UP_TO_FACTS, LONE_FACTS].concat();
    let lost = |packet: &Packet, (at, cut): &Mark<Way>| is_of(packet, cut) && packet.at <= *at;
    all_cut(way, lost, &instead, &facts);
}

#[test]
fn a_direction_lost_from_some_frame_on_is_weaker_and_never_wrong() {
    let lost = |packet: &Packet, (at, cut): &Mark<Way>| {
        way(packet).as_ref() == Some(cut) && packet.at >= *at
    };
    all_cut(way, lost, &[], &[]);
}
