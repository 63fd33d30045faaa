//! A connection of which only the opening was seen: what most of a port scan consists of, so it must be small.
//!
//! It covers SYN (again and again), its answer (SYN-ACK, RST or an ICMP error, also repeated) and the RST with which a
//! scanner drops what was answered; a SYN-ACK or RST of which nothing else was captured. Anything more makes it a full
//! connection.

use std::num::NonZeroU8;

use super::connection::Interfaces;
use super::flow::capture_bit;
use super::{
    Connection, ConnectionId, Direction, Ending, EndingHow, Opening, RolesFrom, StreamFacts,
};
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::decode::{End, Endpoint, IcmpError, Key, Segment, SeqNo, Unreachable};

/// Copies of a SYN come within this; the shortest first retransmission timer in use is 200 ms.
const COPY_SPAN: i64 = 50_000_000;

/// An opening. 80 bytes, the key included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Embryo {
    pub(super) key: SmallKey,
    id: SmallId,
    first: FrameRef,
    /// The first answer.
    answer: Later,
    last: Later,
    /// What `opener` sent first, and the number of the first answer.
    seq: SeqNo,
    answer_seq: SeqNo,
    /// The table's clock at the last frame, in units of 2^30 ns (a little more than a second), wrapping.
    stamp: u32,
    /// IP identification of the last frame.
    ip_id: u16,
    /// The interface of the first frame, plus one; unknown where the number is higher.
    interface: Option<NonZeroU8>,
    /// Bit n: capture n has frames of it.
    captures: u8,
    /// First frames sent again.
    again: u8,
    /// Answers sent again.
    answered_again: u8,
    duplicates: u8,
    opener: End,
    stage: Stage,
    /// A frame came since the table last looked.
    pub(super) refreshed: bool,
}

/// A key in twelve bytes: IPv4 itself, anything else by its place among the wide keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SmallKey {
    /// The lower address and port, the higher ones.
    V4([u8; 4], [u8; 4], [u16; 2]),
    /// Place of the key.
    Wide(u32),
}

/// The number of a connection in six bytes, low words first: ten thousand connections a second for nine hundred years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SmallId([u16; 3]);

/// A later frame of the same capture in ten bytes: nanoseconds in 48 bits (78 hours) and frames in 32, low words first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Later([u16; 5]);

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// SYN.
    Syn,
    /// SYN, SYN-ACK.
    Answered,
    /// SYN, SYN-ACK, RST by who sent the SYN (`last`).
    Dropped,
    /// SYN, RST.
    Refused,
    /// SYN, ICMP error.
    Unreachable(Unreachable),
    /// SYN-ACK first.
    SynAck,
    /// RST first.
    Rst,
}

/// What a segment did to an embryo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It belongs to the opening.
    Taken,
    /// It ends the opening: the connection was refused or dropped.
    Ended,
    /// It is the opening of another connection between the same ends.
    Other,
    /// It is more than an opening.
    Grown,
}

impl SmallKey {
    /// The key in twelve bytes, if both ends are IPv4.
    #[inline]
    pub(super) fn of(key: &Key) -> Option<Self> {
        let (low, high, ports) = key.octets_v4()?;
        Some(Self::V4(low, high, ports))
    }
}

impl SmallId {
    /// The number of no connection.
    const NOBODY: Self = Self([u16::MAX; 3]);

    fn new(id: ConnectionId) -> Self {
        Self([0, 16, 32].map(|shift| (id.0 >> shift) as u16))
    }

    fn id(self) -> ConnectionId {
        let [low, middle, high] = self.0.map(u64::from);
        ConnectionId(low | middle << 16 | high << 32)
    }
}

impl Later {
    /// A frame after `first`, if it can be told in so few bytes.
    fn new(first: FrameRef, frame: FrameRef) -> Option<Self> {
        let nanos = u64::try_from(frame.at.nanos().checked_sub(first.at.nanos())?).ok()?;
        let frames = frame.number().0.checked_sub(first.number().0)?;
        if frame.capture() != first.capture() || nanos >> 48 != 0 || frames >> 32 != 0 {
            return None;
        }
        let word = |value: u64, n: u32| (value >> (16 * n)) as u16;
        Some(Self([
            word(nanos, 0),
            word(nanos, 1),
            word(nanos, 2),
            word(frames, 0),
            word(frames, 1),
        ]))
    }

    fn frame(self, first: FrameRef) -> FrameRef {
        let [nanos @ .., low, high] = self.0.map(i64::from);
        let nanos = nanos.iter().rev().fold(0, |sum, word| sum << 16 | word);
        let frames = (low | high << 16).cast_unsigned();
        FrameRef::new(
            first.at.shifted(nanos),
            first.capture(),
            FrameNo(first.number().0.saturating_add(frames)),
        )
    }
}

impl Embryo {
    /// An embryo for the first segment of a connection, if that is small enough for one. Its key is still to be set.
    pub(super) fn new(
        opener: End,
        id: ConnectionId,
        segment: &Segment<'_>,
        clock: i64,
    ) -> Option<Self> {
        let flags = segment.flags;
        let stage = match (flags.syn(), flags.ack(), flags.rst()) {
            (true, false, false) => Stage::Syn,
            (true, true, false) => Stage::SynAck,
            (false, _, true) => Stage::Rst,
            _ => return None,
        };
        let captures = u8::try_from(capture_bit(segment.frame.capture())).ok()?;
        let empty = segment.payload.is_empty() && segment.missing == 0;
        (empty && !flags.fin()).then_some(Self {
            key: SmallKey::Wide(u32::MAX),
            id: SmallId::new(id),
            first: segment.frame,
            answer: Later::default(),
            last: Later::default(),
            seq: segment.seq,
            answer_seq: SeqNo(0),
            stamp: coarse(clock),
            ip_id: segment.ip_id,
            interface: u8::try_from(segment.interface.saturating_add(1))
                .ok()
                .and_then(NonZeroU8::new),
            captures,
            again: 0,
            answered_again: 0,
            duplicates: 0,
            opener,
            stage,
            refreshed: false,
        })
    }

    /// The number of its connection.
    pub(super) fn id(&self) -> ConnectionId {
        self.id.id()
    }

    /// Makes its place a free one.
    pub(super) fn clear(&mut self) {
        self.id = SmallId::NOBODY;
    }

    /// Whether its place is free.
    pub(super) fn is_nobody(&self) -> bool {
        self.id == SmallId::NOBODY
    }

    /// Whether nothing came for `kept` nanoseconds.
    pub(super) const fn is_older_than(&self, kept: i64, clock: i64) -> bool {
        let age = coarse(clock).wrapping_sub(self.stamp).cast_signed();
        age as i64 > kept >> 30
    }

    /// Whether it was refused or dropped.
    pub(super) const fn is_ended(&self) -> bool {
        matches!(
            self.stage,
            Stage::Refused
                | Stage::Dropped
                | Stage::Rst
                | Stage::Unreachable(Unreachable::Port | Unreachable::Prohibited)
        )
    }

    /// Takes the next segment between its ends.
    pub(super) fn segment(&mut self, segment: &Segment<'_>, clock: i64) -> Step {
        let flags = segment.flags;
        let by_opener = segment.sender == self.opener;
        if flags.syn() && !flags.ack() && by_opener && segment.seq != self.seq {
            return Step::Other;
        }
        let Ok(capture) = u8::try_from(capture_bit(segment.frame.capture())) else {
            return Step::Grown;
        };
        if !segment.payload.is_empty() || segment.missing > 0 || flags.fin() {
            return Step::Grown;
        }
        let acks_syn = segment.ack == self.seq.plus(1);
        let first_again = by_opener && segment.seq == self.seq && !flags.rst();
        let answer_again = !by_opener && segment.seq == self.answer_seq;
        let copy = self.is_copy(segment);
        let (next, count) = match (self.stage, flags.syn(), flags.ack(), flags.rst()) {
            (Stage::Rst, ..) | (_, true, _, true) => return Step::Grown,
            (Stage::SynAck, true, true, _) if first_again => (None, Some(&mut self.again)),
            (Stage::SynAck, ..) => return Step::Grown,
            (_, true, false, _) if first_again => (None, Some(&mut self.again)),
            (Stage::Answered | Stage::Dropped, true, true, _) if answer_again => {
                (None, Some(&mut self.answered_again))
            }
            (Stage::Refused, _, _, true) if answer_again => (None, Some(&mut self.answered_again)),
            (Stage::Syn, true, true, false) if !by_opener && acks_syn => {
                (Some(Stage::Answered), None)
            }
            (Stage::Syn, false, ack, true) if !by_opener && (acks_syn || !ack) => {
                (Some(Stage::Refused), None)
            }
            (Stage::Answered, false, _, true) if by_opener => (Some(Stage::Dropped), None),
            _ => return Step::Grown,
        };
        let last = Later::new(self.first, segment.frame);
        if let Some(count) = count {
            if copy {
                let Some(duplicates) = self.duplicates.checked_add(1) else {
                    return Step::Grown;
                };
                self.duplicates = duplicates;
                self.captures |= capture;
                return Step::Taken;
            }
            let (Some(more), Some(last)) = (count.checked_add(1), last) else {
                return Step::Grown;
            };
            *count = more;
            self.last = last;
        } else if let (Some(next), Some(last)) = (next, last) {
            if next != Stage::Dropped {
                self.answer = last;
                self.answer_seq = segment.seq;
            }
            self.stage = next;
            self.last = last;
        } else {
            return Step::Grown;
        }
        self.captures |= capture;
        self.ip_id = segment.ip_id;
        self.refreshed = true;
        self.stamp = coarse(clock);
        if next.is_some() && self.is_ended() {
            Step::Ended
        } else {
            Step::Taken
        }
    }

    /// Whether a repeated segment is one frame captured twice: the other captures' view of what the first one shows
    /// too, or too soon for a repetition.
    fn is_copy(&self, segment: &Segment<'_>) -> bool {
        let since = self.newest();
        let apart = segment.frame.at.nanos_since(since).saturating_abs();
        let same_id = segment.ip_id == self.ip_id || segment.ip_id == 0;
        segment.frame.capture() != self.first.capture() || (apart <= COPY_SPAN && same_id)
    }

    /// Takes an ICMP error about a segment that `sender` sent.
    pub(super) fn icmp(&mut self, sender: End, error: &IcmpError) -> Step {
        let Ok(capture) = u8::try_from(capture_bit(error.frame.capture())) else {
            return Step::Grown;
        };
        if sender != self.opener || error.seq != self.seq {
            return Step::Taken;
        }
        match (self.stage, Later::new(self.first, error.frame)) {
            (Stage::Syn, Some(frame)) => {
                self.stage = Stage::Unreachable(error.why);
                self.answer = frame;
                self.captures |= capture;
                if self.is_ended() {
                    Step::Ended
                } else {
                    Step::Taken
                }
            }
            (Stage::Rst, _) => Step::Taken,
            _ => Step::Grown,
        }
    }

    /// The end that is the client.
    pub(super) fn client(&self, key: &Key) -> End {
        match self.stage {
            Stage::SynAck => self.opener.other(),
            Stage::Rst => by_port(key),
            _ => self.opener,
        }
    }

    /// The initial numbers of the client and the server, as far as they are known.
    pub(super) fn isns(&self) -> (Option<SeqNo>, Option<SeqNo>) {
        match self.stage {
            Stage::Answered | Stage::Dropped => (Some(self.seq), Some(self.answer_seq)),
            Stage::SynAck => (None, Some(self.seq)),
            Stage::Rst => (None, None),
            _ => (Some(self.seq), None),
        }
    }

    /// Frames that the capture holds twice, so far.
    pub(super) const fn duplicates(&self) -> u8 {
        self.duplicates
    }

    /// The capture that showed it first.
    pub(super) fn first_capture(&self) -> CaptureId {
        self.first.capture()
    }

    /// The time of its first frame.
    pub(super) fn began(&self) -> Timestamp {
        self.first.at
    }

    /// The time of its last frame.
    pub(super) fn newest(&self) -> Timestamp {
        self.last.frame(self.first).at
    }

    /// The facts, in full.
    pub(super) fn connection(&self, key: &Key) -> Connection {
        let client = self.client(key);
        let (roles_from, opening) = match self.stage {
            Stage::Answered | Stage::Dropped => (RolesFrom::Syn, Opening::Partial),
            Stage::Refused | Stage::Unreachable(Unreachable::Port | Unreachable::Prohibited) => {
                (RolesFrom::Syn, Opening::Refused)
            }
            Stage::Syn | Stage::Unreachable(_) => (RolesFrom::Syn, Opening::Unanswered),
            Stage::SynAck => (RolesFrom::SynAck, Opening::Partial),
            Stage::Rst => (RolesFrom::Port, Opening::Midstream),
        };
        let first = self.first;
        let mut connection = blank(self.id(), key, client, roles_from, opening, first);
        connection.last = self.last.frame(self.first);
        connection.captures = u64::from(self.captures);
        let interface = self.interface.map(|one| u32::from(one.get()) - 1);
        connection.interfaces = Interfaces::new(
            interface.map(|interface| (first.capture(), interface)),
            std::iter::empty(),
        );
        connection.duplicates = u64::from(self.duplicates);
        let by_client = self.opener == client;
        let direction = if by_client {
            Direction::ToServer
        } else {
            Direction::ToClient
        };
        self.opener_facts(&mut connection, direction);
        let answer = self.answer.frame(self.first);
        let answers = 1 + u64::from(self.answered_again);
        match self.stage {
            Stage::Syn | Stage::SynAck | Stage::Rst => {}
            Stage::Unreachable(why) => connection.unreachable = Some((answer, why)),
            Stage::Answered | Stage::Dropped => {
                connection.syn_ack = Some(answer);
                let facts = &mut connection.to_client;
                facts.frames = answers;
                facts.retransmitted = answers - 1;
                facts.isn = Some(self.answer_seq);
            }
            Stage::Refused => {
                let facts = &mut connection.to_client;
                facts.frames = answers;
                facts.rst = Some(answer);
            }
        }
        let reset = match self.stage {
            Stage::Refused => Some((direction.reverse(), answer)),
            Stage::Dropped => Some((direction, connection.last)),
            Stage::Rst => Some((direction, first)),
            _ => None,
        };
        if let Some((direction, frame)) = reset {
            connection.stream_mut(direction).rst = Some(frame);
            connection.ended = Some(Ending {
                how: EndingHow::Rst,
                by: direction.sender(),
                frame,
            });
        }
        connection
    }

    /// What the opener sent.
    fn opener_facts(&self, connection: &mut Connection, direction: Direction) {
        let first = self.first;
        let syn = !matches!(self.stage, Stage::SynAck | Stage::Rst);
        if syn {
            connection.syn = Some(first);
            connection.syns = 1 + u32::from(self.again);
        } else if self.stage == Stage::SynAck {
            connection.syn_ack = Some(first);
        }
        let last = connection.last;
        let facts = connection.stream_mut(direction);
        facts.frames = 1 + u64::from(self.again) + u64::from(self.stage == Stage::Dropped);
        facts.retransmitted = u64::from(self.again);
        if self.again > 0 && matches!(self.stage, Stage::Syn | Stage::SynAck) {
            facts.last_retransmission = Some(last);
        }
        if self.stage != Stage::Rst {
            facts.isn = Some(self.seq);
        }
    }
}

/// A clock in nanoseconds, in units of 2^30 ns.
const fn coarse(clock: i64) -> u32 {
    (clock >> 30).cast_unsigned() as u32
}

/// Nothing better is known: the server has the lower port.
pub(super) fn by_port(key: &Key) -> End {
    if key.endpoint(End::Low).port() < key.endpoint(End::High).port() {
        End::High
    } else {
        End::Low
    }
}

/// A connection without any facts.
#[expect(
    clippy::inline_always,
    reason = "per connection: saves a copy of a kilobyte"
)]
#[inline(always)]
pub(super) fn blank(
    id: ConnectionId,
    key: &Key,
    client: End,
    roles_from: RolesFrom,
    opening: Opening,
    first: FrameRef,
) -> Connection {
    let (client, server): (Endpoint, Endpoint) =
        (key.endpoint(client), key.endpoint(client.other()));
    Connection {
        id,
        client,
        server,
        roles_from,
        opening,
        first,
        last: first,
        syn: None,
        syns: 0,
        syn_ack: None,
        rtt_nanos: None,
        to_server: StreamFacts::default(),
        to_client: StreamFacts::default(),
        ended: None,
        unreachable: None,
        captures: capture_bit(first.capture()),
        interfaces: Interfaces::default(),
        duplicates: 0,
        evicted: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_frame_of_the_same_capture_comes_back_whole() {
        let frame = |nanos, capture, number| {
            FrameRef::new(
                Timestamp::from_nanos(nanos),
                CaptureId(capture),
                FrameNo(number),
            )
        };
        let first = frame(-5, 1, 7);
        for later in [first, frame((1 << 48) - 6, 1, (1 << 32) + 6)] {
            assert_eq!(
                Later::new(first, later).map(|kept| kept.frame(first)),
                Some(later)
            );
        }
        for unlike in [
            frame(-6, 1, 8),
            frame(0, 1, 6),
            frame(0, 2, 8),
            frame((1 << 48) - 5, 1, 8),
            frame(0, 1, (1 << 32) + 7),
        ] {
            assert_eq!(Later::new(first, unlike), None, "{unlike:?}");
        }
    }
}
