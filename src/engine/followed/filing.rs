//! Files what the HTTP stage says as exchanges: attempts at a handshake as a whole, ordinary requests as a few facts.
//!
//! An answer finds its request by the exchange's number, never by its place; a partial head is an attempt only if it, or its
//! answer, shows that it is one.

use super::{Followed, Scratch};
use crate::capture::FrameRef;
use crate::hop::{Exchange, ORDINARY_MAX, ORDINARY_TARGET_MAX, OrdinaryExchange, PartialHead};
use crate::http::{self, HttpEvent, RequestHead, ResponseHead};
use crate::tcp::Direction;

/// Excerpts of foreign bytes kept per connection: the first each way, and a repetition to tell a habit.
const NOT_HTTP_MAX: usize = 4;

impl Followed {
    /// Files what the HTTP stage said; returns the exchange that switched protocols, and whether to WebSocket.
    pub(super) fn take_events(&mut self, scratch: &mut Scratch) -> Option<(u32, bool)> {
        if scratch.events.is_empty() {
            return None;
        }
        let mut switched = None;
        for event in scratch.events.drain(..) {
            match event {
                HttpEvent::Request { exchange, head } => {
                    self.exchange_count = self.exchange_count.max(exchange.saturating_add(1));
                    if self.request(exchange, head) {
                        scratch.attempts.push(exchange);
                    }
                }
                HttpEvent::Interim { exchange, head } => {
                    if let Some(attempt) = self.attempt(exchange) {
                        attempt.interim.push(head);
                    }
                }
                HttpEvent::Response { exchange, head } => {
                    scratch.decided = true;
                    scratch.answers.push((exchange, head.span.first));
                    self.response(exchange, head);
                }
                HttpEvent::Body { exchange, excerpt } => {
                    if let Some(attempt) = self.attempt(exchange) {
                        attempt.body = Some(excerpt);
                    }
                }
                HttpEvent::NotHttp {
                    direction,
                    frame,
                    excerpt,
                } => self.not_http(direction, frame, excerpt),
                HttpEvent::PartialHead {
                    direction,
                    exchange,
                    first,
                    last,
                    bytes,
                    why,
                } => {
                    self.partial(
                        direction,
                        exchange,
                        PartialHead {
                            first,
                            last,
                            bytes,
                            why,
                        },
                    );
                }
                HttpEvent::Switched {
                    exchange,
                    websocket,
                } => switched = Some((exchange, websocket)),
            }
        }
        switched
    }

    /// Files an exchange. Nearly all connections carry one attempt: room for one.
    pub(super) fn file(&mut self, exchange: Exchange) {
        if self.exchanges.is_empty() {
            self.exchanges.reserve_exact(1);
        }
        self.exchanges.push(exchange);
    }

    pub(super) fn attempt(&mut self, exchange: u32) -> Option<&mut Exchange> {
        self.exchanges
            .iter_mut()
            .rev()
            .find(|attempt| attempt.index == exchange)
    }

    /// Files a request; whether it may begin a handshake.
    pub(super) fn request(&mut self, index: u32, head: RequestHead) -> bool {
        if !head.is_handshake_attempt() {
            if self.ordinary.len() >= ORDINARY_MAX {
                self.ordinary.remove(0);
            }
            self.ordinary.push(ordinary(index, &head));
            return false;
        }
        self.file(Exchange {
            index,
            request: Some(head),
            ..Exchange::default()
        });
        true
    }

    pub(super) fn response(&mut self, index: u32, head: ResponseHead) {
        if let Some(attempt) = self.attempt(index) {
            attempt.response = Some(head);
        } else if let Some(ordinary) = self
            .ordinary
            .iter_mut()
            .rev()
            .find(|ordinary| ordinary.index == index)
        {
            ordinary.response = Some((head.span.first, head.status));
        } else if head.status == 101 || head.fields.first("sec-websocket-accept").is_some() {
            // Only the answer is in the capture, or its request is there in part.
            let partial_request = self.take_partial(index);
            self.file(Exchange {
                index,
                partial_request,
                response: Some(head),
                ..Exchange::default()
            });
        }
    }

    pub(super) fn not_http(&mut self, direction: Direction, frame: FrameRef, excerpt: Box<[u8]>) {
        if direction == Direction::ToClient
            && let Some(waiting) = self
                .exchanges
                .iter_mut()
                .find(|attempt| attempt.response.is_none())
        {
            waiting
                .not_http
                .get_or_insert_with(|| (frame, excerpt.clone()));
        }
        if self.not_http.len() < NOT_HTTP_MAX {
            self.not_http.push((direction, frame, excerpt));
        }
    }

    pub(super) fn partial(&mut self, direction: Direction, index: u32, partial: PartialHead) {
        if partial.why == http::PartialWhy::TooLarge {
            self.oversized_head
                .get_or_insert((direction, partial.first));
        }
        match direction {
            Direction::ToServer if names_websocket(&partial.bytes) => {
                self.file(Exchange {
                    index,
                    partial_request: Some(Box::new(partial)),
                    ..Exchange::default()
                });
            }
            Direction::ToServer => self.partials.push((index, partial)),
            Direction::ToClient => {
                if self.attempt(index).is_none() && names_websocket(&partial.bytes) {
                    let partial_request = self.take_partial(index);
                    self.file(Exchange {
                        index,
                        partial_request,
                        ..Exchange::default()
                    });
                }
                if let Some(attempt) = self.attempt(index) {
                    attempt.partial_response = Some(Box::new(partial));
                }
            }
        }
    }

    pub(super) fn take_partial(&mut self, index: u32) -> Option<Box<PartialHead>> {
        let place = self
            .partials
            .iter()
            .position(|&(exchange, _)| exchange == index)?;
        Some(Box::new(self.partials.swap_remove(place).1))
    }
}

/// Whether part of a head shows that it is about WebSocket.
fn names_websocket(bytes: &[u8]) -> bool {
    let lower = bytes.to_ascii_lowercase();
    [
        &b"sec-websocket-"[..],
        b"upgrade: websocket",
        b"http/1.1 101",
        b"http/1.0 101",
    ]
    .iter()
    .any(|mark| memchr::memmem::find(&lower, mark).is_some())
}

fn ordinary(index: u32, head: &RequestHead) -> OrdinaryExchange {
    let target = head
        .target()
        .get(..head.target().floor_char_boundary(ORDINARY_TARGET_MAX))
        .unwrap_or_default();
    let field = |name| {
        head.fields
            .combined(name)
            .map(|value| value.into_owned().into_boxed_str())
    };
    OrdinaryExchange {
        index,
        request: head.span.first,
        method: head.method().into(),
        target: target.into(),
        minor_version: head.minor_version,
        connection: field("connection"),
        upgrade: field("upgrade"),
        response: None,
    }
}
