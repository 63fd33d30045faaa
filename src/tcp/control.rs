//! Everything about a segment but its payload: roles, opening, acknowledgments, windows, endings, ICMP errors.

use super::flow::{Doubt, Flow, Reading, capture_bit};
use super::limits::{MAX_WINDOW, RESET_REORDER, RESET_WINDOW};
use super::roles;
use super::{Direction, Ending, EndingHow, Opening, RolesFrom, Side};
use crate::capture::FrameRef;
use crate::decode::{End, IcmpError, Segment, SeqNo, Unreachable};

impl<S> Flow<S> {
    /// Before the first payload byte the roles may still turn out to be the other way round.
    pub(super) fn decide_roles(&mut self, segment: &Segment<'_>) {
        let sender = segment.sender;
        if matches!(
            self.cold.connection.roles_from,
            RolesFrom::Syn | RolesFrom::SynAck
        ) {
            return;
        }
        let (client, from) = if segment.flags.syn() {
            if segment.flags.ack() {
                (sender.other(), RolesFrom::SynAck)
            } else {
                (sender, RolesFrom::Syn)
            }
        } else {
            match roles::sender_of(segment.payload) {
                Some(Side::Client) => (sender, RolesFrom::FirstBytes),
                Some(Side::Server) => (sender.other(), RolesFrom::FirstBytes),
                None => return,
            }
        };
        self.cold.connection.roles_from = from;
        if client != self.client {
            self.client = client;
            std::mem::swap(&mut self.to_server, &mut self.to_client);
            let connection = &mut self.cold.connection;
            std::mem::swap(&mut connection.client, &mut connection.server);
            std::mem::swap(&mut connection.to_server, &mut connection.to_client);
            if let Some(ending) = &mut connection.ended {
                ending.by = ending.by.sends().reverse().sender();
            }
        }
    }

    /// Whether a segment starts another connection between the same ends: another initial number, or payload far
    /// outside the window of a finished connection.
    pub(super) fn is_reused_by(&self, segment: &Segment<'_>) -> bool {
        let direction = self.direction(segment.sender);
        let half = self.half(direction);
        let peer = self.half(direction.reverse());
        let isn = self.cold.connection.stream(direction).isn;
        let finished = self.is_finished();
        let (syn, ack) = (segment.flags.syn(), segment.flags.ack());
        match isn {
            _ if !syn => {
                let ahead = half.position(segment.seq) - half.top.cast_signed();
                let far = ahead.abs() > RESET_WINDOW;
                finished && half.marks.known && !segment.payload.is_empty() && far
            }
            Some(isn) if isn == segment.seq => false,
            // A server that forgot the connection answers the same SYN with a new number.
            Some(_) if ack => finished && peer.position(segment.ack) != 0,
            Some(_) => true,
            None if half.marks.known => half.position(segment.seq.plus(1)) != 0,
            None => finished || (!ack && self.reading != Reading::Nothing),
        }
    }

    // RFC 9293 3.5
    pub(super) fn synchronize(&mut self, direction: Direction, segment: &Segment<'_>) {
        let connection = &mut self.cold.connection;
        let facts = connection.stream_mut(direction);
        let again = facts.isn == Some(segment.seq);
        if again {
            facts.retransmitted += 1;
            facts.last_retransmission = Some(segment.frame);
        }
        facts.isn = Some(segment.seq);
        if segment.flags.ack() {
            connection.syn_ack.get_or_insert(segment.frame);
        } else if direction == Direction::ToServer {
            connection.syn.get_or_insert(segment.frame);
            connection.syns += 1;
            self.cold.last_syn = Some(segment.frame);
        }
        let half = self.half_mut(direction);
        // The answer to a SYN may come with another number as long as nothing was sent on top of it.
        if !half.marks.known || (!again && half.top == 0) {
            half.start(segment.seq.plus(1));
        }
    }

    pub(super) fn acknowledge(&mut self, direction: Direction, segment: &Segment<'_>) {
        let after_syn = self.cold.connection.syn.is_some();
        let peer = self.half_mut(direction.reverse());
        if !peer.marks.known && !segment.flags.syn() {
            if after_syn && direction == Direction::ToServer {
                // The SYN-ACK was not captured, but here is the number that it announced.
                peer.start(segment.ack);
            } else {
                peer.start_by_acknowledgments(segment.ack);
            }
        }
        peer.acknowledge(segment.ack);
    }

    pub(super) fn window(&mut self, direction: Direction, segment: &Segment<'_>) {
        let full = segment.window == 0 && !segment.flags.syn();
        let was = std::mem::replace(&mut self.half_mut(direction).marks.full, full);
        let facts = self.cold.connection.stream_mut(direction);
        if full && !was {
            facts.zero_windows += 1;
            facts.zero_window_since = Some(segment.frame);
        } else if was && !full {
            facts.zero_window_since = None;
        }
    }

    /// Whether a segment repeats the number before the next one, as keep-alives (RFC 9293 3.8.4) and probes of a zero
    /// window do (3.8.6.1).
    pub(super) fn is_probe(&self, direction: Direction, segment: &Segment<'_>, len: u64) -> bool {
        let half = self.half(direction);
        let flags = segment.flags;
        if !half.marks.known || len > 1 || flags.syn() || flags.fin() || !flags.ack() {
            return false;
        }
        let behind = half.position(segment.seq) + 1 == half.top.cast_signed();
        // Unacknowledged, a last byte may just as well be sent again.
        let all_acked = self.one_sided(direction) || half.acked >= half.top;
        behind && (len == 0 || all_acked || self.peer_is_full(direction))
    }

    fn peer_is_full(&self, direction: Direction) -> bool {
        self.half(direction.reverse()).marks.full
    }

    /// Counts a probe. One that asks for an opening of a closed window is no keep-alive.
    pub(super) fn probed(&mut self, direction: Direction) {
        if !self.peer_is_full(direction) {
            self.cold.connection.stream_mut(direction).keep_alives += 1;
        }
    }

    pub(super) fn reset(&mut self, direction: Direction, segment: &Segment<'_>) {
        if !self.accepts_reset(direction, segment) {
            return;
        }
        let half = self.half_mut(direction);
        let at = half.position(segment.seq);
        if half.marks.known && at > half.top.cast_signed() {
            half.marks.doubted = true;
            self.cold.doubt.get_or_insert_with(|| {
                Box::new(Doubt {
                    direction,
                    at,
                    frame: segment.frame,
                })
            });
        } else {
            self.end_by_reset(direction, segment.frame);
        }
    }

    /// Takes note of what the sender of a doubtful RST sends after it: whoever resets a connection says no more on it.
    pub(super) fn dispel(&mut self, direction: Direction, segment: &Segment<'_>, len: u64) {
        let Some(doubt) = &self.cold.doubt else {
            return;
        };
        let start = self.half(direction).position(segment.seq);
        let beyond = start.saturating_add_unsigned(len) > doubt.at;
        if beyond || segment.frame.at.nanos_since(doubt.frame.at) > RESET_REORDER {
            self.half_mut(direction).marks.doubted = false;
            self.cold.doubt = None;
        }
    }

    /// Nothing followed a doubtful RST: it ended the connection.
    pub(super) fn settle_doubt(&mut self) {
        if let Some(doubt) = self.cold.doubt.take() {
            self.end_by_reset(doubt.direction, doubt.frame);
        }
    }

    fn end_by_reset(&mut self, direction: Direction, frame: FrameRef) {
        let half = self.half_mut(direction);
        if half.rst.at().is_none() {
            half.rst.set(half.top);
        }
        let connection = &mut self.cold.connection;
        let by = direction.sender();
        connection.stream_mut(direction).rst.get_or_insert(frame);
        connection.ended.get_or_insert(Ending {
            how: EndingHow::Rst,
            by,
            frame,
        });
        // Its SYN-ACK may not be in the capture: then the client acknowledges it, or more than the SYN is acknowledged here.
        let answered = connection.syn_ack.is_some()
            || self.reading != Reading::Nothing
            || self.half(direction).marks.known
            || self.half(direction.reverse()).acked > 0;
        if by == Side::Server && self.cold.connection.syn.is_some() && !answered {
            self.refused = true;
        }
    }

    /// RFC 9293 3.10.7: the number must be in the window, or the SYN be acknowledged.
    pub(super) fn accepts_reset(&self, direction: Direction, segment: &Segment<'_>) -> bool {
        let half = self.half(direction);
        let peer = self.half(direction.reverse());
        let acked = peer.position(segment.ack);
        let acks_all = segment.flags.ack()
            && peer.marks.known
            && (acked == peer.top.cast_signed() || acked == peer.acked.cast_signed());
        if !half.marks.known {
            return !segment.flags.ack() || !peer.marks.known || acks_all || peer.top > 0;
        }
        let at = half.position(segment.seq);
        // What the receiver acknowledged lies before its window for certain.
        let from = match half.acked {
            0 => -RESET_WINDOW,
            acked => acked.cast_signed(),
        };
        let near = at >= from && at <= half.top.cast_signed() + RESET_WINDOW;
        // Some stacks and firewalls reset with number 0.
        near || (segment.seq == SeqNo(0) && acks_all)
    }

    pub(super) fn finish(&mut self, direction: Direction, segment: &Segment<'_>, len: u64) {
        let half = self.half_mut(direction);
        if !half.marks.known {
            half.start(segment.seq);
        }
        // RFC 9293 3.4: the FIN takes the number after its data.
        let at = half.position(segment.seq).saturating_add_unsigned(len);
        let near = at <= half.top.cast_signed() + MAX_WINDOW;
        if half.fin.at().is_none() && near {
            half.top = half.top.max(at.max(0).cast_unsigned());
            half.set_fin(half.top);
        }
        if self.reading == Reading::Counters
            && let Some(fin) = self.half(direction).fin.at()
        {
            self.count(direction, fin, 0, 0);
        }
        let peer = self.half(direction.reverse());
        // The number behind all that the peer was seen to send is its FIN, which the capture lacks.
        let answers = if peer.marks.known {
            peer.fin.at().is_none() && peer.acked == peer.top + 1
        } else {
            segment.flags.ack() && peer.is_ended_by(segment.ack)
        };
        let facts = self.cold.connection.stream_mut(direction);
        if facts.fin.is_some() {
            if len == 0 {
                facts.retransmitted += 1;
                facts.last_retransmission = Some(segment.frame);
            }
            return;
        }
        facts.fin = Some(segment.frame);
        let first = if answers {
            direction.reverse()
        } else {
            direction
        };
        self.cold.connection.ended.get_or_insert(Ending {
            how: EndingHow::Fin,
            by: first.sender(),
            frame: segment.frame,
        });
    }

    /// What the opening was, until it is certain.
    pub(super) fn settle(&mut self, direction: Direction, segment: &Segment<'_>) {
        let flags = segment.flags;
        let plain = !flags.syn() && !flags.rst();
        let data = self.to_server.top > 0 || self.to_client.top > 0;
        let connection = &mut self.cold.connection;
        let by_client = direction == Direction::ToServer;
        let mut complete = false;
        connection.opening = match (connection.syn, connection.syn_ack) {
            (None, None) => Opening::Midstream,
            (Some(_), None) if self.refused => Opening::Refused,
            (Some(_), None) => match connection.opening {
                Opening::Midstream | Opening::Unanswered if !plain => Opening::Unanswered,
                _ => Opening::Partial,
            },
            (Some(_), Some(_)) if data || (plain && by_client) => {
                complete = true;
                Opening::Complete
            }
            (Some(_), Some(_)) if connection.opening == Opening::Complete => Opening::Complete,
            (_, Some(_)) => Opening::Partial,
        };
        if complete
            && !self.settled
            && by_client
            && plain
            && let Some(syn) = self.cold.last_syn
            && syn.capture() == segment.frame.capture()
        {
            connection.rtt_nanos = Some(segment.frame.at.nanos_since(syn.at));
        }
        self.settled |= complete || data;
    }

    /// An ICMP error about a segment that `sender` sent, if that segment is plausible.
    pub(super) fn icmp(&mut self, sender: End, error: &IcmpError) {
        let direction = self.direction(sender);
        let half = self.half(direction);
        let at = half.position(error.seq);
        let from = half.acked.min(half.next).cast_signed() - RESET_WINDOW;
        let to = half.top.cast_signed() + RESET_WINDOW;
        if half.marks.known && (at < from || at > to) {
            return;
        }
        self.captures |= capture_bit(error.frame.capture());
        let connection = &mut self.cold.connection;
        // Of several the first one counts, but a path MTU hint or an expired hop limit is no verdict.
        let soft = |why| matches!(why, Unreachable::TooBig | Unreachable::TimeExceeded);
        if connection
            .unreachable
            .is_none_or(|(_, why)| soft(why) && !soft(error.why))
        {
            connection.unreachable = Some((error.frame, error.why));
        }
        if connection.opening == Opening::Unanswered
            && matches!(error.why, Unreachable::Port | Unreachable::Prohibited)
        {
            connection.opening = Opening::Refused;
            self.refused = true;
        }
    }
}
