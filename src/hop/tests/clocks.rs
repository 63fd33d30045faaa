//! Two captures whose clocks differ: lined up by what request and answer allow.

use super::hops::*;
use crate::hop::Party;
use crate::tcp::Side;

#[test]
fn two_captures_with_other_clocks_are_lined_up() {
    let key = key(1);
    for offset in [-3_600_000.0, 250.0, 0.4] {
        let handshake = one([
            client(0, 1.0, 10.0, &key, 101)
                .session(20.0, 30.0, 9)
                .fin(40.0, Side::Server),
            Build::seen_by(1, 1, BACK, BACKEND, offset + 1.5)
                .ask(offset + 2.0, &upgrade("/ws", &key))
                .tell(offset + 6.0, &switching(&key))
                .session(offset + 20.1, offset + 30.1, 9)
                .fin(offset + 38.0, Side::Server),
        ]);
        assert_eq!(ids(&handshake), [0, 1]);
        let by = handshake.session.as_ref().unwrap().ended_by;
        assert_eq!(by, Some(Party::Backend));
        if offset.abs() < 1.0 {
            assert!(handshake.clock_offsets.is_empty());
            continue;
        }
        let [(capture, nanos)] = handshake.clock_offsets[..] else {
            panic!("{:?}", handshake.clock_offsets);
        };
        assert_eq!(capture.0, 1);
        // Requests tell [-1, 5] ms around it, the first ws frame [-0.1, ...].
        let error = nanos as f64 / 1e6 + offset;
        assert!((2.4..=2.5).contains(&error), "{error} ms");
    }
}

#[test]
fn clock_offset_is_narrowed_by_all_handshakes() {
    let records = [(1_u8, 1.0, 3.0), (2, 3.0, 1.0)]
        .into_iter()
        .flat_map(|(n, before, after)| {
            let ms = f64::from(n) * 100.0;
            let key = key(n);
            [
                client(u32::from(n) * 2, ms, before + 2.0 + after, &key, 101),
                Build::seen_by(1, u32::from(n) * 2 + 1, BACK, BACKEND, 1000.0 + ms)
                    .ask(1000.0 + ms + before, &upgrade("/ws", &key))
                    .tell(1000.0 + ms + before + 2.0, &switching(&key)),
            ]
        });
    let handshakes = paired(records);
    assert_eq!(handshakes.len(), 2);
    for handshake in handshakes {
        // Offsets possible: [-1001, -997] and [-1003, -999]; together [-1001, -999].
        assert_eq!(handshake.clock_offsets[0].1, -1_000_000_000);
    }
}

/// The backend never answers, nginx gives up and answers 504 itself: which hop is which must not depend on the clocks.
#[test]
fn a_hop_without_an_answer_is_behind_the_one_that_was_answered_for_it() {
    let key = key(1);
    for offset in [-3_600_000.0, -200.0, 0.4, 200.0] {
        let handshake = one([
            Build::seen_by(0, 0, CLIENT, FRONT, 0.0)
                .ask(1.0, &upgrade("/ws", &key))
                .tell(1_004.7, &answer(504))
                .fin(1_013.0, Side::Client),
            Build::seen_by(1, 1, "10.20.0.1:58490", BACKEND, offset + 1.2)
                .ask(offset + 1.3, &upgrade("/ws", &key))
                .fin(offset + 1_004.6, Side::Client),
        ]);
        assert_eq!(ids(&handshake), [0, 1], "{offset}");
    }
}

/// nginx gives up at once, and the backend answers later than that: the longer exchange is not the outer one.
#[test]
fn an_answer_that_nobody_waits_for_any_more_makes_no_hop_longer() {
    let key = key(1);
    for offset in [0.0, 250.0] {
        let late = Build::seen_by(1, 1, BACK, BACKEND, offset + 1.5)
            .ask(offset + 2.0, &upgrade("/ws", &key))
            .tell(offset + 9.0, &switching(&key))
            .fin(offset + 2.5, Side::Client)
            .with(|record| record.connection.to_server.rst = Some(in_capture(1, offset + 9.1)));
        let handshake = one([client(0, 1.0, 2.0, &key, 504), late]);
        assert_eq!(ids(&handshake), [0, 1], "{offset}");
        assert_eq!(handshake.clock_offsets.is_empty(), offset == 0.0);
    }
}
