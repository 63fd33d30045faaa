//! The machine that follows one connection's requests and answers.
//!
//! ```text
//!   to_server   Head -> Body -> Head ...      a request that asks to switch: -> Held (until its answer)
//!   to_client   Head -> Body -> Head ...      101, or 2xx to CONNECT:        -> switched
//!                 |       |
//!                 |       +- hole beyond its end, broken framing -> Search (for a start line at a segment's start)
//!                 +- bytes that are none -> Raw (collects an excerpt, reads no further)
//! ```

use smallvec::SmallVec;

use super::answers::Answers;
use super::held::Handover;
use super::requests::Requests;
use super::{HttpEvent, RAW_EXCERPT};
use crate::capture::FrameRef;
use crate::tcp::{Chunk, Direction, Gap};

/// Requests whose answer is awaited at once: nginx takes 1000 on a connection (`keepalive_requests`), pipelining
/// clients send a handful. Beyond it the oldest is forgotten: its answer was not captured.
const MAX_WAITING: usize = 128;

/// Follows the HTTP/1 messages of one connection.
///
/// Any segmentation of a stream gives the same events, but for the frames they name. Call [`Self::ended`] for both
/// directions when the connection leaves the table: what was begun is then reported.
#[derive(Debug)]
pub struct Conversation {
    pub(super) shared: Shared,
    requests: Requests,
    answers: Answers,
}

/// What both directions need to know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    next_exchange: u32,
    /// Requests without their final answer, oldest first: one, but where a client pipelines.
    pub(super) waiting: SmallVec<[Waiting; 2]>,
    /// The request head that is on its way.
    begun: Option<Begun>,
    /// A request that asked to switch got another answer: what the client sent behind it is HTTP.
    refused: bool,
    /// The streams carry something else now.
    pub(super) switched: bool,
    pub(super) handover: Handover,
}

/// A request whose head is not complete.
#[derive(Debug, Clone, Copy)]
struct Begun {
    exchange: u32,
    /// The server did not wait for the rest of it.
    answered: bool,
}

/// A request without its final answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) exchange: u32,
    /// Where its head ends.
    pub(super) asked: FrameRef,
    /// The method decides about the body of the answer; `None` when the request is not known in full.
    pub(super) method: Option<Method>,
    /// It is an attempt at a WebSocket opening handshake.
    pub(super) websocket: bool,
    /// What the client sends behind it is held.
    pub(super) holds: bool,
}

impl Waiting {
    /// Whether an answer that begins in this frame may be to it. Bytes that take long to decrypt may come out behind later
    /// ones of the other direction, and what came before a request does not answer it.
    pub(super) fn may_get(&self, answer: FrameRef) -> bool {
        let before = answer.at < self.asked.at && answer.number() < self.asked.number();
        !(before && answer.capture() == self.asked.capture())
    }
}

/// A method, as far as it matters to the answer (RFC 9112 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Head,
    Connect,
    Other,
}

impl Shared {
    fn new_exchange(&mut self) -> u32 {
        let exchange = self.next_exchange;
        self.next_exchange = self.next_exchange.saturating_add(1);
        exchange
    }

    /// A request head begins, if none has begun before.
    pub(super) fn begin(&mut self) {
        if self.begun.is_none() {
            self.begun = Some(Begun {
                exchange: self.new_exchange(),
                answered: false,
            });
        }
    }

    /// The request head is over: its exchange, and whether it has its final answer already.
    pub(super) fn finish_begun(&mut self) -> (u32, bool) {
        match self.begun.take() {
            Some(begun) => (begun.exchange, begun.answered),
            None => (self.new_exchange(), false),
        }
    }

    /// What began as a request is none.
    pub(super) fn forget_begun(&mut self) {
        self.begun = None;
    }

    /// The request that the answer which begins in this frame belongs to.
    pub(super) fn answered_request(&self, answer: FrameRef) -> Option<Waiting> {
        if let Some(first) = self.waiting.first() {
            return first.may_get(answer).then_some(*first);
        }
        self.begun.and_then(|begun| {
            (!begun.answered).then_some(Waiting {
                exchange: begun.exchange,
                asked: answer,
                method: None,
                websocket: false,
                holds: false,
            })
        })
    }

    /// Whether held bytes can be read on as HTTP.
    pub(super) const fn is_refused(&self) -> bool {
        self.refused
    }

    /// That request has its final answer; an exchange of its own for an answer whose request is unknown.
    pub(super) fn answer(&mut self, answer: FrameRef) -> u32 {
        if let Some(first) = self.waiting.first().copied() {
            if !first.may_get(answer) {
                return self.new_exchange();
            }
            self.waiting.remove(0);
            self.refused |= first.holds;
            return first.exchange;
        }
        match &mut self.begun {
            Some(begun) if !begun.answered => {
                begun.answered = true;
                begun.exchange
            }
            _ => self.new_exchange(),
        }
    }

    pub(super) fn wait(&mut self, waiting: Waiting) {
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.remove(0);
        }
        self.waiting.push(waiting);
    }

    pub(super) fn switch(
        &mut self,
        exchange: u32,
        websocket: bool,
        answer_seen: bool,
        out: &mut Vec<HttpEvent>,
    ) {
        self.switched = true;
        self.handover.answer_seen = answer_seen;
        out.push(HttpEvent::Switched {
            exchange,
            websocket,
        });
    }
}

impl Default for Conversation {
    fn default() -> Self {
        Self::new()
    }
}

impl Conversation {
    /// Bytes that it holds besides itself.
    pub fn held(&self) -> usize {
        let waiting = self.shared.waiting.capacity() * size_of::<Waiting>();
        self.requests.held() + self.answers.held() + waiting
    }

    /// For a connection seen from its first byte.
    pub fn new() -> Self {
        Self {
            shared: Shared::default(),
            requests: Requests::new(),
            answers: Answers::new(),
        }
    }

    /// For a connection that was up when the capture began: each direction is read from the first segment on that
    /// begins with a start line, and what stands before it is no fault.
    pub fn midstream() -> Self {
        Self {
            shared: Shared::default(),
            requests: Requests::searching(),
            answers: Answers::searching(),
        }
    }

    /// Takes the next bytes of a stream; says how many of them belong to HTTP. That is all of them until
    /// [`HttpEvent::Switched`] comes out; the rest, and all that follows, belongs to the next protocol, after
    /// [`Self::take_handover`].
    pub fn bytes(&mut self, chunk: &Chunk<'_>, out: &mut Vec<HttpEvent>) -> usize {
        if self.shared.switched {
            return 0;
        }
        match chunk.direction {
            Direction::ToServer => {
                self.requests.bytes(&mut self.shared, chunk, out);
                self.judge_held(false, out);
                chunk.data.len()
            }
            Direction::ToClient => {
                if self.answers.lost() && is_frame(chunk.data) && !self.answers.finds(chunk.data) {
                    // Perhaps no answer follows the hole: what the client sent since decides.
                    self.judge_held(false, out);
                    if self.shared.switched {
                        return 0;
                    }
                }
                let mut used = 0;
                while used < chunk.data.len() && !self.shared.switched {
                    used = self.answers.bytes(&mut self.shared, chunk, used, out);
                    // At once, so that the next answer in this segment finds its request.
                    self.release(out);
                }
                if self.shared.switched {
                    self.shared.handover.to_server = self.requests.holding.take();
                } else if !self.answers.lost() {
                    self.judge_held(false, out);
                }
                used
            }
        }
    }

    /// Takes a hole in a stream.
    pub fn gap(&mut self, gap: &Gap, out: &mut Vec<HttpEvent>) {
        if self.shared.switched {
            return;
        }
        match gap.direction {
            Direction::ToServer => self.requests.gap(&mut self.shared, gap, out),
            Direction::ToClient => {
                // Behind the hole there may be the answer: what is held is judged by what comes next.
                self.answers.gap(&mut self.shared, gap, out);
                if self.shared.switched {
                    self.shared.handover.to_server = self.requests.holding.take();
                }
            }
        }
    }

    /// A direction is at its end: by FIN or RST, or because the capture has no more. `frame` is the FIN, the RST, or
    /// the last frame of the connection. A second call for a direction says nothing new.
    pub fn ended(
        &mut self,
        direction: Direction,
        frame: FrameRef,
        capture_ended: bool,
        out: &mut Vec<HttpEvent>,
    ) {
        match direction {
            Direction::ToServer => {
                self.requests
                    .ended(&mut self.shared, frame, capture_ended, out);
            }
            Direction::ToClient => {
                self.answers
                    .ended(&mut self.shared, frame, capture_ended, out);
                self.judge_held(true, out);
            }
        }
    }

    /// What the next protocol must know; once, after [`HttpEvent::Switched`].
    pub fn take_handover(&mut self) -> Handover {
        std::mem::take(&mut self.shared.handover)
    }

    /// How many exchanges were seen, those of which only a part is known included.
    pub const fn exchanges(&self) -> u32 {
        self.shared.next_exchange
    }

    /// Reads on behind a request that asked to switch, once it was refused.
    fn release(&mut self, out: &mut Vec<HttpEvent>) {
        if self.shared.refused && !self.shared.switched {
            self.shared.refused = false;
            self.requests.release(&mut self.shared, out);
        }
    }

    /// Decides about held bytes without the answer when it cannot come any more, or is known to be missed.
    fn judge_held(&mut self, no_answer_will_come: bool, out: &mut Vec<HttpEvent>) {
        while !self.shared.switched && !self.requests.holding.is_empty() {
            let hopeless = no_answer_will_come || self.requests.holding.overflowed();
            let Some(held_for) = self.shared.waiting.iter().find(|w| w.holds).copied() else {
                return;
            };
            let start = self.requests.holding.start();
            if super::probe(start) == super::Probe::Request {
                // Masked WebSocket frames cannot look so: the client went on with HTTP, so there was no 101. With the
                // answer in a hole, what is answered next is the request that the client sent next.
                if !hopeless && !self.answers.lost() {
                    return;
                }
                self.shared.waiting.retain(|waiting| !waiting.holds);
                self.requests.release(&mut self.shared, out);
            } else if held_for.websocket
                && is_masked_frame(start)
                && (self.answers.lost() || hopeless && !self.answers.seen())
            {
                // Masked frames: the client got its 101, and the capture lacks it.
                self.shared.switch(held_for.exchange, true, false, out);
                self.shared.handover.to_server = self.requests.holding.take();
            } else {
                if no_answer_will_come {
                    self.requests.holding.take();
                }
                return;
            }
        }
    }
}

/// Whether a WebSocket frame plausibly begins here: defined opcode, no reserved bits but RSV1 (RFC 6455 5.2).
fn is_frame(bytes: &[u8]) -> bool {
    bytes
        .first()
        .is_some_and(|first| first & 0x30 == 0 && matches!(first & 0x0f, 0..=2 | 8..=10))
}

/// Whether one begins as a client sends it: with a mask.
fn is_masked_frame(bytes: &[u8]) -> bool {
    is_frame(bytes) && bytes.get(1).is_some_and(|second| second & 0x80 != 0)
}

/// Collects how bytes that are no HTTP begin.
#[derive(Debug)]
pub(super) struct RawBytes {
    bytes: Vec<u8>,
    frame: FrameRef,
}

impl RawBytes {
    pub(super) fn new(mut bytes: Vec<u8>, frame: FrameRef) -> Self {
        bytes.truncate(RAW_EXCERPT);
        Self { bytes, frame }
    }

    /// Takes more of them; whether there are enough now.
    pub(super) fn feed(&mut self, data: &[u8]) -> bool {
        let room = RAW_EXCERPT.saturating_sub(self.bytes.len());
        self.bytes
            .extend_from_slice(data.get(..room).unwrap_or(data));
        self.bytes.len() >= RAW_EXCERPT
    }

    pub(super) fn event(self, direction: Direction) -> HttpEvent {
        HttpEvent::NotHttp {
            direction,
            frame: self.frame,
            excerpt: self.bytes.into_boxed_slice(),
        }
    }
}
