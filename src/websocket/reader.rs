//! One direction of a session: bytes to WebSocket frames, in any segmentation, payload skipped by count.
//!
//! ```text
//!   Header -> Payload -> Header ...
//!      |         +- hole larger than the payload -> Search
//!      +- hole -> Search (at each segment's start: does a frame begin here, and one behind it?) -> trial -> Header
//!      +- it is none -> Deaf
//! ```

mod closing;
mod foreign;
mod search;

use smallvec::SmallVec;

use super::content::{Compression, Content, Depth};
use super::header::{Header, MAX_CONTROL, MAX_HEADER, opcode, unmask};
use super::ledger::Ledger;
use super::mqtt::Packets;
use super::trial::{POINTS_ALIGNED, Trial};
use super::{Carried, Rule};
use crate::capture::FrameRef;
use crate::tcp::Direction;

/// Payload bytes unmasked at a time: most messages are shorter.
const SCRATCH: usize = 256;

/// Bytes of a control frame that need no memory of their own: a Close without much of a reason, most pings.
const USUAL_CONTROL: usize = 16;

/// Reads one direction.
///
/// What passing payload over needs lies together, from the end of `carried` to the front of `content`; what headers need
/// besides is around it.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Reader {
    carried: Carried,
    state: State,
    content: Content,
    direction: Direction,
    message: Message,
    /// This side sent a Close frame.
    closed: bool,
    /// Frames may have passed unseen.
    lost: bool,
    /// Bytes of the payload in `control` are missing.
    control_lost: bool,
    /// Two frames in a row had the same masking key.
    mask_repeats: bool,
    /// The masking key of the newest frame.
    mask: Option<[u8; 4]>,
    /// The beginning of a header that segments cut.
    partial: [u8; MAX_HEADER],
    partial_len: usize,
    trial: Option<Box<Trial>>,
    /// The payload of the control frame at hand, at most `MAX_CONTROL` bytes.
    control: SmallVec<[u8; USUAL_CONTROL]>,
    /// The frame in which inflating reached its limit.
    sated: Option<FrameRef>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Payload { header: Header, left: u64 },
    Search,
    Deaf,
}

/// The message that frames are part of (RFC 6455 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    /// No frame was read yet: these may be bytes of another protocol.
    First,
    None,
    Open,
    /// A hole: anything may have begun or ended in it.
    Unknown,
}

/// What reading bytes came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    On,
    /// The trial failed.
    Failed,
}

impl Reader {
    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        let trial = self.trial.as_ref().map_or(0, |_| size_of::<Trial>());
        let control = if self.control.spilled() {
            self.control.capacity()
        } else {
            0
        };
        self.content.held() + control + trial
    }

    pub(super) fn new(direction: Direction, depth: Depth, compression: Compression) -> Self {
        Self {
            direction,
            state: State::Header,
            partial: [0; MAX_HEADER],
            partial_len: 0,
            carried: Carried::default(),
            message: Message::First,
            content: Content::new(depth, compression),
            control: SmallVec::new(),
            control_lost: false,
            mask_repeats: false,
            mask: None,
            closed: false,
            lost: false,
            trial: None,
            sated: None,
        }
    }

    /// Follows MQTT packets too.
    pub(super) fn following_packets(mut self) -> Self {
        self.content = self.content.with_packets();
        self
    }

    /// The MQTT packets, if all could be followed.
    pub(super) fn packets(&self) -> Option<&Packets> {
        self.content.packets().filter(|_| !self.lost)
    }

    /// Looks at each cache line that the next bytes need.
    pub(super) fn touch(&self) -> usize {
        let counts = self.carried.frames.text ^ self.carried.payload_bytes;
        let flags = u8::from(self.content.is_looking()) ^ u8::from(self.lost);
        let last = self.carried.last.map_or(0, |frame| frame.at.nanos());
        self.partial_len ^ counts as usize ^ usize::from(flags) ^ last.cast_unsigned() as usize
    }

    pub(super) const fn carried(&self) -> Carried {
        self.carried
    }

    /// Where inflating reached its limit.
    pub(super) fn inflation_stopped(&self) -> Option<(Direction, FrameRef)> {
        self.sated.map(|frame| (self.direction, frame))
    }

    pub(super) const fn lost(&self) -> bool {
        self.lost
    }

    /// Whether a masking key was used again at once, which no sender that takes fresh ones does (RFC 6455 5.3).
    pub(super) const fn mask_repeats(&self) -> bool {
        self.mask_repeats
    }

    /// Whether the newest frame was masked with a key that changes anything.
    pub(super) fn masks_with_a_key(&self) -> bool {
        !self.lost && self.mask.is_some_and(|key| key != [0; 4])
    }

    /// The payload bytes still to come when the stream ends inside a frame.
    pub(super) const fn cut(&self) -> Option<u64> {
        match self.state {
            // A frame that is only guessed proves nothing.
            _ if self.lost => None,
            State::Payload { left, .. } => Some(left),
            State::Header if self.partial_len > 0 => Some(0),
            _ => None,
        }
    }

    /// Takes the bytes of one segment.
    #[inline]
    pub(super) fn bytes(&mut self, data: &[u8], frame: FrameRef, ledger: &mut Ledger) {
        // Large frames span many segments, and most of them are nothing but payload to skip.
        if let State::Payload { header, left } = &mut self.state
            && *left > data.len() as u64
            && !header.is_control()
            && self.carried.first.is_some()
            && (!self.content.is_looking()
                || self.content.skim(data, header.mask, header.len - *left))
        {
            *left -= data.len() as u64;
            self.carried.last = Some(frame);
            return;
        }
        if !data.is_empty() {
            self.segment(data, frame, ledger);
        }
    }

    fn segment(&mut self, data: &[u8], frame: FrameRef, ledger: &mut Ledger) {
        let was_searching = self.state == State::Search;
        if was_searching {
            self.begin_trial();
        }
        if self.run(data, frame, ledger) == Run::Failed {
            self.fail_trial(ledger);
            if !was_searching {
                // The guess came from an earlier segment: this one may begin with a frame all the same.
                self.begin_trial();
                if self.run(data, frame, ledger) == Run::Failed {
                    self.fail_trial(ledger);
                }
            }
        }
        self.carried.first = self.carried.first.or(Some(frame));
        self.carried.last = Some(frame);
        if self.trial.is_some() && self.state == State::Header && self.partial_len == 0 {
            self.score(POINTS_ALIGNED);
        }
    }

    fn run(&mut self, data: &[u8], frame: FrameRef, ledger: &mut Ledger) -> Run {
        let mut rest = data;
        while !rest.is_empty() {
            match self.state {
                State::Header => {
                    // A header that was kept in part begins there, not in this segment.
                    let start = if self.partial_len == 0 { rest } else { &[] };
                    let Some((header, used, back)) = self.header(rest) else {
                        return Run::On;
                    };
                    rest = rest.get(used..).unwrap_or_default();
                    if self.begin(header, start, frame, ledger) == Run::Failed {
                        return Run::Failed;
                    }
                    if !back.is_empty() && self.run(back.as_slice(), frame, ledger) == Run::Failed {
                        return Run::Failed;
                    }
                }
                State::Payload { header, left } => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let (now, later) = rest.split_at(take);
                    if header.is_control() || self.content.is_looking() {
                        self.look(&header, header.len - left, now, frame, ledger);
                    }
                    rest = later;
                    self.advance(header, left - take as u64, frame, ledger);
                }
                State::Search | State::Deaf => return Run::On,
            }
        }
        Run::On
    }

    /// The next header, how many of `rest` belong to it, and bytes kept from before that do not.
    fn header(&mut self, rest: &[u8]) -> Option<(Header, usize, Back)> {
        let kept = self.partial_len;
        if kept == 0
            && let Some((header, size)) = self.parse(rest)
        {
            return Some((header, size, Back::default()));
        }
        let take = rest.len().min(MAX_HEADER - kept);
        for (slot, byte) in self.partial.iter_mut().skip(kept).zip(rest) {
            *slot = *byte;
        }
        let partial = self.partial;
        let gathered = partial.get(..kept + take).unwrap_or_default();
        let Some((header, size)) = self.parse(gathered) else {
            self.partial_len = kept + take;
            return None;
        };
        self.partial_len = 0;
        let back = Back::new(gathered.get(size..kept).unwrap_or_default());
        Some((header, size.saturating_sub(kept), back))
    }

    /// Reads a header, or waits for what is needed to judge a doubtful one.
    fn parse(&self, bytes: &[u8]) -> Option<(Header, usize)> {
        let (header, size) = Header::parse(bytes)?;
        let is_doubtful = bytes.len() < foreign::JUDGED_BY
            && !header
                .faults(self.direction, self.content.allows_rsv1())
                .is_empty()
            && bytes.len() < self.bytes_to_judge(bytes);
        (!is_doubtful).then_some((header, size))
    }

    /// A frame begins. `start`: its first bytes, empty when they are those kept in `partial`.
    fn begin(&mut self, header: Header, start: &[u8], frame: FrameRef, ledger: &mut Ledger) -> Run {
        let faults = header.faults(self.direction, self.content.allows_rsv1());
        self.mask_repeats |= header.mask.is_some() && header.mask == self.mask;
        self.mask = header.mask;
        if let Some(trial) = &mut self.trial {
            if !Trial::fits(&header, faults) {
                return Run::Failed;
            }
            let points = trial.header(&header);
            self.score(points);
        }
        let by = self.direction.sender();
        let partial = self.partial;
        let start = if start.is_empty() { &partial } else { start };
        if !faults.is_empty() && self.is_foreign(faults, start, frame, ledger) {
            self.state = State::Deaf;
            return Run::On;
        }
        if self.message == Message::First {
            self.message = Message::None;
        }
        if !faults.is_empty() {
            for rule in faults.iter() {
                ledger.fault(rule, by, frame, header.value(rule));
            }
        }
        // Of control frames some may cross the peer's Close (RFC 6455 5.5.1 speaks of data frames).
        if self.closed && self.trial.is_none() && !header.is_control() {
            ledger.fault(Rule::DataAfterClose, by, frame, header.opcode().into());
        }
        if header.is_control() {
            self.control.clear();
            self.control_lost = false;
        } else {
            self.begin_data(&header, frame, ledger);
        }
        self.advance(header, header.len, frame, ledger);
        Run::On
    }

    fn begin_data(&mut self, header: &Header, frame: FrameRef, ledger: &mut Ledger) {
        let by = self.direction.sender();
        let opcode = header.opcode();
        if opcode == opcode::CONTINUATION {
            if self.message == Message::None {
                ledger.fault(Rule::ContinuationWithoutStart, by, frame, 0);
            }
            return;
        }
        if self.message == Message::Open {
            ledger.fault(Rule::StartInsideMessage, by, frame, opcode.into());
        }
        self.message = Message::Open;
        self.content.begin(opcode == opcode::TEXT, header.rsv1());
        self.note_depth(frame);
    }

    /// Takes note of the frame in which the depth was reached.
    fn note_depth(&mut self, frame: FrameRef) {
        if self.content.is_sated() {
            self.sated.get_or_insert(frame);
        }
    }

    /// Looks at payload bytes that begin `at` bytes into the payload.
    fn look(
        &mut self,
        header: &Header,
        at: u64,
        payload: &[u8],
        frame: FrameRef,
        ledger: &mut Ledger,
    ) {
        if header.is_control() {
            if !self.control_lost {
                let room = (MAX_CONTROL as usize).saturating_sub(self.control.len());
                let from = self.control.len();
                self.control
                    .extend_from_slice(payload.get(..room).unwrap_or(payload));
                unmask(
                    self.control.get_mut(from..).unwrap_or_default(),
                    header.mask,
                    at,
                );
            }
            return;
        }
        if self.content.skim(payload, header.mask, at) {
            return;
        }
        if header.mask.is_none() {
            self.feed(payload, frame, ledger);
            return;
        }
        let mut scratch = [0; SCRATCH];
        let mut at = at;
        for piece in payload.chunks(SCRATCH) {
            let unmasked = scratch.get_mut(..piece.len()).unwrap_or_default();
            unmasked.copy_from_slice(piece);
            unmask(unmasked, header.mask, at);
            at += piece.len() as u64;
            self.feed(unmasked, frame, ledger);
            if !self.content.is_looking() {
                return;
            }
        }
    }

    /// Looks into unmasked payload of a message.
    fn feed(&mut self, payload: &[u8], frame: FrameRef, ledger: &mut Ledger) {
        if let Some(rule) = self.content.feed(payload, frame) {
            self.content_fault(rule, frame, ledger);
        }
        self.note_depth(frame);
    }

    /// All that inflating gave.
    #[cfg(test)]
    pub(super) fn inflated(&self) -> &[u8] {
        &self.content.inflated
    }

    fn content_fault(&self, rule: Rule, frame: FrameRef, ledger: &mut Ledger) {
        if self.trial.is_none() {
            let value = self.content.value(rule);
            ledger.fault(rule, self.direction.sender(), frame, value);
        }
    }

    /// So many bytes of the frame are left; none: it is complete.
    fn advance(&mut self, header: Header, left: u64, frame: FrameRef, ledger: &mut Ledger) {
        if left > 0 {
            self.state = State::Payload { header, left };
            return;
        }
        self.state = State::Header;
        self.carried.payload_bytes = self.carried.payload_bytes.saturating_add(header.len);
        let counts = &mut self.carried.frames;
        match header.opcode() {
            opcode::CONTINUATION => counts.continuation += 1,
            opcode::TEXT => counts.text += 1,
            opcode::BINARY => counts.binary += 1,
            opcode::CLOSE => counts.close += 1,
            opcode::PING => counts.ping += 1,
            opcode::PONG => counts.pong += 1,
            _ => {}
        }
        match header.opcode() {
            opcode::CLOSE => self.end_close(&header, frame, ledger),
            opcode::PING | opcode::PONG if self.control_lost || self.lost => {}
            opcode::PING => {
                ledger.ping(self.direction, &self.control, frame);
            }
            opcode::PONG => {
                ledger.pong(self.direction, &self.control, frame);
            }
            _ if header.is_control() => {}
            _ => {
                self.carried.last_message = Some(frame);
                if header.is_final() {
                    self.end_message(frame, ledger);
                }
            }
        }
    }

    fn end_message(&mut self, frame: FrameRef, ledger: &mut Ledger) {
        if let Some(rule) = self.content.end() {
            self.content_fault(rule, frame, ledger);
        }
        if self.message != Message::None {
            self.carried.messages += 1;
        }
        self.message = Message::None;
    }

    /// The stream ended: bytes too few to be judged before are judged now.
    pub(super) fn ended(&mut self, frame: FrameRef, ledger: &mut Ledger) {
        let partial = self.partial;
        let start = partial.get(..self.partial_len).unwrap_or_default();
        if self.state != State::Header || start.is_empty() {
            return;
        }
        let faults = match Header::parse(start) {
            Some((header, _)) => header.faults(self.direction, self.content.allows_rsv1()),
            None => return,
        };
        if !faults.is_empty() && self.is_foreign(faults, start, frame, ledger) {
            self.state = State::Deaf;
        }
    }
}

/// Bytes given back behind a header that was shorter than what had been kept for it.
#[derive(Debug, Default)]
struct Back {
    bytes: [u8; 2],
    len: usize,
}

impl Back {
    fn new(bytes: &[u8]) -> Self {
        let mut back = Self::default();
        for (slot, byte) in back.bytes.iter_mut().zip(bytes) {
            *slot = *byte;
            back.len += 1;
        }
        back
    }

    const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
