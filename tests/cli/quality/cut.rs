//! A capture that begins too late or ends too soon: its report may be weaker than that of the whole, never wrong.
//!
//! What weaker means, and what may stand for something else, is as where one frame is lost; here is what only a cut makes.

use super::lost::{Allowed, INSTEAD, Instead, OTHER_FACTS, OtherFact, says_something, short_cases};
use super::*;

/// What a capture that begins too late, be it on one connection only, may say of a handshake.
pub(super) const LATE_FACTS: &[OtherFact] = &[(
    "verdict",
    "ok",
    "broken (backend-closed-without-close)",
    false,
    "a guess: the subprotocol, which has a goodbye of its own, was agreed on before",
)];

/// What one that ends too soon, be it on one connection only, may say instead of something else.
pub(super) const TOO_SOON: &[Instead] = &[(
    "connection-not-forwarded",
    "connection-not-forwarded",
    "certain",
    "that the backend closed because of it is likely, and comes later",
)];

/// What one may say in which the backend's hop is not to be seen, or not that it is one: it begins too late or is not there yet.
pub(super) const UNSEEN_BEHIND: &[Instead] = &[
    (
        "connection-not-forwarded",
        "upgrade-added",
        "likely",
        "a proxy that adds none may have got none",
    ),
    (
        "upgrade-not-forwarded",
        "upgrade-added",
        "likely",
        "a proxy that adds none may have got none",
    ),
];

/// What one that ends too soon on all of them may say.
const EARLY_INSTEAD: &[Instead] = &[(
    "backend-closed-early",
    "backend-retried",
    "certain",
    "the next try comes later",
)];

/// And of a handshake.
pub(super) const EARLY_FACTS: &[OtherFact] = &[
    (
        "verdict",
        "failed (subprotocol-not-chosen)",
        "ok",
        false,
        "some clients accept such a 101, this one leaves later",
    ),
    (
        "verdict",
        "failed (subprotocol-not-forwarded)",
        "ok",
        false,
        "some clients accept such a 101, this one leaves later",
    ),
];

/// Where a capture is cut: when, and what else tells frames of that time apart.
pub(super) type Mark<Key> = (i64, Key);

/// Cuts a capture, in the order of the times of all its files, at each frame that says something: what is wrong in the reports of
/// what is left, and how many there were.
fn cut<Key: Ord>(
    files: &[Vec<u8>],
    key: impl Fn(&Packet) -> Option<Key>,
    lost: impl Fn(&Packet, &Mark<Key>) -> bool,
    allowed: &Allowed,
) -> (Vec<String>, usize) {
    let wanted = report(files);
    let all: Vec<Vec<Packet>> = files.iter().map(|file| packets(file)).collect();
    let mut marks: Vec<Mark<Key>> = all
        .iter()
        .flatten()
        .filter(|packet| says_something(packet))
        .filter_map(|packet| Some((packet.at, key(packet)?)))
        .collect();
    marks.sort_unstable();
    marks.dedup();
    let mut wrong = Vec::new();
    for mark in &marks {
        let rest: Vec<Vec<u8>> = each(files, |mut packets| {
            packets.retain(|packet| !lost(packet, mark));
            packets
        });
        let before = |packet: &&Packet| packet.at <= mark.0;
        let number = all.iter().flatten().filter(before).count();
        let what = allowed.wrong(&report(&rest), &wanted).into_iter();
        wrong.extend(what.map(|what| format!("frame {number}: {what}")));
    }
    (wrong, marks.len())
}

/// Cuts all samples and short cases. `key`: what a cut is at, `lost`: whether one takes a frame away.
pub(super) fn all_cut<Key: Ord>(
    key: impl Fn(&Packet) -> Option<Key>,
    lost: impl Fn(&Packet, &Mark<Key>) -> bool,
    instead: &[Instead],
    facts: &[OtherFact],
) {
    let allowed = Allowed::new(&[INSTEAD, instead], &[OTHER_FACTS, facts]);
    let mut wrong = Vec::new();
    let mut runs = 0;
    for (name, files) in samples().into_iter().chain(short_cases()) {
        let (found, tried) = cut(&files, &key, &lost, &allowed);
        wrong.extend(found.iter().map(|what| format!("{name} cut at {what}")));
        runs += tried;
    }
    wrong.extend(allowed.superfluous(instead, facts));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(runs > 1_000, "{runs}");
}

/// Most who look into sessions that drop begin to capture while they are up.
#[test]
fn a_session_captured_from_its_middle_is_still_one_over_both_hops() {
    let switched = b"HTTP/1.1 101 ";
    for name in [
        "backend-closed-without-close",
        "backend-reset",
        "client-reset",
        "connection-vanished",
        "idle-timeout",
    ] {
        let path = root().join(format!("samples/{name}.pcapng"));
        let files = [fs::read(path).unwrap()];
        let [whole] = &files;
        let answered = packets(whole)
            .iter()
            .rposition(|packet| packet.data.windows(switched.len()).any(|at| at == switched))
            .expect("the sample has a 101");
        let late = report(&each(&files, |packets| {
            packets.into_iter().skip(answered + 1).collect()
        }));
        let told = |report: &Value| {
            let [handshake] = report["handshakes"].as_array().unwrap().as_slice() else {
                panic!("{name}: not one handshake");
            };
            let hops = handshake["hops"].as_array().unwrap().len();
            let how = ["verdict", "cause"].map(|fact| handshake[fact].clone());
            let ended = ["ended_by", "ended_how"].map(|fact| handshake["session"][fact].clone());
            (hops, how, ended)
        };
        assert_eq!(told(&late), told(&report(&files)), "{name}");
    }
}

#[test]
fn a_capture_that_begins_late_is_weaker_and_never_wrong() {
    let lost = |packet: &Packet, (at, ()): &Mark<()>| packet.at <= *at;
    all_cut(|_| Some(()), lost, &[], LATE_FACTS);
}

#[test]
fn a_capture_that_ends_early_is_weaker_and_never_wrong() {
    let instead = [TOO_SOON, UNSEEN_BEHIND, EARLY_INSTEAD].concat();
    let lost = |packet: &Packet, (at, ()): &Mark<()>| packet.at > *at;
    all_cut(|_| Some(()), lost, &instead, EARLY_FACTS);
}
