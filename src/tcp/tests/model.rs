//! Random segments against a naive model, and against any harm.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::*;

/// Inputs that failed once are kept beside this file and tried first.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("seeds"))),
        ..ProptestConfig::default()
    }
}

/// A piece of the stream to send: where, how long, whether with other bytes than the first time.
fn pieces() -> impl Strategy<Value = Vec<(usize, usize, bool)>> {
    prop::collection::vec((0..60_usize, 1..20_usize, any::<bool>()), 1..40)
}

fn letter(at: usize, other: bool) -> u8 {
    let letter = b'a' + (at % 26) as u8;
    if other {
        letter.to_ascii_uppercase()
    } else {
        letter
    }
}

fn text(start: usize, len: usize, other: bool) -> Vec<u8> {
    (start..start + len).map(|at| letter(at, other)).collect()
}

proptest! {
    #![proptest_config(config())]

    /// Every position has the byte of the first segment that brought it; what nobody brought is missing.
    #[test]
    fn any_segments_give_what_came_first(isn: u32, pieces in pieces()) {
        let mut lab = Lab::new();
        lab.isn = [isn, 1];
        lab.open();
        let mut model = [None; 100];
        for &(start, len, other) in &pieces {
            let data_ = text(start, len, other);
            for (at, byte) in (start..).zip(&data_) {
                model[at] = model[at].or(Some(*byte));
            }
            lab.send(data(UP, start as u32 + 1, 1, &data_));
        }
        let c = lab.only();
        let end = model.iter().rposition(Option::is_some).unwrap() + 1;
        let expected: Vec<u8> = model.iter().flatten().copied().collect();
        prop_assert_eq!(&lab.log.bytes[0], &expected);
        prop_assert_eq!(c.to_server.payload_bytes, expected.len() as u64);
        prop_assert_eq!(c.to_server.missing_bytes, (end - expected.len()) as u64);
        prop_assert_eq!(c.to_server.unacknowledged, end as u64);
        prop_assert_eq!(lab.table.env.buffered, 0);
    }

    /// Cut, reordered within a window, repeated and overlapping: the same bytes, and the same end.
    #[test]
    fn any_segmentation_gives_the_same_stream(
        isn: u32,
        cuts in prop::collection::vec(1..9_usize, 1..40),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize), 0..20),
        again in prop::collection::vec((any::<prop::sample::Index>(), 0..5_usize), 0..10),
    ) {
        let len: usize = cuts.iter().sum();
        let mut at = 0;
        let mut order: Vec<(usize, usize)> = Vec::new();
        for cut in cuts {
            order.push((at, at + cut));
            at += cut;
        }
        for (place, more) in again {
            let place = place.index(order.len());
            let (start, end) = order[place];
            order.insert(place + 1, (start.saturating_sub(more), (end + more).min(len)));
        }
        for (place, by) in swaps {
            let place = place.index(order.len());
            let to = (place + by).min(order.len() - 1);
            order.swap(place, to);
        }
        let mut lab = Lab::new();
        lab.isn = [isn, 7];
        lab.open();
        for (start, end) in order {
            lab.send(data(UP, start as u32 + 1, 1, &text(start, end - start, false)));
        }
        lab.send(seg(UP, FIN, len as u32 + 1, 1)).send(seg(DOWN, ACK, 1, len as u32 + 2));
        let c = lab.only();
        prop_assert_eq!(&lab.log.bytes[0], &text(0, len, false));
        prop_assert_eq!(c.to_server.payload_bytes, len as u64);
        prop_assert_eq!(c.to_server.missing_bytes, 0);
        prop_assert_eq!(c.to_server.conflicts, 0);
        prop_assert_eq!(c.to_server.unacknowledged, 0);
        prop_assert!(lab.calls().iter().any(|call| call.starts_with(">FIN")));
    }
}

/// Anything at all, near enough to be plausible.
#[derive(Debug, Clone)]
struct Any {
    way: bool,
    port: u16,
    flags: u8,
    seq: u32,
    ack: u32,
    len: usize,
    missing: u32,
    window: u16,
    ip_id: u16,
    interface: u32,
    capture: u16,
    after: i64,
}

fn anything() -> impl Strategy<Value = Any> {
    let number = prop_oneof![8 => 0..300_u32, 1 => any::<u32>()];
    let flags = prop_oneof![4 => Just(ACK), 1 => Just(SYN), 1 => Just(SYN_ACK), 1 => Just(FIN), 1 => any::<u8>()];
    let after = prop_oneof![6 => 0..MS, 2 => 0..3000 * MS, 1 => -5000 * MS..200_000 * MS, 1 => any::<i64>()];
    (
        (any::<bool>(), 1..4_u16, flags, number.clone(), number),
        (
            0..40_usize,
            prop_oneof![5 => Just(0_u32), 1 => 0..30_u32],
            0..3_u16,
        ),
        (0..4_u16, 0..3_u32, 0..70_u16, after),
    )
        .prop_map(
            |(
                (way, port, flags, seq, ack),
                (len, missing, window),
                (ip_id, interface, capture, after),
            )| Any {
                way,
                port,
                flags,
                seq,
                ack,
                len,
                missing,
                window,
                ip_id,
                interface,
                capture,
                after,
            },
        )
}

fn run(anything: &[Any]) -> (Vec<String>, Vec<Connection>) {
    let limits = Limits {
        stream_bytes: 1000,
        total_bytes: 1500,
        connections: 2,
        embryos: 2,
        state_bytes: usize::MAX,
    };
    let mut lab = Lab::with(limits);
    for any in anything {
        lab.client = Endpoint::v4([10, 0, 0, 1], any.port);
        lab.at = lab.at.saturating_add(any.after);
        lab.capture = any.capture;
        lab.frame += 1;
        let bytes = text(any.seq as usize % 26, any.len, false);
        let segment = Seg {
            window: any.window,
            interface: any.interface,
            missing: any.missing,
            ..data(if any.way { UP } else { DOWN }, any.seq, any.ack, &bytes)
        };
        let segment = Seg {
            flags: any.flags,
            ..segment
        };
        let frame = lab.frame;
        lab.as_frame(segment, frame, any.ip_id);
        assert!(lab.table.env.buffered <= limits.total_bytes);
        assert!(lab.table.len() <= 5);
    }
    let before = lab.log.closed.len();
    lab.finish();
    assert_eq!(lab.table.env.buffered, 0);
    let ids: Vec<_> = lab.log.closed[before..].iter().map(|c| c.id).collect();
    assert!(ids.is_sorted());
    let stats = lab.table.stats();
    assert_eq!(stats.connections, lab.log.closed.len() as u64);
    let frames: u64 = lab
        .log
        .closed
        .iter()
        .map(|c| c.to_server.frames + c.to_client.frames + c.duplicates)
        .sum();
    assert_eq!(frames + stats.late, anything.len() as u64);
    (lab.log.calls, lab.log.closed)
}

proptest! {
    #![proptest_config(config())]

    /// No panic, nothing twice, limits kept, every frame counted once; and the hash seed changes nothing.
    #[test]
    fn anything_goes_and_always_the_same_way(all in prop::collection::vec(anything(), 1..120)) {
        prop_assert_eq!(run(&all), run(&all));
    }
}
