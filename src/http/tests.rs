//! A conversation told in steps, and what comes out of it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "tests"
)]
mod exchanges;
mod heads;
mod holes;
mod segments;
mod switching;

use super::*;
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::tcp::Direction::{self, ToClient, ToServer};
use crate::tcp::{Chunk, Gap, GapCause};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const FRAME: &[u8] = b"\x81\x82abcd\x09\x0b";

/// A step of a connection's story.
#[derive(Debug, Clone)]
enum Step {
    Bytes(Direction, Vec<u8>),
    Gap(Direction, u64),
    End(Direction),
}

fn client(bytes: impl AsRef<[u8]>) -> Step {
    Step::Bytes(ToServer, bytes.as_ref().to_vec())
}

fn server(bytes: impl AsRef<[u8]>) -> Step {
    Step::Bytes(ToClient, bytes.as_ref().to_vec())
}

fn frame(number: u64) -> FrameRef {
    FrameRef::new(
        Timestamp::from_nanos(i64::try_from(number).unwrap()),
        CaptureId(0),
        FrameNo(number),
    )
}

/// What came out, and what was left for the next protocol in each direction.
struct Told {
    events: Vec<HttpEvent>,
    left: [Vec<u8>; 2],
    answer_seen: bool,
}

fn tell_to(mut conversation: Conversation, steps: &[Step]) -> Told {
    let mut out = Vec::new();
    let mut left = [Vec::new(), Vec::new()];
    let mut positions = [0_u64; 2];
    let mut number = 0;
    let mut answer_seen = false;
    let mut handed_over = false;
    for step in steps {
        number += 1;
        match step {
            Step::Bytes(direction, data) => {
                let position = &mut positions[usize::from(*direction == ToClient)];
                let chunk = Chunk {
                    direction: *direction,
                    position: *position,
                    data,
                    frame: frame(number),
                };
                *position += data.len() as u64;
                let used = conversation.bytes(&chunk, &mut out);
                left[usize::from(*direction == ToClient)].extend_from_slice(&data[used..]);
            }
            Step::Gap(direction, len) => {
                let position = &mut positions[usize::from(*direction == ToClient)];
                let gap = Gap {
                    direction: *direction,
                    position: *position,
                    len: *len,
                    cause: GapCause::NotCaptured,
                    frame: frame(number),
                };
                *position += len;
                conversation.gap(&gap, &mut out);
            }
            Step::End(direction) => conversation.ended(*direction, frame(number), false, &mut out),
        }
        if !handed_over && matches!(out.last(), Some(HttpEvent::Switched { .. })) {
            handed_over = true;
            let handover = conversation.take_handover();
            answer_seen = handover.answer_seen;
            for part in handover.to_server {
                match part {
                    Held::Bytes { data, .. } => {
                        left[0].extend(data);
                    }
                    Held::Gap(_) => left[0].push(b'?'),
                }
            }
        }
    }
    for direction in [ToServer, ToClient] {
        conversation.ended(direction, frame(number), true, &mut out);
    }
    Told {
        events: out,
        left,
        answer_seen,
    }
}

fn tell(steps: &[Step]) -> Told {
    tell_to(Conversation::new(), steps)
}

/// Events in short, without frames.
fn brief(events: &[HttpEvent]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event {
            HttpEvent::Request { exchange, head } => {
                format!("{exchange} {} {}", head.method(), head.target())
            }
            HttpEvent::Interim { exchange, head } => format!("{exchange} interim {}", head.status),
            HttpEvent::Response { exchange, head } => format!("{exchange} answer {}", head.status),
            HttpEvent::Body { exchange, excerpt } => {
                format!("{exchange} body {}", excerpt.escape_ascii())
            }
            HttpEvent::NotHttp {
                direction, excerpt, ..
            } => format!("{direction:?} no HTTP: {}", excerpt.escape_ascii()),
            HttpEvent::PartialHead {
                direction,
                exchange,
                bytes,
                why,
                ..
            } => format!("{exchange} {direction:?} partial {} {why:?}", bytes.len()),
            HttpEvent::Switched {
                exchange,
                websocket,
            } => format!("{exchange} switched {websocket}"),
        })
        .collect()
}

fn check(steps: &[Step], expected: &[&str]) -> Told {
    let told = tell(steps);
    assert_eq!(brief(&told.events), expected);
    told
}
