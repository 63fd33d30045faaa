//! However the bytes are cut into segments, the facts are the same; and whatever they are, no harm is done.

use proptest::prelude::*;

use super::*;

fn frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let first = prop_oneof![
        6 => prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8a, 0xc1]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..20),
        2 => "\\PC{0,20}".prop_map(String::into_bytes),
        1 => (100_usize..300).prop_map(|len| vec![b'x'; len]),
    ];
    (first, payload)
}

fn without_frames(mut facts: SessionFacts) -> SessionFacts {
    let none = frame_ref(0);
    for carried in [&mut facts.to_server, &mut facts.to_client] {
        carried.first = carried.first.map(|_| none);
        carried.last = carried.last.map(|_| none);
        carried.last_message = carried.last_message.map(|_| none);
        carried.last_ping = carried.last_ping.map(|_| none);
        carried.ping_interval_nanos = None;
        carried.ping_rtt_max_nanos = None;
    }
    for close in &mut facts.closes {
        close.frame = none;
    }
    for fault in &mut facts.faults {
        fault.frame = none;
    }
    facts.cut_mid_frame = facts.cut_mid_frame.map(|(way, _, left)| (way, none, left));
    // More pieces take longer: nginx's timer would begin anew.
    facts.timer.since = none;
    facts.timer.before = none;
    facts
}

fn cut(bytes: &[u8], cuts: &[usize], direction: Direction) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let (now, later) = rest.split_at((*cuts.next().unwrap()).clamp(1, rest.len()));
        steps.push(Step::Bytes(direction, now.to_vec()));
        rest = later;
    }
    steps
}

proptest! {
    /// Any segmentation gives the same facts, broken frames and compressed ones included.
    #[test]
    fn any_segmentation_gives_the_same_facts(
        frames in proptest::collection::vec(frame(), 1..12),
        cuts in proptest::collection::vec(1_usize..60, 1..20),
        to_server: bool,
        keep in 0_usize..4000,
        deflate: bool,
    ) {
        let direction = if to_server { ToServer } else { ToClient };
        let mut bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| ws(direction, *first, payload)).collect();
        bytes.truncate(keep);
        let read = if deflate { deflated } else { facts };
        let end = Step::End(direction, EndingHow::Fin);
        let whole = read(&[Step::Bytes(direction, bytes.clone()), end.clone()]);
        let mut pieces = cut(&bytes, &cuts, direction);
        pieces.push(end);
        prop_assert_eq!(without_frames(whole), without_frames(read(&pieces)));
    }

    /// Garbage, holes and ends in any order: no panic, and nothing counted that was not there.
    #[test]
    fn hostile_bytes_do_no_harm(steps in proptest::collection::vec(hostile_step(), 0..40), how in 0..4) {
        let mut session = match how {
            0 => Session::new(frame_ref(1), None, Depth::BOUNDED),
            1 => Session::new(frame_ref(1), Some(DeflateParams::default()), Depth::FULL),
            2 => Session::answer_unseen(frame_ref(1), Depth::BOUNDED),
            _ => Session::midstream(frame_ref(1), Depth::BOUNDED),
        };
        let facts = run(&mut session, &steps);
        let carried: u64 = steps.iter().map(|step| match step {
            Step::Bytes(_, data) => data.len() as u64,
            Step::Gap(_, len) => *len,
            Step::End(..) => 0,
        }).sum();
        prop_assert!(facts.to_server.payload_bytes + facts.to_client.payload_bytes <= carried);
    }
}

fn hostile_step() -> impl Strategy<Value = Step> {
    let direction = prop_oneof![Just(ToServer), Just(ToClient)];
    prop_oneof![
        4 => (direction.clone(), frame()).prop_map(|(way, (first, payload))| Step::Bytes(way, ws(way, first, &payload))),
        4 => (direction.clone(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(way, data)| Step::Bytes(way, data)),
        2 => (direction.clone(), 0_u64..400).prop_map(|(way, len)| Step::Gap(way, len)),
        1 => (direction, any::<bool>()).prop_map(|(way, fin)| Step::End(way, if fin { EndingHow::Fin } else { EndingHow::Rst })),
    ]
}
