//! A handshake as the rules read it: what is seen of it and what is not.
//!
//! ```text
//!   outer ── its child ── ... ── inner        the hops, outermost first
//!     │          └ attempts: whom a proxy tried to reach without sending the request
//!     ├─ outcome    how it came out, judged on the outer hop
//!     └─ names      what those in it are called: program and address
//! ```
//!
//! A question that two rules ask has its answer here, under the field's name for it; of one hop, request or connection alone
//! it is in `view`.

mod names;
mod outcome;

pub(super) use names::harmless;
pub(super) use outcome::Outcome;

use super::view::HopView;
use crate::capture::{FrameRef, Timestamp};
use crate::hop::{BackendSight, Confidence, ConnectAttempt, Handshake, Hop, Role};
use crate::http::{RequestHead, ResponseHead};

/// A hop and the one whose request it forwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link<'a> {
    pub(super) parent: &'a Hop,
    pub(super) child: &'a Hop,
}

/// A handshake, and what several rules want to know about it.
#[derive(Debug)]
pub(super) struct Story<'a> {
    pub(super) handshake: &'a Handshake,
    /// The outermost hop.
    pub(super) outer: &'a Hop,
    /// The hop that decided the outcome on the inside; the outermost one when it is alone.
    pub(super) inner: &'a Hop,
    pub(super) outcome: Outcome<'a>,
    /// What is wrong with the outermost hop's 101: which rule, and what was seen.
    pub(super) defects: Vec<(super::Code, String)>,
}

impl<'a> Story<'a> {
    /// `None` for an (impossible) handshake without hops.
    pub(super) fn new(handshake: &'a Handshake) -> Option<Self> {
        let outer = handshake.first()?;
        let inner = handshake.last()?;
        let mut story = Self {
            handshake,
            outer,
            inner,
            outcome: Outcome::Unknown,
            defects: super::answer_101::defects(outer),
        };
        story.outcome = story.judge();
        Some(story)
    }

    /// Whether only one hop of it is seen.
    pub(super) fn is_alone(&self) -> bool {
        self.handshake.hops.len() == 1
    }

    /// The time of a frame on the clock of the first hop's capture.
    pub(super) fn time(&self, frame: FrameRef) -> Timestamp {
        self.handshake.time(frame)
    }

    /// Whether the handshake came up.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.outcome, Outcome::Up)
    }

    /// The final answer that the client got, 101 included.
    pub(super) fn answer(&self) -> Option<&'a ResponseHead> {
        self.outer.exchange().response.as_ref()
    }

    /// The status that the client got.
    pub(super) fn status(&self) -> Option<u16> {
        self.outer.status()
    }

    /// The body excerpt of the answer that the client got.
    pub(super) fn body(&self) -> &'a [u8] {
        self.outer.exchange().body.as_deref().unwrap_or_default()
    }

    /// All pairs of hops of which one forwards the other's request.
    pub(super) fn links(&self) -> impl Iterator<Item = Link<'a>> {
        let hops = &self.handshake.hops;
        hops.iter().filter_map(|child| {
            let parent = self.parent(child)?;
            Some(Link { parent, child })
        })
    }

    /// What proxies were asked and what they asked for it, where both requests are whole.
    pub(super) fn forwarded(&self) -> impl Iterator<Item = (&'a RequestHead, &'a RequestHead)> {
        self.links().filter_map(|link| link.requests())
    }

    /// Not a byte of the request is in the capture, which began behind it.
    pub(super) fn began_late(&self) -> bool {
        self.outer.may_have_asked_before() && self.outer.exchange().partial_request.is_none()
    }

    /// The hops behind the outermost one.
    pub(super) fn inner_hops(&self) -> impl Iterator<Item = &'a Hop> {
        self.handshake.hops.iter().skip(1)
    }

    /// Whether the outermost hop seen is the one between a proxy and its backend.
    pub(super) fn backend_only(&self) -> bool {
        self.is_alone()
            && (self.outer.role == Role::ProxyBackend
                || (matches!(self.outer.role, Role::Unknown | Role::Direct)
                    && self.outer.has_proxy_marks()
                    && !self.outer.answered_by_nginx(None)))
    }

    /// Whether the outermost hop seen goes to the backend itself: no proxy answers on it.
    pub(super) fn leads_to_backend(&self) -> bool {
        self.outer.role == Role::Direct || self.backend_only()
    }

    /// Whether nothing is seen behind the outermost hop: no other one, and nobody whom a proxy tried to reach.
    pub(super) fn has_nothing_behind(&self) -> bool {
        self.is_alone() && self.handshake.attempts.is_empty()
    }

    /// Whether the outermost hop goes to what is no backend, as far as is known, and nothing is seen behind it: what its
    /// server did, it may have done by itself.
    pub(super) fn ends_at_front(&self) -> bool {
        self.has_nothing_behind() && !self.leads_to_backend()
    }

    /// Whether a proxy may have asked a backend where nobody sees it.
    pub(super) fn hides_backend(&self) -> bool {
        self.sight() == BackendSight::NotVisible && self.ends_at_front()
    }

    /// What is known of the backend's hop. In doubt it cannot be seen: an answer that an application wrote came from one.
    pub(super) fn sight(&self) -> BackendSight {
        let sight = self.handshake.backend;
        let hidden = sight == BackendSight::NotContacted
            && self.handshake.subrequests.is_empty()
            && self
                .answer()
                .is_some_and(|answer| super::answerer::is_of_application(self, answer));
        if hidden {
            BackendSight::NotVisible
        } else {
            sight
        }
    }

    /// Attempts of the proxy that carried no request.
    pub(super) fn attempts(&self) -> impl Iterator<Item = &'a ConnectAttempt> {
        self.handshake.attempts.iter()
    }

    /// Those of the proxy that is asked on this hop.
    pub(super) fn attempts_behind(&self, hop: &Hop) -> impl Iterator<Item = &'a ConnectAttempt> {
        self.attempts().filter(move |attempt| {
            let asked = self.tried_for(attempt);
            asked.is_some_and(|asked| std::ptr::eq(asked, hop))
        })
    }

    /// The hop whose request this one forwards.
    pub(super) fn parent(&self, child: &Hop) -> Option<&'a Hop> {
        self.handshake.hops.get(child.parent?)
    }

    /// The hop for whose request the proxy behind it made an attempt.
    pub(super) fn tried_for(&self, attempt: &ConnectAttempt) -> Option<&'a Hop> {
        self.handshake.hops.get(attempt.parent)
    }
}

impl<'a> Link<'a> {
    /// Both requests, where both heads are complete: nothing is said about what may sit in a hole.
    pub(super) fn requests(&self) -> Option<(&'a RequestHead, &'a RequestHead)> {
        Some((
            self.parent.exchange().request.as_ref()?,
            self.child.exchange().request.as_ref()?,
        ))
    }

    /// Both answers.
    pub(super) fn responses(&self) -> Option<(&'a ResponseHead, &'a ResponseHead)> {
        Some((
            self.parent.exchange().response.as_ref()?,
            self.child.exchange().response.as_ref()?,
        ))
    }

    /// How sure the pairing is: no claim about a change can be surer.
    pub(super) fn confidence(&self) -> Confidence {
        self.child
            .paired_by
            .map_or(Confidence::Certain, |(_, confidence)| confidence)
    }
}
