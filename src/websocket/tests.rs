//! A session told in steps, and the facts that are read from it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::too_many_lines,
    reason = "tests"
)]
mod agreed;
mod counted;
mod deflated;
mod holes;
mod mqtt;
mod rules;
mod segments;
mod written;

use super::*;
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::tcp::Direction::{self, ToClient, ToServer};
use crate::tcp::{Chunk, EndingHow, Gap, GapCause, Side, StreamEnd};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A step of a session's story.
#[derive(Debug, Clone)]
enum Step {
    Bytes(Direction, Vec<u8>),
    Gap(Direction, u64),
    End(Direction, EndingHow),
}

fn frame_ref(number: u64) -> FrameRef {
    FrameRef::new(
        Timestamp::from_nanos(i64::try_from(number).unwrap() * 1_000_000),
        CaptureId(0),
        FrameNo(number),
    )
}

/// A frame with the given first byte, masked as its direction demands.
fn ws(direction: Direction, first: u8, payload: &[u8]) -> Vec<u8> {
    raw(first, direction == ToServer, payload.len() as u64, payload)
}

fn raw(first: u8, masked: bool, len: u64, payload: &[u8]) -> Vec<u8> {
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match len {
        0..=125 => bytes.push(mask_bit | len as u8),
        126..=0xffff => {
            bytes.push(mask_bit | 0x7e);
            bytes.extend((len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 0x7f);
            bytes.extend(len.to_be_bytes());
        }
    }
    if masked {
        bytes.extend(MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    } else {
        bytes.extend(payload);
    }
    bytes
}

fn client(first: u8, payload: impl AsRef<[u8]>) -> Step {
    Step::Bytes(ToServer, ws(ToServer, first, payload.as_ref()))
}

fn server(first: u8, payload: impl AsRef<[u8]>) -> Step {
    Step::Bytes(ToClient, ws(ToClient, first, payload.as_ref()))
}

fn run(session: &mut Session, steps: &[Step]) -> SessionFacts {
    let mut positions = [0_u64; 2];
    for (number, step) in (2..).zip(steps) {
        let frame = frame_ref(number);
        match step {
            Step::Bytes(direction, data) => {
                let position = &mut positions[usize::from(*direction == ToClient)];
                session.bytes(&Chunk {
                    direction: *direction,
                    position: *position,
                    data,
                    frame,
                });
                *position += data.len() as u64;
            }
            Step::Gap(direction, len) => {
                let position = &mut positions[usize::from(*direction == ToClient)];
                session.gap(&Gap {
                    direction: *direction,
                    position: *position,
                    len: *len,
                    cause: GapCause::NotCaptured,
                    frame,
                });
                *position += len;
            }
            Step::End(direction, how) => session.ended(&StreamEnd {
                direction: *direction,
                how: *how,
                frame,
            }),
        }
    }
    session.facts()
}

fn facts(steps: &[Step]) -> SessionFacts {
    run(&mut Session::new(frame_ref(1), None, Depth::BOUNDED), steps)
}

fn deflated(steps: &[Step]) -> SessionFacts {
    let agreed = Some(DeflateParams::default());
    run(
        &mut Session::new(frame_ref(1), agreed, Depth::BOUNDED),
        steps,
    )
}

fn rules(facts: &SessionFacts) -> Vec<(Rule, Side, u64)> {
    facts
        .faults
        .iter()
        .map(|fault| (fault.rule, fault.by, fault.value))
        .collect()
}
