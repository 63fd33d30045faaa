//! All hops of one opening handshake, outermost first, and what changed between them.

use super::front::Front;
use super::record::{Exchange, SharedRecord};
use crate::capture::{FrameRef, Timestamp};
use crate::decode::Endpoint;
use crate::tcp::{EndingHow, Side};
use crate::websocket::{Accept, CloseFrame, SessionFacts, Silence};

/// What a hop connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The client (or what stands in front) and the first proxy.
    ClientProxy,
    /// Two proxies.
    ProxyProxy,
    /// The last proxy and the backend.
    ProxyBackend,
    /// The only hop, and nothing points to a proxy.
    Direct,
    /// The only hop seen, and the capture does not tell.
    Unknown,
}

/// How two hops were found to belong together, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PairedBy {
    /// Identical bytes after the 101.
    Bytes,
    /// The same Sec-WebSocket-Key, in time order.
    Key,
    /// The Sec-WebSocket-Accept of the other hop's key or answer.
    Accept,
    /// The same X-Request-ID.
    RequestId,
    /// The same traceparent trace-id.
    Traceparent,
    /// X-Forwarded-For, X-Real-IP or Forwarded names the other hop's client.
    ForwardedFor,
    /// Path, and nesting in time.
    PathAndTime,
}

/// How sure a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// One explanation among several.
    Guess,
    /// The best explanation by far.
    Likely,
    /// The bytes show it.
    Certain,
}

/// The check of Sec-WebSocket-Accept (RFC 6455 4.1 step 4 of the server's answer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AcceptCheck {
    /// As the key demands.
    Valid,
    /// Another value.
    Mismatch,
    /// No such field in a 101 whose head is complete.
    Missing,
    /// The answer is no 101.
    NotApplicable,
    /// The key or the answer is not in the capture.
    Unchecked,
}

/// What happened to a request field between two hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// There before, gone after.
    Dropped,
    /// Another value.
    Altered,
    /// Not there before.
    Added,
}

/// A change to a request between a hop and the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The field's usual spelling, or `HTTP version`, `method`, `target` for the request line.
    pub header: &'static str,
    /// What happened.
    pub kind: ChangeKind,
    /// The value before.
    pub before: Option<String>,
    /// The value after.
    pub after: Option<String>,
}

/// One exchange of a handshake, on one connection.
#[derive(Debug, Clone)]
pub struct Hop {
    /// The connection.
    pub record: SharedRecord,
    /// Which of `record.exchanges` (place in that vector, not the exchange's number).
    pub place: usize,
    /// What it connects.
    pub role: Role,
    /// How it was paired with the hop before it; `None` on the first.
    pub paired_by: Option<(PairedBy, Confidence)>,
    /// Whether its answer proves that the server understood.
    pub accept: AcceptCheck,
    /// The Accept that its key demands.
    pub accept_expected: Option<Accept>,
    /// Changes against the hop before it (for a retry: against the hop that both came from).
    pub changes: Vec<Change>,
    /// Place in `Handshake::hops` of the hop whose request this one forwards; `None` on the first.
    pub parent: Option<usize>,
    /// A later hop carried the same request to another (or the same) backend: this one was given up.
    pub retried: bool,
    /// The same exchange seen at other vantage points (before and after NAT, two hosts): their connections.
    pub copies: Vec<SharedRecord>,
}

impl Hop {
    /// The exchange.
    pub fn exchange(&self) -> &Exchange {
        static NONE: std::sync::LazyLock<Exchange> = std::sync::LazyLock::new(Exchange::default);
        self.record.exchanges.get(self.place).unwrap_or(&NONE)
    }

    /// Its first frame.
    pub(super) fn started(&self) -> FrameRef {
        let exchange = self.exchange();
        let partial = exchange.partial_request.as_ref();
        exchange
            .request
            .as_ref()
            .map(|head| head.span.first)
            .or(partial.map(|partial| partial.first))
            .or(exchange.ordinary.as_ref().map(|summary| summary.request))
            .or(exchange.response.as_ref().map(|head| head.span.first))
            .unwrap_or(self.record.connection.first)
    }

    /// What followed the 101 on this hop.
    pub fn session(&self) -> Option<&SessionFacts> {
        self.exchange().session.as_deref()
    }
}

/// A connection that the proxy tried to open for this handshake and that never carried an HTTP request:
/// refused, unanswered, unreachable, closed or stuck in TLS.
#[derive(Debug, Clone)]
pub struct ConnectAttempt {
    /// The connection.
    pub record: SharedRecord,
    /// How sure it is that it was made for this handshake.
    pub confidence: Confidence,
    /// Place in `Handshake::hops` of the hop whose request caused it.
    pub parent: usize,
}

/// Why the backend hop of a handshake is not among its hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackendSight {
    /// It is among them, or the connects that failed on the way to it are among the attempts.
    Seen,
    /// No connection from the proxy was seen for it, although this capture shows connections of this proxy to
    /// backends at other times: the proxy did not contact a backend.
    NotContacted,
    /// The capture shows no connection of this proxy to any backend at all: another host, namespace, unix socket, filter.
    NotVisible,
}

/// Who ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// The outermost client.
    Client,
    /// A proxy between the hops.
    Proxy,
    /// The innermost server.
    Backend,
}

/// The first FIN or RST of a hop's connection, as an event of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopEnding {
    /// Place in `Handshake::hops`.
    pub hop: usize,
    /// FIN or RST.
    pub how: EndingHow,
    /// Which side of that hop's connection sent it.
    pub by: Side,
    /// Where.
    pub frame: FrameRef,
}

/// What followed a 101, joined over all hops.
#[derive(Debug, Clone)]
pub struct Session {
    /// Place in `Handshake::hops` of the hop that saw most of it.
    pub hop: usize,
    /// When the client hop's 101 was seen.
    pub established: FrameRef,
    /// The first FIN or RST of each hop, in time order (corrected for clock offsets).
    pub endings: Vec<HopEnding>,
    /// Who ended it first.
    pub ended_by: Option<Party>,
    /// The ending that decided it.
    pub ended: Option<HopEnding>,
    /// The last data (any ws frame bytes) on any hop; what came too late, after a silence that the end cut, is left out.
    pub last_data: Option<FrameRef>,
    /// Silence on every hop before the first FIN or RST, nanoseconds.
    pub idle_before_end_nanos: Option<i64>,
    /// The longest silence that it lived through, on every hop that shows all of it.
    pub survived: Option<Silence>,
    /// Data was unacknowledged or being retransmitted on some hop when it ended.
    pub outstanding: bool,
    /// From the 101 to the end (or to the last frame seen), nanoseconds; `None` where no hop shows the 101.
    pub lasted_nanos: Option<i64>,
}

/// All that belongs to one opening handshake.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// Hops, outermost first; retries on another backend follow in time order. Never empty.
    pub hops: Vec<Hop>,
    /// The TLS connection in front of the first hop, of which nobody has the keys, where it is known which one that is.
    pub front: Option<Box<Front>>,
    /// Connections made for it that carried no request.
    pub attempts: Vec<ConnectAttempt>,
    /// Subrequests: those to an auth service (nginx `auth_request`: same key, no Upgrade, another target; before the real
    /// hop), and copies beside the real hop (nginx `mirror`).
    pub subrequests: Vec<Hop>,
    /// Whether the backend hop is there, and if not, what the capture says about why.
    pub backend: BackendSight,
    /// Other exchanges pair as well as the ones chosen (repeated sample keys in parallel, say).
    pub ambiguous: bool,
    /// Listeners that a proxy of it was connected to by what nobody can read, on hosts from which its hops or attempts were
    /// dialled: proxies further in, whose own requests are not seen.
    pub unread: Vec<Endpoint>,
    /// What followed the 101.
    pub session: Option<Session>,
    /// Nanoseconds to add to the times of captures to compare them with the first hop's, where they differ.
    pub clock_offsets: Vec<(crate::capture::CaptureId, i64)>,
    /// Nothing more will come: all connections closed, or the capture ended. False in a live preview.
    pub settled: bool,
}

impl Handshake {
    /// Hops of which nothing else is known.
    pub(super) const fn of(hops: Vec<Hop>, settled: bool) -> Self {
        Self {
            hops,
            front: None,
            attempts: Vec::new(),
            subrequests: Vec::new(),
            backend: BackendSight::NotVisible,
            ambiguous: false,
            unread: Vec::new(),
            session: None,
            clock_offsets: Vec::new(),
            settled,
        }
    }

    /// The outermost hop.
    pub fn first(&self) -> Option<&Hop> {
        self.hops.first()
    }

    /// The hops that a session ran over, with their places: those on which it was followed, and those of which the
    /// capture lacks the answer and which it must have run over as well. None if it was followed on no hop.
    pub fn tunnel(&self) -> impl Iterator<Item = (usize, &Hop)> {
        let upgraded = |hop: &Hop| {
            // A 101 that came too late, or that a proxy made another answer of, opened nothing.
            let outer = hop.parent.and_then(|place| self.hops.get(place));
            let answer = outer.and_then(|outer| outer.exchange().response.as_ref());
            answer.is_none_or(|answer| answer.status == 101)
        };
        let known = self
            .hops
            .iter()
            .any(|hop| hop.session().is_some() && upgraded(hop));
        self.hops.iter().enumerate().filter(move |(_, hop)| {
            let carries = hop.session().is_some() || (!hop.retried && hop.may_hide_session());
            known && carries && upgraded(hop)
        })
    }

    /// The subrequests that asked for permission: those that were over before any hop behind the same proxy began.
    pub fn permissions(&self) -> impl Iterator<Item = &Hop> {
        self.subrequests.iter().filter(|asked| {
            let response = asked.exchange().response.as_ref();
            let mut siblings = self
                .hops
                .iter()
                .skip(1)
                .filter(|hop| hop.parent == asked.parent);
            siblings.all(|hop| response.is_some_and(|head| head.span.first < hop.started()))
        })
    }

    /// The earliest Close frame that any hop shows.
    pub fn first_close(&self) -> Option<(&Hop, &CloseFrame)> {
        self.tunnel()
            .filter_map(|(_, hop)| Some((hop, hop.session()?)))
            .flat_map(|(hop, session)| session.closes.iter().map(move |close| (hop, close)))
            .min_by_key(|(_, close)| self.time(close.frame))
    }

    /// The Close frame that began the end: the earliest one, unless somebody had ended the session without any by then. Some
    /// servers answer a FIN with a Close frame, which nobody hears any more.
    pub fn closing(&self) -> Option<(&Hop, &CloseFrame)> {
        let (hop, first) = self.first_close()?;
        // What a hop lacks may be this frame, in time.
        let heard = self.tunnel().all(|(_, hop)| hop.hears(first.by));
        let end = self.session.as_ref().and_then(|session| session.ended);
        let Some(end) = end.filter(|_| heard) else {
            return Some((hop, first));
        };
        let by_then = self.tunnel().any(|(place, hop)| {
            let mut closes = hop.session().into_iter().flat_map(|facts| &facts.closes);
            closes.any(|close| {
                // What a side sent before its own FIN may have been captured behind it, as a retransmission.
                (place == end.hop && close.by == end.by)
                    || self.time(close.frame) <= self.time(end.frame)
            })
        });
        by_then.then_some((hop, first))
    }

    /// Who sent the first Close frame; `None` without any, or where the other side may have sent one before it that the
    /// capture lacks.
    pub fn closed_by(&self) -> Option<Side> {
        let (_, first) = self.first_close()?;
        let other = first.by.other();
        let sessions = || self.tunnel().filter_map(|(_, hop)| hop.session());
        let known = self.hears(other) || sessions().any(|facts| facts.close_by(other).is_some());
        known.then_some(first.by)
    }

    /// The time of a frame on the clock of the first hop's capture.
    pub fn time(&self, frame: FrameRef) -> Timestamp {
        let offset = self
            .clock_offsets
            .iter()
            .find(|(capture, _)| *capture == frame.capture())
            .map_or(0, |(_, nanos)| *nanos);
        frame.at.shifted(offset)
    }

    /// Whether a Close frame of `by` was answered by one of the other side; `None` where an answer may not be in the
    /// capture, or may come yet.
    pub fn close_answered(&self, by: Side) -> Option<bool> {
        let other = by.other();
        let answered = self
            .tunnel()
            .filter_map(|(_, hop)| hop.session())
            .any(|session| session.closes.iter().any(|close| close.by == other));
        let unanswered = || {
            self.tunnel().any(|(_, hop)| {
                let connection = &hop.record.connection;
                let theirs = connection.stream(other.sends());
                // A side that sent FIN or RST, or got a RST, says no more.
                let over = theirs.fin.or(theirs.rst).is_some()
                    || connection.stream(by.sends()).rst.is_some();
                over && hop.hears(other)
            })
        };
        answered
            .then_some(true)
            .or_else(|| unanswered().then_some(false))
    }

    /// The hop that decided the outcome on the inside: the last one that was not retried.
    pub fn last(&self) -> Option<&Hop> {
        self.hops
            .iter()
            .rev()
            .find(|hop| !hop.retried)
            .or(self.hops.last())
    }

    /// Its first frame.
    pub fn started(&self) -> Option<FrameRef> {
        self.hops
            .iter()
            .chain(&self.subrequests)
            .map(Hop::started)
            .min()
    }

    /// When it began, or the epoch for an (impossible) empty one.
    pub fn started_at(&self) -> Timestamp {
        self.started()
            .map_or(Timestamp::default(), |frame| frame.at)
    }
}
