//! The TLS connections of a run that nobody opens and that may be the hop in front of a handshake.
//!
//! ```text
//!   handshake whose first hop is in clear --> fronts that fit --> one alone?  --yes--> that fits no other hop as well?
//!                                                                   no: none                       no: none
//! ```
//!
//! Invariants: a front belongs to one handshake at most; one that might belong to several belongs to none of them; what is
//! kept is bounded, and what was dropped for that is not forgotten to have been there.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashSet, HashSetExt as _};

use super::book::{Clocks, OpenConnections};
use super::front::{Behind, Fit, Front, LAG_NANOS, PROMPT_NANOS, is_candidate, is_late, was_up};
use super::handshake::{BackendSight, Handshake, Role};
use super::known::Known;
use super::node::Node;
use super::record::{Record, SharedRecord};
use super::session;
use crate::capture::Timestamp;
use crate::tcp::{ConnectionId, Direction};
use crate::tls::Sizes;

/// Closed connections kept: those of some minutes of a busy proxy. About 1.5 KiB each.
const KEPT_MAX: usize = 16_384;

/// Open connections looked at for one handshake, the newest ones before it: a request comes a moment after its connection,
/// or after some others on it.
const NEAR_MAX: usize = 512;

/// Pairs compared where the clocks do not tell.
const PAIRS_MAX: usize = 1 << 20;

/// A session that was up when the capture began is held from its end on only: what may be in front of it is kept for so
/// long, until a connection that nobody closes any more is forgotten as well.
const LATE_NANOS: i64 = 60_000_000_000;

/// Fronts compared with one session that was up: each is compared in full, and those of a crowd say the same at the same time.
const LATE_NEAR_MAX: usize = 128;

/// Other hops looked at that a front may belong to.
pub(super) const RIVALS_MAX: usize = 64;

type Place = (Timestamp, ConnectionId);

/// Candidates for the hop in front.
#[derive(Debug, Default)]
pub(super) struct Fronts {
    open: BTreeSet<Place>,
    closed: BTreeMap<Place, SharedRecord>,
    /// Those that belong to a handshake, or may belong to several.
    spent: HashSet<ConnectionId>,
    /// The newest last frame of those that were dropped to make room.
    dropped: Option<Timestamp>,
}

/// An exchange that a front may belong to as well.
pub(super) type Rival = (SharedRecord, usize);

/// When what a front asked for began: from when on a proxy did something for it, and when its request went out. Without a
/// request, when the first of its bytes, which may have been on their way, and those behind them went out.
#[derive(Clone, Copy)]
struct Span {
    from: Timestamp,
    begin: Timestamp,
    /// There is no request: something came in a moment before either of the two.
    late: bool,
}

impl Span {
    fn of(handshake: &Handshake) -> Option<Self> {
        let exchange = handshake.first()?.exchange();
        let Some(request) = exchange.request.as_ref() else {
            let relayed = exchange.relayed.as_deref()?.of(Direction::ToServer);
            // The first of them may have gone in before the capture began.
            let (first, next) = (relayed.first()?, relayed.get(1));
            return Some(Self {
                from: first.frame.at,
                begin: next.unwrap_or(first).frame.at,
                late: true,
            });
        };
        // What was made for it, and connections that carry nothing before it.
        let hops = handshake.hops.iter().chain(&handshake.subrequests);
        let dialled = hops
            .filter(|hop| hop.exchange().index == 0)
            .map(|hop| &hop.record);
        let tried = handshake.attempts.iter().map(|one| &one.record);
        let syns = dialled.chain(tried).filter_map(|one| one.connection.syn);
        Some(Self {
            from: syns.fold(handshake.started_at(), |from, syn| from.min(syn.at)),
            begin: request.span.first.at,
            late: false,
        })
    }

    /// Whether a client sent anything then that may be the request.
    fn has(self, sizes: &Sizes) -> bool {
        let from = self.from.shifted(-LAG_NANOS);
        let mut records = sizes.of(Direction::ToServer).iter();
        let moment = self.begin.shifted(-LAG_NANOS);
        records.any(|size| {
            let at = size.frame.at;
            let is_near = !self.late || at <= self.from || at >= moment;
            from <= at && at <= self.begin && is_near
        })
    }
}

/// A front that fits.
struct Found {
    record: SharedRecord,
    fit: Fit,
}

fn place(record: &Record) -> Place {
    (record.connection.first.at, record.connection.id)
}

impl Fronts {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.closed.is_empty()
    }

    /// A session began that may be one.
    pub(super) fn opened(&mut self, first: Timestamp, id: ConnectionId) {
        self.open.insert((first, id));
    }

    /// A connection closed. `wanted`: a handshake that it may belong to is not told yet.
    pub(super) fn closed(&mut self, record: &Record, wanted: bool) {
        let place = place(record);
        self.open.remove(&place);
        let spent = self.spent.remove(&place.1);
        let wanted = wanted || was_up(record);
        if spent || !wanted || !is_candidate(record) {
            return;
        }
        if self.closed.len() >= KEPT_MAX
            && let Some((_, old)) = self.closed.pop_first()
        {
            self.dropped = self.dropped.max(Some(old.connection.last.at));
        }
        self.closed.insert(place, record.clone().into());
    }

    /// Drops what ended before every exchange that is still held, or before now.
    pub(super) fn forget_before(&mut self, oldest: Timestamp) {
        let least = oldest.shifted(-LAG_NANOS);
        if self.closed.is_empty() {
            return;
        }
        let late = least.shifted(-LATE_NANOS);
        self.closed.retain(|_, record| {
            let newest = record.connection.last.at;
            newest >= least || newest >= late && was_up(record)
        });
    }

    /// Joins handshakes with the fronts that are theirs beyond doubt. `rivals`: exchanges of others to which a
    /// front that fits so may belong; `None` where these are too many.
    pub(super) fn join(
        &mut self,
        handshakes: &mut [Handshake],
        known: &Known,
        (clocks, connections): (Clocks, &dyn OpenConnections),
        mut rivals: impl FnMut(&Fit) -> Option<Vec<Rival>>,
    ) {
        if self.is_empty() {
            return;
        }
        let roots: Vec<Option<Rival>> = handshakes.iter().map(root).collect();
        let mut budget = PAIRS_MAX;
        let mut joined = Vec::new();
        for (place, handshake) in handshakes.iter().enumerate() {
            let Some(Some((record, at))) = roots.get(place) else {
                continue;
            };
            let same = |front: &Record| is_same_clock(clocks, front, record);
            let near = Span::of(handshake)
                .and_then(|span| self.near(span, (same, connections), &mut budget));
            let Some(near) = near.filter(|near| !near.is_empty()) else {
                continue;
            };
            let Some(node) = Node::new(record, *at, None) else {
                continue;
            };
            let behind = behind(&node, handshake, known);
            let found: Vec<Found> = near
                .into_iter()
                .filter_map(|record| {
                    let fit = if same(&record) {
                        behind.fit(&record, LAG_NANOS)
                    } else {
                        behind.fit_by_lengths(&record)
                    };
                    Some(Found { fit: fit?, record })
                })
                .collect();
            let settled = handshake.settled;
            let chosen = choose(&behind, &found, same);
            let alone = chosen.filter(|chosen| {
                let Some(others) = rivals(&chosen.fit) else {
                    return false;
                };
                let siblings = roots
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != place);
                let siblings = siblings.filter_map(|(_, root)| root.as_ref());
                !siblings
                    .chain(&others)
                    .any(|rival| is_disputed(rival, chosen, handshake, same, known))
            });
            match alone {
                Some(chosen) => joined.push((place, chosen.front())),
                None if settled => {
                    let ids = found.iter().map(|one| one.record.connection.id);
                    self.spent.extend(ids);
                }
                None => {}
            }
        }
        for (place, front) in joined {
            if let Some(handshake) = handshakes.get_mut(place) {
                if handshake.settled {
                    self.take(&front.record);
                }
                put(handshake, front);
            }
        }
        self.drop_spent();
    }

    /// All that may have asked for what began in this span; `None` where some may have been there that are not known any
    /// more, or that are too many to be looked at.
    fn near(
        &self,
        span: Span,
        (same, connections): (impl Fn(&Record) -> bool, &dyn OpenConnections),
        budget: &mut usize,
    ) -> Option<Vec<SharedRecord>> {
        if self.dropped.is_some_and(|dropped| dropped >= span.begin) {
            return None;
        }
        let is_crowd = |found: &Vec<_>| span.late && found.len() > LATE_NEAR_MAX;
        let mut found = Vec::new();
        let before = ..=(span.begin, ConnectionId(u64::MAX));
        for &(_, id) in self.open.range(before).rev().take(NEAR_MAX) {
            if connections.sizes(id).is_some_and(|sizes| span.has(sizes))
                && !self.spent.contains(&id)
                && let Some(record) = connections.shared(id)
                && is_candidate(&record)
            {
                found.push(record);
            }
            if is_crowd(&found) {
                return None;
            }
        }
        for record in self.closed.values().rev() {
            let sizes = record.tls.as_deref().and_then(|tls| tls.sizes.as_deref());
            let near = if same(record) {
                sizes.is_some_and(|sizes| span.has(sizes))
            } else {
                *budget = budget.checked_sub(1)?;
                true
            };
            if near && !self.spent.contains(&record.connection.id) {
                found.push(record.clone());
            }
            if is_crowd(&found) {
                return None;
            }
        }
        Some(found)
    }

    fn take(&mut self, record: &Record) {
        self.spent.insert(record.connection.id);
    }

    /// What closed and was decided on is not needed any more.
    fn drop_spent(&mut self) {
        if self.spent.is_empty() {
            return;
        }
        let Self { closed, spent, .. } = self;
        let mut gone = HashSet::new();
        closed.retain(|(_, id), _| {
            let is_spent = spent.contains(id);
            if is_spent {
                gone.insert(*id);
            }
            !is_spent
        });
        for id in gone {
            spent.remove(&id);
        }
    }
}

impl Found {
    fn front(&self) -> Front {
        let Fit {
            first,
            late,
            answer,
            agreed,
            by,
            confidence,
            offset_nanos,
            ..
        } = self.fit;
        Front {
            record: self.record.clone(),
            by,
            confidence,
            request: (!late).then_some(first),
            answer,
            agreed,
            offset_nanos,
        }
    }

    /// The ClientHello's random value: the same session seen at another vantage point has it as well.
    fn random(&self) -> Option<&[u8; 32]> {
        self.record.tls.as_deref()?.client_random.as_ref()
    }
}

/// The first hop of a handshake, if it is in clear and may have a front.
fn root(handshake: &Handshake) -> Option<Rival> {
    let hop = handshake.first()?;
    let exchange = hop.exchange();
    let late = || exchange.relayed.is_some() && is_late(exchange, &hop.record);
    let clear = hop.record.tls.is_none() && (exchange.request.is_some() || late());
    (clear && handshake.front.is_none()).then(|| (hop.record.clone(), hop.place))
}

fn behind<'a>(node: &'a Node, handshake: &Handshake, known: &Known) -> Behind<'a> {
    let role = handshake.first().map(|hop| hop.role);
    let begin = node.start().at;
    Behind {
        node,
        from: Span::of(handshake).map_or(begin, |span| span.from),
        proxied: role == Some(Role::ProxyBackend) || is_of_proxy(node, known),
    }
}

/// Whether a request comes from a proxy: by its fields, a key whose Upgrade got lost, or its sender's address.
fn is_of_proxy(node: &Node, known: &Known) -> bool {
    node.traits().written_by.is_some()
        || node.asked.key.is_some() && !node.asked.upgrade
        || known.is_any_back(node.record.connection.client.ip())
        || is_set_by_proxy(node)
}

/// Whether the request has its fields in the order of the usual configuration of nginx: those of proxy_set_header, Host
/// among them, and only then the client's own.
fn is_set_by_proxy(node: &Node) -> bool {
    let head = node
        .exchange()
        .and_then(|exchange| exchange.request.as_ref());
    head.is_some_and(|head| {
        let fields = &head.fields;
        let connection = fields.position("connection").filter(|_| {
            let value = fields.combined("connection");
            value.is_some_and(|value| value == "upgrade")
        });
        connection
            .zip(fields.position("host"))
            .is_some_and(|(connection, host)| connection < host)
    })
}

/// Whether the times of two connections can be compared: both are in one capture. So are those of a capture in several
/// files, of which each shows what no other one does.
fn is_same_clock(clocks: Clocks, one: &Record, other: &Record) -> bool {
    let (one, other) = (&one.connection, &other.connection);
    let meet = one.captures & other.captures != 0;
    let unrepeated = one.duplicates == 0 && other.duplicates == 0;
    clocks == Clocks::Same || one.first.capture() == other.first.capture() || (meet && unrepeated)
}

/// The one front of those that fit that is the one without doubt.
fn choose<'f>(
    behind: &Behind<'_>,
    found: &'f [Found],
    same: impl Fn(&Record) -> bool,
) -> Option<&'f Found> {
    let mut fitting: Vec<&Found> = found.iter().collect();
    if fitting.iter().any(|one| one.fit.is_named) {
        fitting.retain(|one| one.fit.is_named);
    }
    if fitting.len() > 1 && !is_one_session(&fitting) {
        fitting.retain(|one| {
            let prompt = || behind.fit(&one.record, PROMPT_NANOS);
            same(&one.record) && prompt().is_some_and(|fit| fit.is_long())
        });
    }
    let chosen = match fitting.as_slice() {
        [one] => Some(*one),
        several if is_one_session(several) => {
            let proxy = behind.node.record.connection.client.ip();
            let nearest = |one: &&&Found| one.record.connection.server.ip() == proxy;
            several.iter().find(nearest).or(several.last()).copied()
        }
        _ => None,
    };
    // Where some messages are said in a second, as long as each other, those of any two sessions are in time.
    let at_once = |one: &Found| behind.fit(&one.record, PROMPT_NANOS).is_some();
    chosen.filter(|one| !one.fit.late || at_once(one))
}

/// Whether these are one session, seen at several vantage points.
fn is_one_session(found: &[&Found]) -> bool {
    let mut randoms = found.iter().map(|one| one.random());
    let first = randoms.next().flatten();
    first.is_some() && randoms.all(|random| random == first)
}

/// Whether a front fits another hop as well as the one that it was chosen for.
fn is_disputed(
    (record, place): &Rival,
    chosen: &Found,
    handshake: &Handshake,
    same: impl Fn(&Record) -> bool,
    known: &Known,
) -> bool {
    let hops = handshake.hops.iter().chain(&handshake.subrequests);
    let own = hops
        .flat_map(|hop| std::iter::once(&hop.record).chain(&hop.copies))
        .any(|one| one.connection.id == record.connection.id);
    if own {
        return false;
    }
    let Some(node) = Node::new(record, *place, None) else {
        return false;
    };
    let from = node.begin.map_or(node.start().at, |begin| begin.at);
    let syn = record.connection.syn.filter(|_| node.slot.exchange == 0);
    let rival = Behind {
        from: syn.map_or(from, |syn| syn.at.min(from)),
        proxied: is_of_proxy(&node, known),
        node: &node,
    };
    if !same(&chosen.record) {
        return rival.fit_by_lengths(&chosen.record).is_some();
    }
    let fits = |lag| rival.fit(&chosen.record, lag);
    // A long run that was relayed promptly, against one that was not.
    fits(LAG_NANOS).is_some() && (!chosen.fit.is_long() || fits(PROMPT_NANOS).is_some())
}

/// The handshake's story with the front in it.
fn put(handshake: &mut Handshake, front: Front) {
    let lone = handshake.hops.len() == 1;
    if let Some(hop) = handshake.hops.first_mut() {
        hop.role = match hop.role {
            Role::ClientProxy if !lone => Role::ProxyProxy,
            Role::Unknown | Role::Direct => Role::ProxyBackend,
            role => role,
        };
        if hop.role == Role::ProxyBackend {
            handshake.backend = BackendSight::Seen;
        }
    }
    let (capture, offset) = (front.record.connection.first.capture(), front.offset_nanos);
    let offsets = &mut handshake.clock_offsets;
    if offset != 0 && offsets.iter().all(|(noted, _)| *noted != capture) {
        offsets.push((capture, offset));
    }
    handshake.front = Some(Box::new(front));
    session::rejoin(handshake);
}
