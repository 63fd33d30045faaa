//! An exchange as pairing sees it: what is compared between hops, computed once.
//!
//! What finds a partner by its key is computed at once; what a request is recognised by without one ([`Traits`]) only when
//! that is asked: most handshakes never do.

use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use super::asked::{Asked, Link, NAMING_FIELDS, accept_link, number};
use super::clock::Offsets;
use super::record::{Exchange, PartialHead, Record, SharedRecord};
use crate::capture::{CaptureId, FrameRef};
use crate::decode::Endpoint;
use crate::http::{Fields, RequestHead};
use crate::tcp::ConnectionId;

/// An exchange: its connection, and its number on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub(super) connection: ConnectionId,
    pub(super) exchange: u32,
}

impl Slot {
    /// Before all others.
    pub(super) const FIRST: Self = Self {
        connection: ConnectionId(0),
        exchange: 0,
    };

    /// After all others.
    pub(super) const LAST: Self = Self {
        connection: ConnectionId(u64::MAX),
        exchange: u32::MAX,
    };
}

/// Fields of a request that only a proxy writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProxyFields {
    /// Whom it forwards for.
    Forwarding,
    /// What the client asked for, as `auth_request` recipes tell it to the service that is asked for permission.
    OriginalUri,
}

impl ProxyFields {
    fn of(fields: &Fields) -> Option<Self> {
        let is_any = |name: &[u8], of: &[&str]| {
            of.iter()
                .any(|known| known.as_bytes().eq_ignore_ascii_case(name))
        };
        let mut found = None;
        for name in fields.names() {
            // All of them begin so, and few others do.
            if !matches!(name.first(), Some(b'x' | b'X' | b'f' | b'F' | b'v' | b'V')) {
                continue;
            }
            if is_any(name, &ORIGINAL_URI_FIELDS) {
                return Some(Self::OriginalUri);
            }
            if found.is_none() && is_any(name, &FORWARDING_FIELDS) {
                found = Some(Self::Forwarding);
            }
        }
        found
    }
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct View {
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
}

/// What a request says about who sent it to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) ip: IpAddr,
    pub(super) port: Option<u16>,
}

/// Two hops of one handshake share a link of the same kind; the strongest kinds come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LinkKind {
    /// The bytes after the 101.
    Bytes,
    /// What identifies the key: the Accept that it demands, or the Accept that was answered.
    Accept,
    /// X-Request-ID.
    RequestId,
    /// The trace-id of traceparent.
    Trace,
}

/// An exchange, and what pairing compares. Times are those of the capture until `correct` shifts them.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) record: SharedRecord,
    pub(super) place: usize,
    pub(super) slot: Slot,
    /// Client and server as seen at each vantage point: address translation shows one connection under several.
    pub(super) views: SmallVec<[View; 1]>,
    /// First frame of the request, complete or not.
    pub(super) begin: Option<FrameRef>,
    /// First frame of the final answer, whatever it is.
    pub(super) answer: Option<FrameRef>,
    /// The connection's first FIN or RST, where no answer came.
    pub(super) given_up: Option<FrameRef>,
    /// First ws frame bytes each way: what orders hops whose handshake is not in the capture.
    pub(super) first_data: (Option<FrameRef>, Option<FrameRef>),
    pub(super) status: Option<u16>,
    /// The links it has with other hops, strongest first.
    pub(super) links: SmallVec<[(LinkKind, Link); 4]>,
    /// What its request says, complete or not.
    pub(super) asked: Asked,
    traits: OnceCell<Box<Traits>>,
}

/// What a request is recognised by where no key tells.
#[derive(Debug, Clone)]
pub(super) struct Traits {
    pub(super) named: SmallVec<[Named; 2]>,
    pub(super) path: Box<str>,
    pub(super) query: Box<str>,
    pub(super) origin: Option<u64>,
    pub(super) cookie: Option<u64>,
    pub(super) agent: Option<u64>,
    /// Fields that only a proxy writes.
    pub(super) written_by: Option<ProxyFields>,
    /// The head as sent, hashed; `None` when it is not complete.
    pub(super) raw: Option<u64>,
}

/// The path of a request target: without scheme, authority (RFC 9112 3.2.2) and query.
pub(super) fn split_target(target: &str) -> (&str, &str) {
    let target = target
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)))
        .unwrap_or(target);
    target.split_once('?').unwrap_or((target, ""))
}

/// An address in a forwarding field: `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1`, `[2001:db8::1]:5`, perhaps quoted.
pub(super) fn parse_address(text: &str) -> Option<Named> {
    let text = text.trim().trim_matches('"');
    if let Ok(ip) = text
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
    {
        return Some(Named {
            ip: ip.to_canonical(),
            port: None,
        });
    }
    let address = text.parse::<SocketAddr>().ok()?;
    Some(Named {
        ip: address.ip().to_canonical(),
        port: Some(address.port()),
    })
}

fn named_by(fields: &Fields) -> SmallVec<[Named; 2]> {
    let [forwarded_for, real_ip, forwarded] = NAMING_FIELDS;
    let mut named = SmallVec::new();
    let last = fields.list(forwarded_for).last();
    named.extend(last.as_deref().and_then(parse_address));
    let real = fields.first(real_ip);
    named.extend(real.as_deref().and_then(parse_address));
    // RFC 7239 4: the last element was added by the nearest proxy.
    let last = fields.list(forwarded).last();
    named.extend(last.as_deref().and_then(|element| {
        element
            .split(';')
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))
            .and_then(|(_, value)| parse_address(value))
    }));
    named
}

const FORWARDING_FIELDS: [&str; 9] = [
    "x-forwarded-for",
    "x-real-ip",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-scheme",
    "forwarded",
    "via",
];

/// Whether a request tells of another one, as recipes for `auth_request` have it.
pub fn tells_original(fields: &Fields) -> bool {
    let mut names = ORIGINAL_URI_FIELDS.iter();
    names.any(|name| fields.count(name) > 0)
}

const ORIGINAL_URI_FIELDS: [&str; 5] = [
    "x-original-uri",
    "x-original-url",
    "x-original-method",
    "x-auth-request-redirect",
    "x-forwarded-uri",
];

/// A fingerprint counts once the client has sent something: servers may greet all clients alike, but the masking
/// keys of a client's frames are random (RFC 6455 5.3).
fn bytes_link(exchange: &Exchange) -> Option<Link> {
    let session = exchange.session.as_ref()?;
    session.to_server.first?;
    Some(number(0, &session.fingerprint?.to_le_bytes()))
}

fn links_of(asked: &Asked, exchange: &Exchange) -> SmallVec<[(LinkKind, Link); 4]> {
    let key = asked.key.map(|key| key.link);
    let answered = exchange
        .response
        .as_ref()
        .and_then(|head| head.fields.all("sec-websocket-accept").next())
        .map(|accept| accept_link(accept.trim_ascii()));
    let links = [
        (LinkKind::Bytes, bytes_link(exchange)),
        (LinkKind::Accept, key),
        (LinkKind::Accept, answered.filter(|link| key != Some(*link))),
        (LinkKind::RequestId, asked.request_id),
        (LinkKind::Trace, asked.trace),
    ];
    let links = links.into_iter();
    links
        .filter_map(|(kind, link)| Some((kind, link?)))
        .collect()
}

fn field_number(head: Option<&RequestHead>, name: &str) -> Option<u64> {
    let mut values = head?.fields.all(name);
    let (first, second) = (values.next()?, values.next());
    // Several fields are one list (RFC 9110 5.3).
    Some(match second {
        None => number(4, first),
        Some(_) => number(4, head?.fields.combined(name)?.as_bytes()),
    })
}

impl Traits {
    fn of(record: &Record, place: usize) -> Self {
        let exchange = record.exchanges.get(place);
        let whole = exchange.and_then(|exchange| exchange.request.as_ref());
        let cut = exchange
            .and_then(|exchange| exchange.partial_request.as_deref())
            .map(PartialHead::request);
        let head = whole.or(cut.as_ref());
        let mut named = head.map(|head| named_by(&head.fields)).unwrap_or_default();
        // A PROXY header names the client of the connection, not of one request; it is the most exact of all.
        let source = record.proxy_header.as_ref().and_then(|h| h.source.as_ref());
        named.extend(source.and_then(|source| parse_address(source)));
        let ordinary = exchange.and_then(|exchange| exchange.ordinary.as_ref());
        let target = head
            .map(RequestHead::target)
            .or(ordinary.map(|summary| &*summary.target));
        let (path, query) = target.map_or(("", ""), split_target);
        Self {
            named,
            path: path.into(),
            query: query.into(),
            origin: field_number(head, "origin"),
            cookie: field_number(head, "cookie"),
            agent: field_number(head, "user-agent"),
            written_by: head.and_then(|head| ProxyFields::of(&head.fields)),
            raw: whole.map(|head| number(6, head.fields.raw())),
        }
    }
}

impl Node {
    /// The exchange at a place of a record; `None` when there is no such place. `asked`: what its request says, where
    /// that was read before.
    pub(super) fn new(record: &SharedRecord, place: usize, asked: Option<Asked>) -> Option<Self> {
        let exchange = record.exchanges.get(place)?;
        let connection = &record.connection;
        let partial = exchange.partial_request.as_deref();
        let cut = partial.map(PartialHead::request);
        let whole = exchange.request.as_ref();
        let head = whole.or(cut.as_ref());
        let answer = exchange
            .response
            .as_ref()
            .map(|head| head.span.first)
            .or(exchange.partial_response.as_ref().map(|part| part.first))
            .or(exchange.not_http.as_ref().map(|(frame, _)| *frame));
        let session = exchange.session.as_ref();
        let ordinary = exchange.ordinary.as_ref();
        let answer = answer.or(ordinary.and_then(|summary| Some(summary.response?.0)));
        let read = || head.map(|head| Asked::of(&head.fields));
        let mut asked = asked.or_else(read).unwrap_or_default();
        asked.may_name_port |= record.proxy_header.is_some();
        Some(Self {
            slot: Slot {
                connection: connection.id,
                exchange: exchange.index,
            },
            views: smallvec::smallvec![View {
                client: connection.client,
                server: connection.server,
            }],
            begin: head
                .map(|head| head.span.first)
                .or(ordinary.map(|summary| summary.request)),
            answer,
            given_up: connection
                .ended
                .map(|ending| ending.frame)
                .filter(|_| answer.is_none()),
            first_data: session.map_or((None, None), |session| {
                (session.to_server.first, session.to_client.first)
            }),
            status: exchange
                .response
                .as_ref()
                .map(|head| head.status)
                .or(ordinary.and_then(|summary| Some(summary.response?.1))),
            links: links_of(&asked, exchange),
            asked,
            traits: OnceCell::new(),
            place,
            record: record.clone(),
        })
    }

    /// Whether the head of its request is complete.
    pub(super) fn is_whole(&self) -> bool {
        let exchange = self.exchange();
        exchange.is_some_and(|exchange| exchange.request.is_some())
    }

    /// What its request is recognised by.
    pub(super) fn traits(&self) -> &Traits {
        self.traits
            .get_or_init(|| Box::new(Traits::of(&self.record, self.place)))
    }

    /// The exchange.
    pub(super) fn exchange(&self) -> Option<&Exchange> {
        self.record.exchanges.get(self.place)
    }

    /// About how many bytes of memory it takes, with its share of the connection's record.
    pub(super) fn held(&self) -> usize {
        size_of::<Self>() + size_of::<Record>() + self.exchange().map_or(0, Exchange::held)
    }

    /// What orders it among others: the request, or the first of it that was seen.
    pub(super) fn start(&self) -> FrameRef {
        let established = || self.exchange()?.session.as_ref().map(|s| s.established);
        self.begin
            .or(self.answer)
            .or_else(established)
            .unwrap_or(self.record.connection.first)
    }

    /// The input that its times are of.
    pub(super) fn capture(&self) -> CaptureId {
        self.start().capture()
    }

    /// When its request was no longer waiting for an answer; `None` while it still does.
    pub(super) fn over(&self) -> Option<FrameRef> {
        self.answer.or(self.given_up)
    }

    /// From when on a proxy may have connected to a backend for it: one that relays bytes (nginx `stream`) dials as soon as
    /// the client's connection is up. What was answered was asked by its request.
    pub(super) fn dials_from(&self) -> Option<FrameRef> {
        let begin = self.begin?;
        let connection = &self.record.connection;
        let relayed = self.answer.is_none() && self.slot.exchange == 0;
        let syn = connection.syn.filter(|syn| relayed && *syn < begin);
        Some(syn.unwrap_or(begin))
    }

    /// Shifts its times to those of the reference capture.
    pub(super) fn correct(&mut self, offsets: &Offsets) {
        for frame in [
            &mut self.begin,
            &mut self.answer,
            &mut self.given_up,
            &mut self.first_data.0,
            &mut self.first_data.1,
        ]
        .into_iter()
        .flatten()
        {
            *frame = offsets.correct(*frame);
        }
    }

    /// What identifies its key.
    pub(super) fn accept_link(&self) -> Option<(LinkKind, Link)> {
        let mut links = self.links.iter().copied();
        links.find(|(kind, _)| *kind == LinkKind::Accept)
    }

    /// Whether both have the same link of a kind.
    pub(super) fn shares(&self, other: &Self, kind: LinkKind) -> bool {
        self.links
            .iter()
            .any(|link| link.0 == kind && other.links.contains(link))
    }
}
