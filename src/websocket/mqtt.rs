//! MQTT control packets in a session's binary messages: only what tells how MQTT ended, which it does without a Close frame.
//!
//! A packet may span messages, and a message hold several packets (MQTT 3.1.1 and 5.0, 6). A packet is a byte with its type,
//! its remaining length in one to four bytes, and that many bytes (2.2).

use crate::capture::FrameRef;
use crate::tcp::Direction;

/// The types of packets that end a connection (2.2.1).
const CONNACK: u8 = 2;
const DISCONNECT: u8 = 14;

/// The most bytes that a remaining length has (2.2.3).
const MAX_LENGTH_BYTES: u32 = 4;

/// A packet behind which the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// CONNACK with this code, which is not 0: who sends it must close then (3.1.1, 3.2.2.3; 5.0, 3.2.2.2).
    Refused(u8),
    /// DISCONNECT with this reason code; 0, a normal end, where it carries none (3.14).
    Disconnect(u8),
}

/// What is known of the MQTT that a session carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mqtt {
    /// The last packet of the client, if it was one.
    pub to_server: Option<(Farewell, FrameRef)>,
    /// The last packet of the server, if it was one.
    pub to_client: Option<(Farewell, FrameRef)>,
}

impl Mqtt {
    /// Whether a subprotocol is MQTT: 3.1.1 and 5.0 have one name, 3.1 had another.
    pub fn is_named(subprotocol: &str) -> bool {
        matches!(subprotocol, "mqtt" | "mqttv3.1")
    }

    /// The last packet of a direction.
    pub const fn last(&self, direction: Direction) -> Option<(Farewell, FrameRef)> {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}

/// Follows the packets of one direction.
#[derive(Debug, Default)]
pub(super) struct Packets {
    state: State,
    /// The last packet, if it is whole and a farewell.
    last: Option<(Farewell, FrameRef)>,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Type,
    Length {
        kind: u8,
        sum: u32,
        bytes: u32,
    },
    Body {
        kind: u8,
        left: u32,
        /// How many of its bytes were seen, as far as they are kept, and those.
        seen: u8,
        start: [u8; 2],
    },
    /// These are no packets.
    Lost,
}

impl Packets {
    pub(super) const fn last(&self) -> Option<(Farewell, FrameRef)> {
        self.last
    }

    /// Takes the next bytes, unmasked.
    pub(super) fn bytes(&mut self, mut rest: &[u8], frame: FrameRef) {
        while let Some((&first, behind)) = rest.split_first() {
            match &mut self.state {
                State::Lost => return,
                State::Type => {
                    self.last = None;
                    self.state = State::Length {
                        kind: first >> 4,
                        sum: 0,
                        bytes: 0,
                    };
                    rest = behind;
                }
                State::Length { kind, sum, bytes } => {
                    *sum |= u32::from(first & 0x7f) << (7 * *bytes);
                    *bytes += 1;
                    if first & 0x80 == 0 {
                        self.state = State::Body {
                            kind: *kind,
                            left: *sum,
                            seen: 0,
                            start: [0; 2],
                        };
                        self.end_if_whole(frame);
                    } else if *bytes == MAX_LENGTH_BYTES {
                        self.state = State::Lost;
                    }
                    rest = behind;
                }
                State::Body {
                    left, seen, start, ..
                } => {
                    let take = rest.len().min(*left as usize);
                    let (now, later) = rest.split_at(take);
                    for (slot, byte) in start.iter_mut().skip((*seen).into()).zip(now) {
                        *slot = *byte;
                        *seen += 1;
                    }
                    *left -= take as u32;
                    rest = later;
                    self.end_if_whole(frame);
                }
            }
        }
    }

    fn end_if_whole(&mut self, frame: FrameRef) {
        let State::Body {
            kind,
            left: 0,
            seen,
            start: [first, second],
        } = self.state
        else {
            return;
        };
        self.state = State::Type;
        let farewell = match kind {
            CONNACK if seen == 2 && second != 0 => Farewell::Refused(second),
            DISCONNECT => Farewell::Disconnect(first),
            _ => return,
        };
        self.last = Some((farewell, frame));
    }
}
