//! The table as a whole: several connections, time, limits, captures that show the same.

use super::*;
use crate::tcp::embryo::Embryo;
use crate::tcp::flow::{Cold, Flow};
use crate::tcp::limits::{CLOCK_JUMP, LINGER, LINGERING, SYN_KEPT};
use crate::tcp::{LimitKind, Opening, Side};

fn client(n: u32) -> Endpoint {
    Endpoint::v4((0x0a00_0000 + n).to_be_bytes(), 50_000)
}

#[test]
fn records_have_the_size_that_the_documentation_states() {
    assert_eq!(size_of::<Embryo>(), 80);
    assert_eq!(size_of::<Flow<()>>(), 360);
    assert_eq!(size_of::<Cold>(), 744);
}

#[test]
fn connections_are_numbered_by_first_frame_and_closed_in_that_order() {
    let mut lab = Lab::new();
    for n in [3, 1, 2] {
        lab.client = client(n);
        lab.send(seg(UP, SYN, 0, 0));
    }
    lab.client = client(1);
    lab.send(seg(DOWN, SYN_ACK, 0, 1))
        .send(data(UP, 1, 1, b"abc"))
        .finish();
    assert_eq!(
        lab.calls(),
        [
            "c2 opened",
            ">0:abc f5",
            "c1 closed unread",
            "c2 closed",
            "c3 closed unread"
        ]
    );
    let stats = lab.table.stats();
    assert_eq!(stats.connections, 3);
    assert_eq!((stats.complete, stats.unanswered), (1, 2));
}

#[test]
fn numbers_go_on_beyond_32_bits() {
    let mut lab = Lab::new();
    lab.table.begin_at((1 << 32) - 1);
    for n in 0..3 {
        lab.client = client(n);
        lab.send(seg(UP, SYN, 0, 0));
    }
    lab.client = client(3);
    lab.open().send(data(UP, 1, 1, b"abc"));
    let flow = ConnectionId((1 << 32) + 2);
    assert_eq!(lab.table.get(flow).unwrap().0.id, flow);
    // Too old, refused, and at the end: every way to leave knows the number.
    lab.wait(SYN_KEPT / 2);
    lab.client = client(2);
    lab.send(seg(DOWN, RST, 0, 1));
    lab.wait(SYN_KEPT / 2 + CLOCK_JUMP);
    lab.finish();
    let closed: Vec<u64> = lab.log.closed.iter().map(|one| one.id.0).collect();
    let first = (1 << 32) - 1;
    assert_eq!(closed, [first + 2, first, first + 1, first + 3]);
    assert_eq!(lab.log.closed[0].id.to_string(), "c4294967298");
    assert_eq!(lab.table.stats().connections, first + 4);
}

#[test]
fn ipv6_openings_are_found_again_and_their_places_reused() {
    let mut lab = Lab::new();
    let v6 = |n: u8| Endpoint::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n], 9);
    lab.server = v6(200);
    for round in 0..3 {
        for n in 0..10 {
            lab.client = v6(n);
            lab.isn = [round * 1000 + u32::from(n), 7];
            lab.send(seg(UP, SYN, 0, 0)).send(seg(DOWN, RST, 0, 1));
        }
        lab.wait(LINGER);
        assert_eq!(lab.log.closed.len(), 10 * (round as usize + 1));
    }
    for (n, connection) in lab.log.closed.iter().enumerate() {
        assert_eq!(connection.client, v6((n % 10) as u8));
        assert_eq!(connection.opening, Opening::Refused);
    }
}

#[test]
fn an_embryo_that_grows_keeps_its_facts() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0));
    lab.wait(1000 * MS);
    lab.send(seg(UP, SYN, 0, 0))
        .send(seg(DOWN, SYN_ACK, 0, 1))
        .send(seg(UP, ACK, 1, 1));
    let c = lab.only();
    assert_eq!((c.syns, c.to_server.frames), (2, 3));
    assert_eq!(c.to_server.retransmitted, 1);
    assert_eq!(c.syn.unwrap().number(), FrameNo(1));
}

#[test]
fn states_that_hold_too_much_go_the_idlest_first() {
    let mut lab = Lab::with(Limits {
        state_bytes: 200,
        ..Limits::default()
    });
    for (n, bytes) in [(0, 100), (1, 1), (2, 90), (3, 80)] {
        lab.client = client(n);
        lab.open().send(data(UP, 1, 1, &vec![b'x'; bytes]));
    }
    lab.calls();
    let held = |state: &u64| *state as usize;
    // 81 of 200 are left: the one that holds next to nothing stays, however idle.
    assert_eq!(lab.table.relieve(&mut lab.log, held), 119);
    assert_eq!(lab.calls(), ["c1 closed", "c3 closed"]);
    assert!(lab.log.closed.iter().all(|connection| connection.evicted));
    let hit = lab.table.stats().limits[0];
    assert_eq!(hit.kind, LimitKind::StateBytes);
    assert_eq!((hit.connection, hit.times), (ConnectionId(0), 2));
    assert_eq!(lab.table.relieve(&mut lab.log, held), 119);
}

#[test]
fn too_many_connections_evict_the_idlest() {
    let mut lab = Lab::with(Limits {
        connections: 4,
        ..Limits::default()
    });
    for n in 0..4 {
        lab.client = client(n);
        lab.open().send(data(UP, 1, 1, b"a"));
    }
    lab.client = client(0);
    lab.send(data(UP, 2, 1, b"b"));
    lab.client = client(1);
    lab.send(data(UP, 9, 1, b"behind a hole"));
    lab.client = client(9);
    lab.calls();
    lab.open();
    assert_eq!(lab.calls(), ["c3 closed"]);
    assert!(lab.log.closed[0].evicted);
    let hit = lab.table.stats().limits[0];
    assert_eq!(hit.kind, LimitKind::Connections);
    assert_eq!((hit.connection, hit.times), (ConnectionId(2), 1));
    assert_eq!(lab.table.stats().evicted, 1);
}

#[test]
fn an_evicted_connection_gives_up_its_holes() {
    let mut lab = Lab::with(Limits {
        connections: 1,
        ..Limits::default()
    });
    lab.open().send(data(UP, 3, 1, b"c"));
    lab.client = client(1);
    lab.open();
    assert_eq!(
        lab.calls(),
        ["c1 opened", ">0:gap 2 Evicted f4", ">2:c f4", "c1 closed"]
    );
    assert_eq!(lab.table.env.buffered, 0);
}

#[test]
fn too_many_openings_evict_the_oldest() {
    let mut lab = Lab::with(Limits {
        embryos: 3,
        ..Limits::default()
    });
    for n in 0..5 {
        lab.client = client(n);
        lab.send(seg(UP, SYN, 0, 0));
        if n == 1 {
            // The first one is active again.
            lab.client = client(0);
            lab.at += 1000 * MS;
            lab.send(seg(UP, SYN, 0, 0));
        }
    }
    assert_eq!(lab.calls(), ["c2 closed unread", "c3 closed unread"]);
    let stats = lab.table.stats();
    assert_eq!(stats.evicted, 2);
    assert_eq!(stats.limits[0].kind, LimitKind::Embryos);
    assert_eq!(stats.limits[0].times, 2);
}

#[test]
fn a_scan_leaves_nothing_behind() {
    let mut lab = Lab::new();
    for n in 0..20_000 {
        lab.client = client(n);
        lab.at += MS / 10;
        lab.now(seg(UP, SYN, 0, 0)).now(seg(DOWN, RST, 0, 1));
        assert!(lab.table.len() <= LINGERING + 1);
        lab.log.calls.clear();
    }
    lab.wait(LINGER);
    assert_eq!(lab.log.closed.len(), 20_000);
    assert!(lab.table.is_empty());
    assert_eq!(lab.table.nursery.len(), 0);
}

#[test]
fn short_connections_leave_nothing_behind_while_an_old_opening_waits() {
    let mut lab = Lab::new();
    lab.client = client(1_000_000);
    lab.send(seg(UP, SYN, 0, 0));
    for n in 0..20_000 {
        lab.client = client(n);
        lab.at += MS / 10;
        lab.now(seg(UP, SYN, 0, 0))
            .now(seg(DOWN, SYN_ACK, 0, 1))
            .now(data(UP, 1, 1, b"a"))
            .now(seg(DOWN, RST, 1, 2));
        lab.log.calls.clear();
        assert!(lab.table.len() <= LINGERING + 2);
        assert!(lab.table.nursery.ordered() <= 5000);
    }
    assert_eq!(lab.table.nursery.len(), 1);
    assert!(lab.log.closed.len() >= 20_000 - LINGERING);
}

#[test]
fn one_damaged_time_expires_nobody() {
    let mut lab = Lab::new();
    lab.open().send(data(UP, 1, 1, b"abc"));
    lab.client = client(1);
    let at = lab.at;
    lab.at = i64::MAX - 1;
    lab.now(seg(UP, SYN, 0, 0));
    lab.at = at + MS;
    lab.now(seg(UP, SYN, 0, 0));
    assert_eq!(lab.log.closed.len(), 0);
    // A second frame after a long silence is believed.
    lab.at += 48 * 3600 * 1000 * MS;
    lab.client = client(2);
    lab.now(seg(UP, SYN, 0, 0));
    lab.client = client(3);
    lab.send(seg(UP, SYN, 0, 0));
    assert_eq!(lab.log.closed.len(), 2);
}

#[test]
fn captures_hours_apart_do_not_expire_each_other() {
    let mut lab = Lab::new();
    let late = 3 * 3600 * 1000 * MS;
    assert!(late > CLOCK_JUMP);
    lab.open();
    for n in 0..20 {
        lab.capture = 1;
        lab.at += late;
        lab.client = client(n);
        lab.send(seg(UP, SYN, 0, 0));
        lab.capture = 0;
        lab.at -= late;
        lab.client = Lab::new().client;
        lab.send(data(UP, 1 + n, 1, b"a"));
    }
    assert_eq!(lab.log.closed.len(), 0);
    assert_eq!(lab.log.bytes[0].len(), 20);
}

#[test]
fn a_second_capture_of_a_closed_connection_is_no_new_one() {
    let mut lab = Lab::new();
    for capture in 0..2 {
        lab.capture = capture;
        lab.open()
            .send(data(UP, 1, 1, b"abc"))
            .send(data(DOWN, 1, 4, b"de"))
            .send(seg(UP, FIN, 4, 3))
            .send(seg(DOWN, FIN, 3, 5))
            .send(seg(UP, ACK, 5, 4));
        // Hours later by its clock.
        lab.wait(3600 * 1000 * MS);
    }
    assert_eq!(lab.table.stats().connections, 1);
    assert_eq!(lab.table.stats().late, 8);
    lab.only();
}

#[test]
fn a_second_capture_of_a_refused_connection_is_no_new_one() {
    let mut lab = Lab::new();
    for capture in 0..2 {
        lab.capture = capture;
        lab.send(seg(UP, SYN, 0, 0)).send(seg(DOWN, RST, 0, 1));
        lab.wait(3600 * 1000 * MS);
    }
    lab.only();
    assert_eq!(lab.table.stats().late, 2);
}

#[test]
fn a_port_used_again_is_a_new_connection() {
    let mut lab = Lab::new();
    for isn in [1000, 2_000_000] {
        lab.isn = [isn, isn];
        lab.open()
            .send(data(UP, 1, 1, b"abc"))
            .send(seg(DOWN, RST, 1, 4));
        lab.wait(2 * LINGER);
    }
    lab.isn = [77_000_000, 88_000_000];
    lab.open();
    lab.finish();
    assert_eq!(lab.table.stats().connections, 3);
    assert_eq!(lab.table.stats().late, 0);
    assert_eq!(lab.log.bytes[0], b"abcabc");
}

#[test]
fn a_port_used_again_while_the_old_connection_lingers_closes_that_first() {
    let mut lab = Lab::new();
    lab.open()
        .send(data(UP, 1, 1, b"abc"))
        .send(seg(DOWN, RST, 1, 4));
    lab.isn = [1_000_000_000, 1_000_000_000];
    // Its SYN was not captured.
    lab.send(data(UP, 1, 1, b"GET "));
    lab.finish();
    assert_eq!(
        lab.calls(),
        [
            "c1 opened",
            ">0:abc f4",
            "<RST f5",
            "c1 closed",
            "c2 opened",
            ">0:GET  f6",
            "c2 closed"
        ]
    );
}

#[test]
fn frames_behind_the_end_are_late_and_new_bytes_are_not() {
    let mut lab = Lab::with(Limits {
        connections: 1,
        ..Limits::default()
    });
    lab.open().send(data(UP, 1, 1, b"abc"));
    let old = lab.client;
    lab.client = client(1);
    lab.open();
    lab.client = old;
    // Evicted: a keep-alive is late, more bytes go on as a connection of their own.
    lab.send(seg(UP, ACK, 3, 1));
    assert_eq!(lab.table.stats().late, 1);
    lab.send(data(UP, 4, 1, b"def"));
    assert_eq!(lab.table.stats().connections, 3);
    lab.finish();
    assert_eq!(lab.log.closed.last().unwrap().opening, Opening::Midstream);
}

#[test]
fn previews_show_facts_and_state_up_to_now() {
    let mut lab = Lab::new();
    lab.open();
    assert!(lab.table.get(ConnectionId(0)).is_none());
    lab.send(data(UP, 1, 1, b"abc"))
        .send(data(UP, 4, 1, b"de"))
        .send(seg(DOWN, ACK, 1, 4));
    let (c, state) = lab.table.get(ConnectionId(0)).unwrap();
    assert_eq!(*state, 5);
    assert_eq!(c.to_server.payload_bytes, 5);
    assert_eq!(c.to_server.frames, 4);
    assert_eq!(c.to_server.unacknowledged, 2);
    assert_eq!(c.last.number(), FrameNo(6));
    lab.finish();
    assert!(lab.table.get(ConnectionId(0)).is_none());
}

#[test]
fn strangers_resets_are_small_and_leave_soon() {
    let mut lab = Lab::new();
    lab.send(seg(DOWN, RST, 5, 5));
    lab.wait(LINGER);
    let c = lab.only();
    assert_eq!(c.opening, Opening::Midstream);
    assert_eq!(c.ended.unwrap().by, Side::Server);
}
