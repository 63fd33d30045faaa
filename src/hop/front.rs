//! Whether a TLS connection that nobody opens is the hop in front of a handshake: by times and lengths.
//!
//! ```text
//!   client ===TLS===> proxy ---clear---> backend
//!          request record
//!                          connect, request       a moment later
//!                          answer
//!          answer record                          a moment later; no record to the client between request and answer
//!          record of n bytes
//!                          n bytes                a moment later; and so on, both ways
//! ```
//!
//! Of a session that was up when the capture began there is the last part alone, on both sides.
//!
//! Lengths are no identity: the times must fit as well, all the way, and a join is never called certain unless the
//! backend was told the very port of the client.

mod late;
mod relay;

pub(super) use late::{is_late, was_up};
use relay::{Compared, Relay, carried, marked};

use super::handshake::Confidence;
use super::node::Node;
use super::record::{Record, SharedRecord};
use crate::capture::{FrameRef, Timestamp};
use crate::tcp::{Direction, Side};
use crate::tls::{Size, Sizes, TlsFacts};

/// A proxy passes on what comes within this time, waiting for a busy worker included.
pub(super) const LAG_NANOS: i64 = 250_000_000;

/// The same where several fronts fit, or where times and lengths are all that tells: what a proxy does that has nothing else
/// to do.
pub(super) const PROMPT_NANOS: i64 = 5_000_000;

/// Lengths that must agree for more than a guess.
const FEW: usize = 2;

/// Lengths that must agree where nothing else tells that the hop is one behind a proxy, or that of several fronts the one
/// that fits promptly is the one.
const SOME: usize = 4;

/// Lengths that must agree where the clocks do not tell, and how many different ones they must be.
const MANY: usize = 6;
const DIFFERENT: usize = 3;

/// By how many bytes a proxy changes a head, as a rule: fields that it adds, drops and rewrites.
const REWRITTEN: u64 = 1024;

/// The shortest opening request (RFC 6455 4.1) and the shortest 101 have more bytes.
const SHORTEST_HEAD: u64 = 100;

/// An alert has two bytes (RFC 8446 6).
const ALERT: u16 = 2;

/// What a closed front was joined by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JoinedBy {
    /// Lengths of records and of what was relayed agree, on two clocks.
    Records,
    /// The same, and the times fit.
    RecordsAndTime,
    /// The times fit, and lengths of request and answer are plausible.
    Time,
}

/// The TLS connection in front of a handshake's first hop, of which nobody has the keys.
#[derive(Debug, Clone)]
pub struct Front {
    /// The connection.
    pub record: SharedRecord,
    /// What it was joined by.
    pub by: JoinedBy,
    /// How sure that is.
    pub confidence: Confidence,
    /// The record with the request; none where the session was up when the capture began.
    pub request: Option<FrameRef>,
    /// The record with the answer, or with its beginning.
    pub answer: Option<FrameRef>,
    /// How many lengths of relayed data agree.
    pub agreed: usize,
    /// Nanoseconds to add to its times to compare them with those of the first hop.
    pub offset_nanos: i64,
}

impl Front {
    /// When the client left it: by FIN or RST, or by a last record that went nowhere (close_notify), upon which the proxy
    /// may close first. `relayed`: the last bytes that the proxy passed on for the client; `end`: when the proxy ended the
    /// hop behind. On the clock of that hop.
    pub fn left(&self, relayed: Option<FrameRef>, end: FrameRef) -> Option<FrameRef> {
        let connection = &self.record.connection;
        let at = |frame: FrameRef| frame.at.shifted(self.offset_nanos);
        let ended = connection.ended.filter(|ending| ending.by == Side::Client);
        let ended = ended.map(|ending| ending.frame);
        let answered = self.answer.map(at);
        let left = connection.ended.filter(|ending| ending.by == Side::Server);
        let said = connection.to_server.last_data.filter(|said| {
            // A proxy that waits for the backend looks at what its client says only once it has passed the answer on.
            let heard = answered.map_or(at(*said), |answered| answered.max(at(*said)));
            let before = end.at.nanos_since(heard);
            let unheard = relayed.is_none_or(|relayed| at(*said) > relayed.at);
            let behind = self.request.is_none_or(|request| *said > request);
            // What the client says upon the proxy's end answers it (close_notify, RFC 8446 6.1).
            let first = left.is_none_or(|ending| *said < ending.frame);
            unheard && behind && first && (0..=PROMPT_NANOS).contains(&before)
        });
        ended
            .filter(|frame| at(*frame) <= end.at)
            .or(said)
            .map(|frame| frame.with_time(at(frame)))
    }
}

/// How well a front fits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    /// The record with the request, or the first one of a session without.
    pub(super) first: FrameRef,
    /// The session was up when the capture began.
    pub(super) late: bool,
    pub(super) answer: Option<FrameRef>,
    pub(super) agreed: usize,
    pub(super) by: JoinedBy,
    pub(super) confidence: Confidence,
    pub(super) offset_nanos: i64,
    /// The hop's request names the front's client.
    pub(super) is_named: bool,
}

/// A hop that may have a front, as it is compared.
pub(super) struct Behind<'a> {
    pub(super) node: &'a Node,
    /// When the proxy began with it: connects and subrequests come before its request.
    pub(super) from: Timestamp,
    /// It is known to be one behind a proxy.
    pub(super) proxied: bool,
}

/// Whether a record may carry a head of so many bytes, as a proxy rewrites it.
fn may_carry(facts: &TlsFacts, size: &Size, head: usize) -> bool {
    facts.carried_by(size.len).is_some_and(|range| {
        let most = u64::from(*range.end());
        most >= SHORTEST_HEAD && most.abs_diff(head as u64) <= REWRITTEN
    })
}

/// Whether a record may be one that says that no more will come: only TLS 1.3 hides what it is (RFC 8446 5.2).
fn may_be_alert(facts: &TlsFacts, size: &Size) -> bool {
    facts.version >= Some(0x0304)
        && facts
            .carried_by(size.len)
            .is_some_and(|range| range.contains(&ALERT))
}

/// Whether nobody opened a TLS connection that came far enough to carry a request.
pub(super) fn is_candidate(record: &Record) -> bool {
    let sizes = record.tls.as_deref().and_then(|tls| tls.sizes.as_deref());
    record.exchanges.is_empty()
        && record.ordinary.is_empty()
        && sizes.is_some_and(|sizes| !sizes.of(Direction::ToServer).is_empty())
}

impl Behind<'_> {
    /// How well a front fits whose times are of the same clock.
    pub(super) fn fit(&self, front: &Record, lag: i64) -> Option<Fit> {
        if is_late(self.node.exchange()?, &self.node.record) {
            return self.fit_late(front, lag);
        }
        let (facts, sizes) = self.comparable(front)?;
        let node = self.node;
        let exchange = node.exchange()?;
        let begin = node.begin?.at;
        let known = sizes.is_cut().then(|| newest(sizes)).flatten();
        if known.is_some_and(|known| known < begin) || front.connection.last.at < begin {
            return None;
        }
        let requests = sizes.of(Direction::ToServer);
        let place = requests.iter().rposition(|one| one.frame.at <= begin)?;
        let request = requests.get(place)?;
        let asked = exchange.request.as_ref()?.fields.raw().len();
        if request.frame.at < self.from.shifted(-lag) || !may_carry(facts, request, asked) {
            return None;
        }
        let replies = sizes.of(Direction::ToClient);
        let first = replies.iter().position(|one| one.frame.at >= begin);
        let reply = first.and_then(|first| replies.get(first));
        let alert = reply.is_some_and(|reply| {
            first.map(|first| first + 1) == Some(replies.len()) && may_be_alert(facts, reply)
        });
        let reply = reply.filter(|_| !alert);
        self.answers(front, facts, reply, lag, known)?;
        // Who waits for an answer says nothing more, unless that it leaves.
        let later = requests.get(place + 1..).unwrap_or_default();
        if let Some((next, reply)) = later.first().zip(reply)
            && next.frame.at < reply.frame.at
            && !may_be_alert(facts, next)
        {
            return None;
        }
        let mut agreed = 0;
        if let Some((relayed, first)) = exchange.relayed.as_deref().zip(first)
            && node.status == Some(101)
        {
            let replies = replies.get(first + 1..).unwrap_or_default();
            let back_known = relayed.is_cut().then(|| newest_mark(relayed)).flatten();
            let inward = Relay {
                into: (carried(later, facts, sizes.is_cut())?, known),
                out: (marked(relayed.of(Direction::ToServer)), back_known),
            };
            let outward = Relay {
                into: (marked(relayed.of(Direction::ToClient)), back_known),
                out: (carried(replies, facts, sizes.is_cut())?, known),
            };
            let ends = [&node.record.connection, &front.connection];
            let ends = ends.iter().filter_map(|one| Some(one.ended?.frame.at));
            let end = ends.min();
            let (inward, outward) = (inward.compare(lag, end)?, outward.compare(lag, end)?);
            agreed = inward.agreed + outward.agreed;
            if agreed * 2 < inward.of + outward.of {
                return None;
            }
        }
        self.judged(
            front,
            Fit {
                first: request.frame,
                late: false,
                answer: reply.map(|reply| reply.frame),
                agreed,
                by: JoinedBy::Time,
                confidence: Confidence::Guess,
                offset_nanos: 0,
                is_named: false,
            },
        )
    }

    /// Whether the front's next record to the client may be this hop's answer, passed on.
    fn answers(
        &self,
        front: &Record,
        facts: &TlsFacts,
        reply: Option<&Size>,
        lag: i64,
        known: Option<Timestamp>,
    ) -> Option<()> {
        let ended = |by: Timestamp| {
            let ended = front.connection.ended;
            ended.is_some_and(|ending| ending.frame.at <= by)
        };
        let over = self.node.record.connection.ended.map(|end| end.frame.at);
        let fits = match (self.node.answer, reply) {
            (Some(answer), Some(reply)) => {
                let head = self.node.exchange()?.response.as_ref();
                let last = head.map_or(answer, |head| head.span.last);
                let within = answer.at <= reply.frame.at
                    && (head.is_none() || reply.frame.at <= last.at.shifted(lag));
                let switched = head.filter(|head| head.status == 101);
                within
                    && switched.is_none_or(|head| may_carry(facts, reply, head.fields.raw().len()))
            }
            // The client left before it came, and said nothing more.
            (Some(answer), None) => {
                let relayed = self.node.first_data.0.is_some();
                known.is_none() && !relayed && ended(answer.at.shifted(lag))
            }
            // The proxy made one of its own.
            (None, Some(reply)) => over.is_some_and(|over| over <= reply.frame.at),
            (None, None) => known.is_none() && (over.is_none() || ended(over?.shifted(lag))),
        };
        fits.then_some(())
    }

    /// How well a front fits that was seen by another clock: lengths alone must tell.
    pub(super) fn fit_by_lengths(&self, front: &Record) -> Option<Fit> {
        let (facts, sizes) = self.comparable(front)?;
        let exchange = self.node.exchange()?;
        let (asked, answered) = (exchange.request.as_ref()?, exchange.response.as_ref()?);
        let relayed = exchange.relayed.as_deref()?;
        if answered.status != 101 {
            return None;
        }
        let places = |direction: Direction, head: usize| {
            let sizes = sizes.of(direction).iter().enumerate();
            sizes.filter(move |(_, size)| may_carry(facts, size, head))
        };
        let cut = |is_cut: bool| is_cut.then(Timestamp::default);
        let mut found: Option<Fit> = None;
        for (place, request) in places(Direction::ToServer, asked.fields.raw().len()) {
            for (first, reply) in places(Direction::ToClient, answered.fields.raw().len()) {
                if reply.frame < request.frame {
                    continue;
                }
                let later = sizes.of(Direction::ToServer).get(place + 1..)?;
                let replies = sizes.of(Direction::ToClient).get(first + 1..)?;
                let inward = Relay {
                    into: (carried(later, facts, sizes.is_cut())?, cut(sizes.is_cut())),
                    out: (
                        marked(relayed.of(Direction::ToServer)),
                        cut(relayed.is_cut()),
                    ),
                };
                let outward = Relay {
                    into: (
                        marked(relayed.of(Direction::ToClient)),
                        cut(relayed.is_cut()),
                    ),
                    out: (
                        carried(replies, facts, sizes.is_cut())?,
                        cut(sizes.is_cut()),
                    ),
                };
                let (inward, outward) = (inward.align(), outward.align());
                let Some(offset_nanos) = self.offset(request, reply, &inward, &outward) else {
                    continue;
                };
                let agreed = inward.agreed + outward.agreed;
                let mut lengths = [inward.lengths, outward.lengths].concat();
                lengths.sort_unstable();
                lengths.dedup();
                let both = inward.agreed > 0 && outward.agreed > 0;
                let most = agreed * 4 >= (inward.of + outward.of) * 3;
                if !both || !most || agreed < MANY || lengths.len() < DIFFERENT {
                    continue;
                }
                if found.is_some() {
                    return None;
                }
                found = Some(Fit {
                    first: request.frame,
                    late: false,
                    answer: Some(reply.frame),
                    agreed,
                    by: JoinedBy::Records,
                    confidence: Confidence::Likely,
                    offset_nanos,
                    is_named: self.names(front),
                });
            }
        }
        found
    }

    /// What to add to the front's times, if one number fits all: what goes in comes out a moment later.
    fn offset(
        &self,
        request: &Size,
        reply: &Size,
        inward: &Compared,
        outward: &Compared,
    ) -> Option<i64> {
        let begin = self.node.begin?.at.nanos_since(request.frame.at);
        let answer = reply.frame.at.nanos_since(self.node.answer?.at);
        let ins = inward.lags.iter().copied().chain([begin]);
        let outs = outward.lags.iter().map(|lag| -lag).chain([-answer]);
        let (least, most) = (ins.clone().min()?, ins.max()?);
        let (early, late) = (outs.clone().min()?, outs.max()?);
        let fits = late <= least
            && most.saturating_sub(least) <= LAG_NANOS
            && late.saturating_sub(early) <= LAG_NANOS
            && least.saturating_sub(late) <= LAG_NANOS;
        fits.then(|| late.midpoint(least))
    }

    /// The records of a front, unless something else tells that it is none of this hop's.
    fn comparable<'f>(&self, front: &'f Record) -> Option<(&'f TlsFacts, &'f Sizes)> {
        let (outer, inner) = (&front.connection, &self.node.record.connection);
        // The client itself, who speaks TLS elsewhere; what a proxy connects to is behind it.
        let own = outer.client.ip() == inner.client.ip() && outer.server.ip() != inner.client.ip();
        let facts = front.tls.as_deref()?;
        let sizes = facts.sizes.as_deref()?;
        (!own && outer.id != inner.id && outer.server != inner.server).then_some((facts, sizes))
    }

    fn names(&self, front: &Record) -> bool {
        let client = front.connection.client.ip();
        let named = &self.node.traits().named;
        named.iter().any(|named| named.ip == client)
    }

    /// How sure it is, if there is enough that speaks for it.
    fn judged(&self, front: &Record, fit: Fit) -> Option<Fit> {
        let (outer, inner) = (&front.connection, &self.node.record.connection);
        let is_named = self.names(front);
        let same_host = outer.server.ip() == inner.client.ip();
        let behind = is_named || same_host || self.proxied;
        let enough = if behind { FEW } else { SOME };
        let by_lengths = fit.agreed >= enough;
        if !by_lengths && !behind {
            return None;
        }
        let mut ports = self.node.traits().named.iter();
        let certain =
            ports.any(|one| one.ip == outer.client.ip() && one.port == Some(outer.client.port()));
        Some(Fit {
            by: if by_lengths {
                JoinedBy::RecordsAndTime
            } else {
                JoinedBy::Time
            },
            confidence: if certain {
                Confidence::Certain
            } else if by_lengths || is_named {
                Confidence::Likely
            } else {
                Confidence::Guess
            },
            is_named,
            ..fit
        })
    }
}

impl Fit {
    /// Whether it fits so well that other fronts that fit less promptly are out of the question. Without request and answer
    /// none does: many say the same in the same moment.
    pub(super) const fn is_long(&self) -> bool {
        self.agreed >= SOME && !self.late
    }
}

/// When the last record came that is known of.
fn newest(sizes: &Sizes) -> Option<Timestamp> {
    let directions = [Direction::ToServer, Direction::ToClient];
    let last = |direction| Some(sizes.of(direction).last()?.frame.at);
    directions.into_iter().filter_map(last).max()
}

fn newest_mark(relayed: &super::relayed::Relayed) -> Option<Timestamp> {
    let directions = [Direction::ToServer, Direction::ToClient];
    let last = |direction| Some(relayed.of(direction).last()?.frame.at);
    directions.into_iter().filter_map(last).max()
}
