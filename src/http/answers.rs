//! The stream to the client: answers and their bodies.

use super::body::{Body, Framing, Progress, framing};
use super::conversation::{Method, RawBytes, Shared, Waiting};
use super::gather::{Gather, Gathered, Kind};
use super::probe::{Verdict, status_line};
use super::{BODY_EXCERPT, HttpEvent, PartialWhy, ResponseHead, Span, parse};
use crate::capture::FrameRef;
use crate::tcp::{Chunk, Direction, Gap};

/// Reads the stream to the client.
#[derive(Debug)]
pub(super) struct Answers {
    phase: Phase,
    /// The exchange of an interim answer whose request is unknown: the final one belongs to it, too.
    orphan: Option<u32>,
    /// Bytes were seen.
    seen: bool,
    /// Bytes were passed over since the last head: an answer may be among them.
    lost: bool,
}

#[derive(Debug)]
enum Phase {
    Head(Gather),
    Body {
        body: Body,
        excerpt: Option<Excerpt>,
        /// The request is unknown, so there may be no body at all (HEAD): a status line where it would begin is one.
        doubtful: bool,
    },
    Raw(RawBytes),
    Search,
    Done,
}

/// Collects how a body begins.
#[derive(Debug)]
struct Excerpt {
    exchange: u32,
    bytes: Vec<u8>,
}

impl Excerpt {
    /// Takes more of the body; whether there is enough now.
    fn feed(&mut self, content: &[u8]) {
        let room = BODY_EXCERPT.saturating_sub(self.bytes.len());
        self.bytes
            .extend_from_slice(content.get(..room).unwrap_or(content));
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= BODY_EXCERPT
    }

    fn report(self, out: &mut Vec<HttpEvent>) {
        if !self.bytes.is_empty() {
            out.push(HttpEvent::Body {
                exchange: self.exchange,
                excerpt: self.bytes.into_boxed_slice(),
            });
        }
    }
}

impl Answers {
    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        match &self.phase {
            Phase::Head(head) => head.held(),
            Phase::Body {
                excerpt: Some(excerpt),
                ..
            } => excerpt.bytes.capacity(),
            _ => 0,
        }
    }

    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Head(Gather::default()),
            orphan: None,
            seen: false,
            lost: false,
        }
    }

    pub(super) fn searching() -> Self {
        Self {
            phase: Phase::Search,
            ..Self::new()
        }
    }

    /// Whether an answer may have passed unread and no new one was found since.
    pub(super) fn lost(&self) -> bool {
        self.lost && matches!(self.phase, Phase::Search)
    }

    /// Whether a search ends with this segment: an answer begins it.
    pub(super) fn finds(&self, segment: &[u8]) -> bool {
        matches!(self.phase, Phase::Search) && begins_answer(segment)
    }

    /// Whether any byte was seen.
    pub(super) const fn seen(&self) -> bool {
        self.seen
    }

    /// Takes the bytes of a chunk from `from` on; says how far it came. It stops short behind an answer that decides
    /// what the client's bytes are.
    pub(super) fn bytes(
        &mut self,
        shared: &mut Shared,
        chunk: &Chunk<'_>,
        from: usize,
        out: &mut Vec<HttpEvent>,
    ) -> usize {
        self.seen = true;
        let mut rest = chunk.data.get(from..).unwrap_or_default();
        while !rest.is_empty() {
            match &mut self.phase {
                Phase::Head(gather) => match gather.feed(Kind::Response, rest, chunk.frame) {
                    Gathered::More => break,
                    Gathered::Head(raw, span, used) => {
                        rest = rest.get(used..).unwrap_or_default();
                        match parse::response(raw, span) {
                            Ok(head) => self.answer(head, shared, out),
                            Err(raw) => {
                                self.raw(RawBytes::new(raw.into_vec(), span.first), out);
                            }
                        }
                        if shared.switched || shared.is_refused() {
                            return chunk.data.len() - rest.len();
                        }
                    }
                    Gathered::NotHttp(before, first) => {
                        self.raw(RawBytes::new(before, first), out);
                    }
                    Gathered::TooLarge(bytes, span) => {
                        self.partial(bytes, span, PartialWhy::TooLarge, shared, out);
                        self.search();
                        break;
                    }
                },
                Phase::Body {
                    body,
                    excerpt,
                    doubtful,
                } => {
                    let is_start = rest.len() == chunk.data.len();
                    if *doubtful && is_head_instead(body, is_start, rest) {
                        self.finish_body(out);
                        continue;
                    }
                    // Only an open end stays doubtful behind the first byte of the body.
                    *doubtful &= *body == Body::UntilClose;
                    let progress = body.feed(rest, &mut |content| {
                        if let Some(excerpt) = excerpt {
                            excerpt.feed(content);
                        }
                    });
                    if excerpt.as_ref().is_some_and(Excerpt::is_full)
                        && let Some(excerpt) = excerpt.take()
                    {
                        excerpt.report(out);
                    }
                    match progress {
                        Progress::More => break,
                        Progress::End(used) => {
                            self.finish_body(out);
                            rest = rest.get(used..).unwrap_or_default();
                        }
                        Progress::Broken => {
                            self.finish_body(out);
                            self.search();
                            break;
                        }
                    }
                }
                Phase::Raw(raw) => {
                    if raw.feed(rest) {
                        self.finish_raw(out);
                    }
                    break;
                }
                // Sound only where a segment begins: a body may hold the text of an answer anywhere.
                Phase::Search => {
                    self.lost = true;
                    if rest.len() < chunk.data.len() || !begins_answer(rest) {
                        break;
                    }
                    forget_unanswered(shared, chunk.frame);
                    self.phase = Phase::Head(Gather::default());
                    self.lost = false;
                }
                Phase::Done => break,
            }
        }
        chunk.data.len()
    }

    pub(super) fn gap(&mut self, shared: &mut Shared, gap: &Gap, out: &mut Vec<HttpEvent>) {
        match &mut self.phase {
            Phase::Head(gather) => {
                let begun = gather.take();
                self.search();
                if let Some((bytes, span)) = begun {
                    let switching = is_switching(&bytes);
                    let exchange =
                        self.partial(bytes, span, PartialWhy::Gap(gap.cause), shared, out);
                    let request = shared.answered_request(span.first);
                    let websocket = request.is_none_or(|request| request.websocket);
                    if switching && websocket {
                        // The rest of this head is in the hole, and so is the place where the new protocol begins.
                        shared.answer(span.first);
                        shared.switch(exchange, true, false, out);
                    }
                }
            }
            Phase::Body { body, excerpt, .. } => {
                if let Some(excerpt) = excerpt.take() {
                    excerpt.report(out);
                }
                match body.skip(gap.len) {
                    Some(false) => {}
                    Some(true) => self.phase = Phase::Head(Gather::default()),
                    None => self.search(),
                }
            }
            Phase::Raw(_) => self.finish_raw(out),
            Phase::Search => self.lost = true,
            Phase::Done => {}
        }
    }

    pub(super) fn ended(
        &mut self,
        shared: &mut Shared,
        _frame: FrameRef,
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
                    self.partial(bytes, span, why, shared, out);
                }
                self.phase = Phase::Done;
            }
            Phase::Body { .. } => {
                self.finish_body(out);
                self.phase = Phase::Done;
            }
            Phase::Raw(_) => self.finish_raw(out),
            // Kept: bytes passed unread, which matters to what is held.
            Phase::Search | Phase::Done => {}
        }
    }

    fn answer(&mut self, head: ResponseHead, shared: &mut Shared, out: &mut Vec<HttpEvent>) {
        let at = head.span.first;
        let request = shared.answered_request(at);
        if (100..200).contains(&head.status) && head.status != 101 {
            let exchange = match (request, self.orphan) {
                (Some(request), _) => request.exchange,
                (None, Some(orphan)) => orphan,
                (None, None) => *self.orphan.insert(shared.answer(at)),
            };
            out.push(HttpEvent::Interim { exchange, head });
            return;
        }
        let exchange = match (request, self.orphan.take()) {
            (None, Some(orphan)) => orphan,
            _ => shared.answer(at),
        };
        if head.status == 101 {
            let websocket = is_websocket(&head, request);
            out.push(HttpEvent::Response { exchange, head });
            shared.switch(exchange, websocket, true, out);
            return;
        }
        let method = request.and_then(|request| request.method);
        let success = (200..300).contains(&head.status);
        if method == Some(Method::Connect) && success {
            out.push(HttpEvent::Response { exchange, head });
            shared.switch(exchange, false, true, out);
            return;
        }
        // RFC 9112 6.3 rules 1, 2 and 8.
        let body = if method == Some(Method::Head) || matches!(head.status, 204 | 304) {
            None
        } else {
            match framing(&head.fields) {
                Framing::Absent => None,
                Framing::Present(body) => Some(body),
                Framing::Open | Framing::Invalid => Some(Body::UntilClose),
            }
        };
        let wanted = request.is_none_or(|request| request.websocket || request.method.is_none());
        if let Some(body) = body {
            let encoded = head
                .fields
                .list("content-encoding")
                .any(|coding| !coding.eq_ignore_ascii_case("identity"));
            self.phase = Phase::Body {
                body,
                excerpt: (wanted && !encoded).then(|| Excerpt {
                    exchange,
                    bytes: Vec::new(),
                }),
                doubtful: method.is_none(),
            };
        }
        out.push(HttpEvent::Response { exchange, head });
    }

    /// Reports a head that broke off. Its request stays the next to be answered: an interim answer may be all that
    /// was lost.
    fn partial(
        &mut self,
        bytes: Vec<u8>,
        span: Span,
        why: PartialWhy,
        shared: &mut Shared,
        out: &mut Vec<HttpEvent>,
    ) -> u32 {
        let exchange = match (shared.answered_request(span.first), self.orphan) {
            (Some(request), _) => request.exchange,
            (None, Some(orphan)) => orphan,
            (None, None) => *self.orphan.insert(shared.answer(span.first)),
        };
        out.push(HttpEvent::PartialHead {
            direction: Direction::ToClient,
            exchange,
            first: span.first,
            last: span.last,
            bytes: bytes.into_boxed_slice(),
            why,
        });
        exchange
    }

    fn search(&mut self) {
        self.phase = Phase::Search;
        self.lost = true;
    }

    fn finish_body(&mut self, out: &mut Vec<HttpEvent>) {
        let before = std::mem::replace(&mut self.phase, Phase::Head(Gather::default()));
        if let Phase::Body {
            excerpt: Some(excerpt),
            ..
        } = before
        {
            excerpt.report(out);
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
            out.push(raw.event(Direction::ToClient));
        }
    }
}

/// Whether a segment plausibly begins with an answer.
fn begins_answer(segment: &[u8]) -> bool {
    segment.starts_with(b"HTTP/1.") && status_line(segment) != Verdict::No
}

/// Whether the body of an answer to an unknown request is none, since the next head stands in its place.
fn is_head_instead(body: &Body, is_start: bool, rest: &[u8]) -> bool {
    (is_start || *body != Body::UntilClose) && begins_answer(rest)
}

/// Behind a hole a client that does not pipeline waits for the answer to its last request; those before it were
/// answered in the hole.
fn forget_unanswered(shared: &mut Shared, answer: FrameRef) {
    let asked = |waiting: &&Waiting| waiting.may_get(answer);
    let answered = shared.waiting.iter().take_while(asked).count();
    shared.waiting.drain(..answered.saturating_sub(1));
}

/// Whether the beginning of a head says 101.
fn is_switching(head: &[u8]) -> bool {
    head.get(8..13)
        .is_some_and(|status| status.starts_with(b" 101"))
}

/// Whether a 101 switches to WebSocket: what it says itself first, then what was asked for.
fn is_websocket(head: &ResponseHead, request: Option<Waiting>) -> bool {
    if head.fields.has_token("upgrade", "websocket")
        || head.fields.count("sec-websocket-accept") > 0
    {
        return true;
    }
    if head.fields.has_token("upgrade", "h2c") {
        return false;
    }
    match request {
        Some(request) if request.method.is_some() => request.websocket,
        // Of the request nothing is known: WebSocket, unless the answer names something else.
        _ => head.fields.list("upgrade").next().is_none(),
    }
}
