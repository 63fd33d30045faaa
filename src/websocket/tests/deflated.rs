//! Inflating against what peers really sent: sessions of node's `ws` and Python's `websockets`, captured in the lab
//! (`tests/lab/deflated.py`), whose messages share one window.

use super::*;

/// What the client sent and the server echoed (`TALK` in `tests/lab/scenarios/healthy.py`).
fn talk() -> String {
    [
        "hello ".repeat(300),
        "Grüße aus Köln, 你好 ".repeat(90),
        "hello ".repeat(300),
        "0123456789abcdef".repeat(100),
    ]
    .concat()
}

/// The bytes of each direction behind the heads.
fn carried(file: &str) -> Vec<(Direction, Vec<u8>)> {
    file.lines()
        .map(|line| {
            let (way, hex) = line.split_at(2);
            let bytes = hex.as_bytes().chunks(2).map(|pair| {
                let pair = std::str::from_utf8(pair).unwrap();
                u8::from_str_radix(pair, 16).unwrap()
            });
            let direction = if way == "> " { ToServer } else { ToClient };
            (direction, bytes.collect())
        })
        .collect()
}

#[test]
fn what_peers_compressed_comes_out_as_they_sent_it() {
    for file in [
        include_str!("../deflated/node.txt"),
        include_str!("../deflated/python.txt"),
    ] {
        for size in [1, 7, 1400] {
            let agreed = DeflateParams::default();
            let mut session = Session::new(frame_ref(1), Some(agreed), Depth::FULL);
            let mut positions = [0_u64; 2];
            for (direction, bytes) in carried(file) {
                let position = &mut positions[usize::from(direction == ToClient)];
                for data in bytes.chunks(size) {
                    session.bytes(&Chunk {
                        direction,
                        position: *position,
                        data,
                        frame: frame_ref(2),
                    });
                    *position += data.len() as u64;
                }
            }
            let facts = session.facts();
            assert!(facts.faults.is_empty(), "{:?}", facts.faults);
            for direction in [ToServer, ToClient] {
                assert_eq!(facts.carried(direction).messages, 4);
                let text = std::str::from_utf8(session.inflated(direction)).unwrap();
                assert!(text == talk(), "{direction:?} in pieces of {size}");
                // As compressed as it gets: it was not carried in clear.
                assert!(facts.carried(direction).payload_bytes < 200);
            }
        }
    }
}
