//! A handshake as the rules read it: who stands where, how it came out, what each hop carried.

use std::net::IpAddr;

use super::draft::Values;
use super::kept;
use super::program::Program;
use super::text::{path, short};
use super::view::{HopView, RecordView};
use crate::capture::{FrameRef, Timestamp};
use crate::decode::Endpoint;
use crate::hop::{BackendSight, Confidence, ConnectAttempt, Handshake, Hop, Reply, Role};
use crate::http::{Fields, RequestHead, ResponseHead};
use crate::tcp::Side;
use crate::websocket::SessionFacts;

/// How the opening handshake came out, judged on the outermost hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    /// A 101 that the client could accept, or did.
    Up,
    /// A 101 that a client must refuse, and no sign that this one accepted it.
    BadAnswer(&'a ResponseHead),
    /// Another final answer.
    Refused(&'a ResponseHead),
    /// The client sent an ordinary request, which a proxy made into an attempt, and got this status.
    Ordinary(u16),
    /// The connection ended, or the proxy's own failure is complete, without an answer.
    Unanswered,
    /// The capture does not tell.
    Unknown,
}

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

    fn judge(&self) -> Outcome<'a> {
        let exchange = self.outer.exchange();
        match &exchange.response {
            Some(answer) if answer.status == 101 => {
                if self.client_spoke() {
                    Outcome::Up
                } else if !self.defects.is_empty() {
                    // One whose frames are lost may have accepted it.
                    if self.handshake.shows(Side::Client) {
                        Outcome::BadAnswer(answer)
                    } else {
                        Outcome::Unknown
                    }
                } else if self.may_be_declined() {
                    Outcome::Unknown
                } else {
                    Outcome::Up
                }
            }
            Some(answer)
                if (200..300).contains(&answer.status) && self.may_serve_another(answer) =>
            {
                Outcome::Unknown
            }
            Some(answer) => Outcome::Refused(answer),
            None => self.judge_without_answer(),
        }
    }

    fn judge_without_answer(&self) -> Outcome<'a> {
        let reply = self.outer.reply();
        if let Reply::Status(_, status) = reply {
            return Outcome::Ordinary(status);
        }
        // What the capture lacks of the client hop, the backend hop may have.
        if let Reply::Unseen = reply
            && let Some(answer) = &self.inner.exchange().response
            && answer.status != 101
        {
            return Outcome::Refused(answer);
        }
        // A session without its 101 in the capture: it must have come up, also if the capture has no more of it than
        // its end.
        let mut hops = self.handshake.hops.iter();
        if hops.any(|hop| hop.session().is_some())
            && (self.outer.may_have_asked_before() || self.client_spoke())
        {
            return Outcome::Up;
        }
        // A proxy may have tried another backend: what joins the two may be in the hole.
        let retried = self.is_alone() && self.is_cut();
        match reply {
            Reply::Unseen => Outcome::Unknown,
            _ if self.outer.record.connection.ended.is_some() && !retried => Outcome::Unanswered,
            _ => Outcome::Unknown,
        }
    }

    /// Whether only one hop of it is seen.
    pub(super) fn is_alone(&self) -> bool {
        self.handshake.hops.len() == 1
    }

    /// Whether the capture broke the first request off.
    fn is_cut(&self) -> bool {
        let partial = self.outer.exchange().partial_request.as_ref();
        partial.is_some_and(|partial| partial.is_cut())
    }

    /// Whether the request may be one that a proxy makes for another (nginx's auth_request hands all fields of a handshake
    /// on but those that ask for the upgrade): what would tell is in a hole, or on a hop that is not in the capture.
    fn may_serve_another(&self, answer: &ResponseHead) -> bool {
        let exchange = self.outer.exchange();
        let asks = |fields: &Fields| fields.position("upgrade").is_some();
        let cut_off = || {
            let partial = exchange.partial_request.as_ref();
            self.is_cut() && !partial.is_some_and(|partial| asks(&partial.request().fields))
        };
        // A permission has no page.
        let permits = || {
            let asked = exchange.request.as_ref();
            answer.status == 204
                && self.backend_only()
                && asked.is_some_and(|head| !asks(&head.fields))
        };
        self.is_alone() && (cut_off() || permits())
    }

    /// Whether the client left without a word behind a 101 of which nobody can tell whether it fits: the request is not in the
    /// capture. It may have refused it. Of a client hop in one direction another hop tells that there was no word.
    pub(super) fn may_be_declined(&self) -> bool {
        let exchange = self.outer.exchange();
        let unasked = exchange.request.is_none() && exchange.ordinary.is_none();
        let said_goodbye = || {
            let mut sessions = self.handshake.hops.iter().filter_map(Hop::session);
            sessions.any(|session| session.close_by(Side::Client).is_some())
        };
        let connection = &self.outer.record.connection;
        let left = || {
            let stream = &connection.to_server;
            let unheard = stream.frames == 0 && self.handshake.hears(Side::Client);
            // The request is lost, and what came behind it as well: its FIN may have been the first one.
            let broken_off = stream.fin.is_none() && stream.unseen_at_end > 0;
            self.outer.record.end_by(Side::Client).is_some()
                || (unheard || broken_off) && connection.ended.is_some()
        };
        unasked && left() && !self.client_spoke() && !said_goodbye()
    }

    /// Whether the client sent ws frames of its own accord: then it accepted the 101.
    pub(super) fn client_spoke(&self) -> bool {
        self.handshake
            .hops
            .iter()
            .any(|hop| hop.session().is_some_and(SessionFacts::client_spoke))
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

    /// The proxy that made `child`: `nginx 192.0.2.1` or `the proxy 192.0.2.1`; one of two, where they spoke unread.
    pub(super) fn proxy_of(&self, child: &Hop) -> String {
        let unread = self.parent(child).and_then(|parent| {
            let inner = self.unread_behind(parent, child.record.connection.client)?;
            Some(one_of(parent.record.connection.server.ip(), inner))
        });
        unread.unwrap_or_else(|| self.proxy_before(child))
    }

    /// The proxy in front of `child`.
    fn proxy_before(&self, child: &Hop) -> String {
        let sealed = self
            .sealed_front()
            .filter(|_| std::ptr::eq(child, self.outer));
        let asked = match (self.parent(child), sealed) {
            (Some(parent), _) => parent.record.connection.server,
            (None, Some(front)) => front.record.connection.server,
            // Who asks is all that is seen of it.
            (None, None) => child.record.connection.client,
        };
        format!("{} {}", self.program_of(child).name(), asked.ip())
    }

    /// The address of a proxy that was asked on a connection that nobody can read, and asked in its turn from there.
    fn unread_behind(&self, parent: &Hop, from: Endpoint) -> Option<IpAddr> {
        let front = parent.record.connection.server.ip();
        let mut unread = self.handshake.unread.iter();
        let there = unread.any(|server| server.ip() == from.ip());
        (there && front != from.ip()).then(|| from.ip())
    }

    /// The program of the proxy that made `child`.
    pub(super) fn program_of(&self, child: &Hop) -> Program {
        Program::of(self.parent(child), Some(child))
    }

    /// The program of the proxy that is asked on this hop.
    pub(super) fn program_at(&self, hop: &Hop) -> Program {
        let behind = self.links().find(|link| std::ptr::eq(link.parent, hop));
        if let Some(link) = behind {
            return self.program_of(link.child);
        }
        if self.attempts_behind(hop).next().is_some() {
            return Program::that_reached_nobody(hop);
        }
        Program::of(Some(hop), None)
    }

    /// The program of the proxy that asks, or would have to ask, the backend. Of a lone hop that shows no proxy, texts stay
    /// what they are: they say for themselves what is nginx's.
    fn last_program(&self) -> Program {
        if !self.is_alone() || self.backend_only() {
            return self.program_of(self.inner);
        }
        match Program::of(Some(self.outer), None) {
            Program::Unknown if self.outer.role != Role::ClientProxy => Program::Nginx,
            program => program,
        }
    }

    /// Which program asked each server.
    fn programs(&self) -> Vec<(Endpoint, Program)> {
        let links = self.links().map(|link| {
            let server = link.child.record.connection.server;
            (server, self.program_of(link.child))
        });
        let tried = self.attempts().filter_map(|attempt| {
            let parent = self.tried_for(attempt)?;
            Some((attempt.record.connection.server, self.program_at(parent)))
        });
        links.chain(tried).collect()
    }

    /// The proxy that made an attempt.
    pub(super) fn proxy_of_attempt(&self, attempt: &ConnectAttempt) -> String {
        if self.backend_only() {
            return self.proxy_of(self.outer);
        }
        let parent = self.tried_for(attempt).unwrap_or(self.outer);
        let dialled = attempt.record.connection.client;
        if let Some(inner) = self.unread_behind(parent, dialled) {
            return format!("the proxy {inner}");
        }
        format!(
            "{} {}",
            self.program_at(parent).name(),
            parent.record.connection.server.ip()
        )
    }

    /// The server of the outermost hop: `nginx 192.0.2.1`, `the proxy 192.0.2.1` or `192.0.2.1:80`.
    pub(super) fn front(&self) -> String {
        if let Some(child) = self.handshake.hops.get(1) {
            return self.proxy_before(child);
        }
        if self.sealed_front().is_some() {
            return self.proxy_of(self.outer);
        }
        let server = self.outer.record.connection.server;
        if self.leads_to_backend() {
            return server.to_string();
        }
        match self.program_at(self.outer) {
            Program::Unknown if self.outer.role != Role::ClientProxy => server.to_string(),
            program => format!("{} {}", program.name(), server.ip()),
        }
    }

    /// The path of the client's request for a sentence.
    pub(super) fn path(&self) -> String {
        self.outer
            .exchange()
            .request
            .as_ref()
            .or(self.inner.exchange().request.as_ref())
            .map(RequestHead::target)
            .or(self
                .outer
                .exchange()
                .ordinary
                .as_ref()
                .map(|ask| &*ask.target))
            .map(|target| short(path(target)))
            .or_else(|| [self.outer, self.inner].into_iter().find_map(begun_path))
            .unwrap_or_else(|| "?".to_owned())
    }

    /// What to fill into snippets. Only harmless characters get in: a snippet is made to be copied.
    pub(super) fn values(&self) -> Values<'a> {
        let request = |hop: &'a Hop| hop.exchange().request.as_ref();
        let location = request(self.outer)
            .or_else(|| request(self.inner))
            .map(|head| path(head.target()))
            .filter(|path| harmless(path))
            .unwrap_or("/");
        let backend = self
            .handshake
            .hops
            .iter()
            .rev()
            .find(|hop| hop.parent.is_some() || self.backend_only())
            .map(|hop| hop.record.connection.server)
            .or_else(|| self.attempts().next().map(|a| a.record.connection.server));
        Values {
            location,
            upstream: backend,
            over_tls: self.over_tls(),
            kept: kept::by_proxies(self),
            programs: self.programs(),
            program: self.last_program(),
        }
    }

    /// The servers that were asked inside TLS.
    fn over_tls(&self) -> Vec<Endpoint> {
        let hops = self.handshake.hops.iter();
        hops.filter(|hop| hop.record.tls.is_some() && hop.exchange().request.is_some())
            .map(|hop| hop.record.connection.server)
            .collect()
    }
}

/// Two proxies, of which the capture does not show what the one said to the other.
fn one_of(outer: IpAddr, inner: IpAddr) -> String {
    format!("one of the proxies {outer} and {inner}")
}

/// Whether a path may stand in configuration that is made to be copied.
pub(super) fn harmless(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= 64
        && path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/_-.".contains(&byte))
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

/// The path of a request that breaks off behind its first line.
fn begun_path(hop: &Hop) -> Option<String> {
    let request = hop.exchange().partial_request.as_ref()?.request();
    let target = request.target();
    target.starts_with('/').then(|| short(path(target)))
}
