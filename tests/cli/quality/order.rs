//! The same frames twice, in several files, or in another order.

use super::*;

/// Every frame twice, as a capture on several interfaces or a mirror port has them.
pub(super) fn doubled(packets: &[Packet]) -> Vec<Packet> {
    let both = packets.iter().flat_map(|packet| {
        let mut copy = packet.clone();
        copy.at += 4_000;
        [packet.clone(), copy]
    });
    both.collect()
}

#[test]
fn duplicates_are_counted_and_change_nothing() {
    let mut wrong = Differences::default();
    for (name, files) in samples() {
        let wanted = report(&files);
        let got = report(&each(&files, |packets| doubled(&packets)));
        wrong.same(
            &story(&got),
            &story(&wanted),
            &format!("{name} with every frame twice"),
        );
        let tcp: u64 = wanted["connections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                one["to_server"]["frames"].as_u64().unwrap()
                    + one["to_client"]["frames"].as_u64().unwrap()
            })
            .sum();
        let counted: u64 = got["captures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["duplicate_frames"].as_u64().unwrap())
            .sum();
        assert!(counted >= tcp, "{name}: {counted} of {tcp} copies counted");
    }
    wrong.none();
}

#[test]
fn the_same_file_twice_counts_once() {
    let mut wrong = Differences::default();
    for (name, files) in samples().into_iter().filter(|(_, files)| files.len() == 1) {
        let wanted = report(&files);
        let got = report(&[files[0].clone(), files[0].clone()]);
        wrong.same(
            &story(&got),
            &story(&wanted),
            &format!("{name} given twice"),
        );
        assert_eq!(
            got["captures"][0]["duplicate_frames"], wanted["captures"][0]["duplicate_frames"],
            "{name} given twice"
        );
        let copies = got["captures"][1]["duplicate_frames"].as_u64().unwrap();
        assert!(copies > 0, "{name} given twice");
    }
    wrong.none();
}

#[test]
fn a_rotated_set_reads_as_the_whole() {
    let mut wrong = Differences::default();
    for (name, files) in samples().into_iter().filter(|(_, files)| files.len() == 1) {
        let all = packets(&files[0]);
        let parts: Vec<Vec<u8>> = all.chunks(all.len().div_ceil(3)).map(pcapng).collect();
        let wanted = report(&files);
        wrong.same(
            &story(&report(&parts)),
            &story(&wanted),
            &format!("{name} in three files"),
        );
        let backwards: Vec<Vec<u8>> = parts.into_iter().rev().collect();
        wrong.same(
            &story(&report(&backwards)),
            &story(&wanted),
            &format!("{name} in three files named last first"),
        );
    }
    wrong.none();
}

/// Whether the order of two frames tells nothing: they are of one connection, none opens or resets it, and not both
/// end it.
fn may_swap(one: &Packet, next: &Packet) -> bool {
    let ends_and_flags = |packet: &Packet| {
        let (kind, ip) = network(packet);
        let (tcp, addresses) = match kind {
            [0x08, 0x00] => (ip.get(20..)?, ip.get(12..20)?),
            _ => (ip.get(40..)?, ip.get(8..40)?),
        };
        let half = addresses.len() / 2;
        let mut ends = [
            (addresses[..half].to_vec(), tcp[..2].to_vec()),
            (addresses[half..].to_vec(), tcp[2..4].to_vec()),
        ];
        ends.sort();
        Some((ends, tcp[13]))
    };
    match (ends_and_flags(one), ends_and_flags(next)) {
        (Some((a, f)), Some((b, g))) => a == b && (f | g) & 0x06 == 0 && f & g & 0x01 == 0,
        _ => false,
    }
}

/// Neighbours swapped: receive queues hand over the frames of a burst in any order.
pub(super) fn swapped(mut packets: Vec<Packet>) -> Vec<Packet> {
    let mut at = 0;
    while at + 1 < packets.len() {
        let (one, next) = (&packets[at], &packets[at + 1]);
        if next.at - one.at < 50_000 && may_swap(one, next) {
            let times = (one.at, next.at);
            packets.swap(at, at + 1);
            (packets[at].at, packets[at + 1].at) = times;
            at += 1;
        }
        at += 1;
    }
    packets
}

#[test]
fn neighbours_out_of_order_change_nothing() {
    let mut wrong = Differences::default();
    for (name, files) in samples() {
        let wanted = report(&files);
        wrong.same(
            &story(&report(&each(&files, swapped))),
            &story(&wanted),
            &format!("{name} with neighbours swapped"),
        );
    }
    wrong.none();
}
