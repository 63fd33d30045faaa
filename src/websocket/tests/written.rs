//! Frames as tungstenite writes them, read by us.

use proptest::prelude::*;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::*;

/// A message of so many fragments of this size, or a ping.
#[derive(Debug, Clone)]
enum Sent {
    Message { text: bool, fragments: Vec<usize> },
    Ping(usize),
}

fn sent() -> impl Strategy<Value = Sent> {
    let size = prop_oneof![6 => 0_usize..300, 1 => 65_530_usize..65_540];
    prop_oneof![
        3 => (any::<bool>(), proptest::collection::vec(size, 1..4))
            .prop_map(|(text, fragments)| Sent::Message { text, fragments }),
        1 => (0_usize..126).prop_map(Sent::Ping),
    ]
}

/// The frames of a message, or the ping, as tungstenite makes them.
fn frames(sent: &Sent) -> Vec<Frame> {
    match sent {
        Sent::Ping(size) => vec![Frame::ping(vec![b'p'; *size])],
        Sent::Message { text, fragments } => {
            let last = fragments.len() - 1;
            let one = |(place, size): (usize, &usize)| {
                let data = match (place, text) {
                    (0, true) => Data::Text,
                    (0, false) => Data::Binary,
                    _ => Data::Continue,
                };
                Frame::message(vec![b'x'; *size], OpCode::Data(data), place == last)
            };
            fragments.iter().enumerate().map(one).collect()
        }
    }
}

proptest! {
    #[test]
    fn what_tungstenite_writes_is_counted(
        all in proptest::collection::vec(sent(), 1..8),
        to_server: bool,
        step in 1_usize..3000,
    ) {
        let direction = if to_server { ToServer } else { ToClient };
        let mut bytes = Vec::new();
        let mut counts = FrameCounts::default();
        let (mut messages, mut payload) = (0, 0);
        for mut frame in all.iter().flat_map(frames) {
            if to_server {
                frame.header_mut().mask = Some([1, 2, 3, 4]);
            }
            payload += frame.payload().len() as u64;
            let header = frame.header();
            match header.opcode {
                OpCode::Data(Data::Text) => counts.text += 1,
                OpCode::Data(Data::Binary) => counts.binary += 1,
                OpCode::Data(_) => counts.continuation += 1,
                OpCode::Control(Control::Ping) => counts.ping += 1,
                OpCode::Control(_) => {}
            }
            messages += u64::from(header.is_final && matches!(header.opcode, OpCode::Data(_)));
            frame.format(&mut bytes).unwrap();
        }
        let steps: Vec<Step> = bytes
            .chunks(step)
            .map(|piece| Step::Bytes(direction, piece.to_vec()))
            .collect();
        let read = facts(&steps);
        prop_assert_eq!(&read.faults, &[]);
        let carried = read.carried(direction);
        prop_assert_eq!(carried.frames, counts);
        prop_assert_eq!((carried.messages, carried.payload_bytes), (messages, payload));
    }
}
