//! The stream to the server: requests and their bodies.

use super::body::{Body, Framing, Progress, framing};
use super::conversation::{Method, RawBytes, Shared, Waiting};
use super::gather::{Gather, Gathered, Kind};
use super::held::{Held, Holding};
use super::probe::{Verdict, request_line};
use super::{HttpEvent, PartialWhy, Probe, RequestHead, Span, parse, probe};
use crate::capture::FrameRef;
use crate::tcp::{Chunk, Direction, Gap};

/// Reads the stream to the server.
#[derive(Debug)]
pub(super) struct Requests {
    phase: Phase,
    /// What came behind a request that asked to switch.
    pub(super) holding: Holding,
    /// The stream is at its end.
    ended: Option<(FrameRef, bool)>,
}

#[derive(Debug)]
enum Phase {
    Head(Gather),
    Body {
        body: Body,
        /// Hold what follows: the request asked to switch.
        then_hold: bool,
    },
    Held,
    Raw(RawBytes),
    Search,
    Done,
}

impl Requests {
    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        let head = match &self.phase {
            Phase::Head(head) => head.held(),
            _ => 0,
        };
        head + self.holding.held()
    }

    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Head(Gather::default()),
            holding: Holding::default(),
            ended: None,
        }
    }

    pub(super) fn searching() -> Self {
        Self {
            phase: Phase::Search,
            ..Self::new()
        }
    }

    pub(super) fn bytes(
        &mut self,
        shared: &mut Shared,
        chunk: &Chunk<'_>,
        out: &mut Vec<HttpEvent>,
    ) {
        let mut rest = chunk.data;
        while !rest.is_empty() {
            match &mut self.phase {
                Phase::Head(gather) => match gather.feed(Kind::Request, rest, chunk.frame) {
                    Gathered::More => {
                        if !gather.is_empty() {
                            shared.begin();
                        }
                        return;
                    }
                    Gathered::Head(raw, span, used) => {
                        match parse::request(raw, span) {
                            Ok(head) => self.phase = request(head, shared, out),
                            Err(raw) => {
                                shared.forget_begun();
                                self.raw(RawBytes::new(raw.into_vec(), span.first), out);
                            }
                        }
                        rest = rest.get(used..).unwrap_or_default();
                    }
                    Gathered::NotHttp(before, first) => {
                        shared.forget_begun();
                        self.raw(RawBytes::new(before, first), out);
                    }
                    Gathered::TooLarge(bytes, span) => {
                        partial(bytes, span, PartialWhy::TooLarge, shared, out);
                        self.phase = Phase::Search;
                        return;
                    }
                },
                Phase::Body { body, then_hold } => match body.feed(rest, &mut |_| ()) {
                    Progress::More => return,
                    Progress::End(used) => {
                        self.phase = next(*then_hold);
                        rest = rest.get(used..).unwrap_or_default();
                    }
                    Progress::Broken => {
                        self.phase = Phase::Search;
                        return;
                    }
                },
                Phase::Held => {
                    let before = (chunk.data.len() - rest.len()) as u64;
                    self.holding
                        .push(rest, chunk.position + before, chunk.frame);
                    return;
                }
                Phase::Raw(raw) => {
                    if raw.feed(rest) {
                        self.finish_raw(out);
                    }
                    return;
                }
                // Sound only where a segment begins: a body may hold the text of a request anywhere.
                Phase::Search => {
                    if rest.len() < chunk.data.len() || !begins_request(rest) {
                        return;
                    }
                    self.phase = Phase::Head(Gather::default());
                }
                Phase::Done => return,
            }
        }
    }

    pub(super) fn gap(&mut self, shared: &mut Shared, gap: &Gap, out: &mut Vec<HttpEvent>) {
        match &mut self.phase {
            Phase::Head(gather) => {
                if let Some((bytes, span)) = gather.take() {
                    partial(bytes, span, PartialWhy::Gap(gap.cause), shared, out);
                }
                self.phase = Phase::Search;
            }
            Phase::Body { body, then_hold } => match body.skip(gap.len) {
                Some(false) => {}
                Some(true) => self.phase = next(*then_hold),
                None => self.phase = Phase::Search,
            },
            Phase::Held => self.holding.push_gap(gap),
            Phase::Raw(_) => self.finish_raw(out),
            Phase::Search | Phase::Done => {}
        }
    }

    pub(super) fn ended(
        &mut self,
        shared: &mut Shared,
        frame: FrameRef,
        capture_ended: bool,
        out: &mut Vec<HttpEvent>,
    ) {
        match &mut self.phase {
            Phase::Head(gather) => {
                if let Some((bytes, span)) = gather.take() {
                    let why = if capture_ended {
                        PartialWhy::CaptureEnded
                    } else {
                        PartialWhy::StreamEnded
                    };
                    partial(bytes, span, why, shared, out);
                }
                self.phase = Phase::Done;
            }
            Phase::Raw(_) => self.finish_raw(out),
            // Decided by the answer, which may still come.
            Phase::Held => self.ended = self.ended.or(Some((frame, capture_ended))),
            Phase::Body { .. } | Phase::Search | Phase::Done => self.phase = Phase::Done,
        }
    }

    /// Reads what was held as HTTP: the request that asked to switch was refused.
    pub(super) fn release(&mut self, shared: &mut Shared, out: &mut Vec<HttpEvent>) {
        match &mut self.phase {
            Phase::Held => self.phase = Phase::Head(Gather::default()),
            Phase::Body { then_hold, .. } => {
                *then_hold = false;
                return;
            }
            _ => return,
        }
        for part in self.holding.take() {
            match part {
                Held::Bytes {
                    position,
                    frame,
                    data,
                } => {
                    let chunk = Chunk {
                        direction: Direction::ToServer,
                        position,
                        data: &data,
                        frame,
                    };
                    self.bytes(shared, &chunk, out);
                }
                Held::Gap(gap) => self.gap(shared, &gap, out),
            }
        }
        if let Some((frame, capture_ended)) = self.ended {
            self.ended(shared, frame, capture_ended, out);
        }
    }

    fn raw(&mut self, raw: RawBytes, out: &mut Vec<HttpEvent>) {
        self.phase = Phase::Raw(raw);
        if let Phase::Raw(raw) = &mut self.phase
            && raw.feed(&[])
        {
            self.finish_raw(out);
        }
    }

    fn finish_raw(&mut self, out: &mut Vec<HttpEvent>) {
        if let Phase::Raw(raw) = std::mem::replace(&mut self.phase, Phase::Done) {
            out.push(raw.event(Direction::ToServer));
        }
    }
}

fn next(hold: bool) -> Phase {
    if hold {
        Phase::Held
    } else {
        Phase::Head(Gather::default())
    }
}

/// Whether a segment plausibly begins with a request.
fn begins_request(segment: &[u8]) -> bool {
    probe(segment) == Probe::Request && request_line(segment) != Verdict::No
}

/// Queues a complete request; what comes behind its head.
fn request(head: RequestHead, shared: &mut Shared, out: &mut Vec<HttpEvent>) -> Phase {
    let (exchange, answered) = shared.finish_begun();
    let method = match head.method() {
        "HEAD" => Method::Head,
        "CONNECT" => Method::Connect,
        _ => Method::Other,
    };
    let websocket = head.is_handshake_attempt();
    let holds =
        !answered && (websocket || method == Method::Connect || head.fields.count("upgrade") > 0);
    let phase = match framing(&head.fields) {
        Framing::Absent | Framing::Open => next(holds),
        Framing::Present(body) => Phase::Body {
            body,
            then_hold: holds,
        },
        // RFC 9112 6.3 rules 4 and 5: nobody can know where the next request begins.
        Framing::Invalid => Phase::Search,
    };
    if !answered {
        shared.wait(Waiting {
            exchange,
            asked: head.span.last,
            method: Some(method),
            websocket,
            holds,
        });
    }
    out.push(HttpEvent::Request { exchange, head });
    phase
}

/// Reports a head that broke off. Its answer is awaited all the same: a server answers 400 or 408 to such.
fn partial(
    bytes: Vec<u8>,
    span: Span,
    why: PartialWhy,
    shared: &mut Shared,
    out: &mut Vec<HttpEvent>,
) {
    let (exchange, answered) = shared.finish_begun();
    if !answered {
        shared.wait(Waiting {
            exchange,
            asked: span.first,
            method: None,
            websocket: false,
            holds: false,
        });
    }
    out.push(HttpEvent::PartialHead {
        direction: Direction::ToServer,
        exchange,
        first: span.first,
        last: span.last,
        bytes: bytes.into_boxed_slice(),
        why,
    });
}
