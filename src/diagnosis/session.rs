//! After the 101: who ended the session, how, and why (FIELD GUIDE 2.4).
//!
//! ```text
//!  Close frame seen ──▶ its code decides; who sends FIN after it does not matter
//!  none ──▶ who sent the first FIN or RST, over all hops?
//!            proxy    reader stuck? data outstanding? silence of a timeout? else closed by the proxy
//!            backend  FIN or RST, inside a frame or not
//!            client   right after the 101? half-closed? after a silence in front? else it left
//!  no end ──▶ data retransmitted in vain: vanished. Otherwise nothing to say.
//! ```
//!
//! A timeout is called one only if nothing was outstanding on any hop.

use super::close::{self, Meaning};
use super::draft::Draft;
use super::story::{HopView, Story};
use super::text::{count, duration, short};
use super::{Code, Severity};
use crate::capture::FrameRef;
use crate::hop::{Confidence, Hop, HopEnding, Party, Role, Session};
use crate::tcp::{Direction, EndingHow, Side, StreamFacts};
use crate::websocket::{CloseFrame, SessionFacts};

/// A client that leaves sooner than this after the 101, without a frame, did not want the session.
const AT_ONCE_NANOS: i64 = 1_000_000_000;

/// nginx's timers may fire this much early (its timer is lazy by 300 ms) or late (scheduling, capture).
const EARLY_NANOS: i64 = 350_000_000;
const LATE_NANOS: i64 = 100_000_000;

/// A proxy that ends a tunnel ends both hops within this time.
const TOGETHER_NANOS: i64 = 50_000_000;

/// Retransmissions for at least this long are more than a burst of loss.
const IN_VAIN_NANOS: i64 = 1_000_000_000;

/// Idle limits of devices in front of proxies, seconds: balancers, CDNs, NAT gateways.
const FRONT_LIMITS: &[i64] = &[50, 55, 60, 100, 230, 240, 300, 350, 600, 3600];

/// Timeouts that people configure, seconds: a silence of one of these is hardly a coincidence.
const USUAL_TIMEOUTS: &[i64] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 45, 50, 55, 60, 65, 70, 75, 80, 90, 100,
    110, 120, 150, 180, 200, 240, 250, 300, 350, 360, 400, 420, 480, 500, 600, 720, 900, 1000,
    1200, 1500, 1800, 2400, 2700, 3000, 3600, 5400, 7200, 10_800, 14_400, 18_000, 21_600, 28_800,
    36_000, 43_200, 86_400,
];

pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    let Some(session) = &story.handshake.session else {
        return;
    };
    if !story.is_up() {
        return;
    }
    let end = End { story, session };
    let before = out.len();
    super::frames::rules(story, out);
    let faulty = out.len() > before;
    match end.first_close() {
        Some((hop, close)) => out.extend(end.by_close(hop, close)),
        None => match end.ended() {
            Some(ending) => end.without_close(ending, faulty, out),
            None => out.extend(end.never_ended()),
        },
    }
}

/// The timeout in whole seconds that a silence fits, RFC-free knowledge of nginx: [T - 0.3 s, T].
pub(super) fn fitting_timeout(silence_nanos: i64) -> Option<i64> {
    const SECOND: i64 = 1_000_000_000;
    let seconds = silence_nanos
        .saturating_sub(LATE_NANOS)
        .checked_add(SECOND - 1)?
        .div_euclid(SECOND);
    let early = seconds.saturating_mul(SECOND).saturating_sub(silence_nanos);
    (seconds >= 1 && early <= EARLY_NANOS).then_some(seconds)
}

struct End<'a> {
    story: &'a Story<'a>,
    session: &'a Session,
}

impl<'a> End<'a> {
    fn hops(&self) -> impl Iterator<Item = &'a Hop> {
        self.story
            .handshake
            .hops
            .iter()
            .filter(|hop| hop.session().is_some())
    }

    /// What is known of the session on the hop that saw most of it.
    fn facts(&self) -> Option<&'a SessionFacts> {
        self.story
            .handshake
            .hops
            .get(self.session.hop)
            .and_then(Hop::session)
            .or_else(|| self.hops().find_map(Hop::session))
    }

    fn ended(&self) -> Option<HopEnding> {
        self.session
            .ended
            .or_else(|| self.session.endings.first().copied())
    }

    /// The earliest Close frame on any hop.
    fn first_close(&self) -> Option<(&'a Hop, &'a CloseFrame)> {
        self.hops()
            .flat_map(|hop| {
                hop.session()
                    .into_iter()
                    .flat_map(move |session| session.closes.iter().map(move |close| (hop, close)))
            })
            .min_by_key(|(_, close)| self.story.time(close.frame))
    }

    /// Whether just one hop of several was captured, so that the ending's cause may lie behind it.
    fn one_hop(&self) -> bool {
        self.hops().count() < 2
    }

    /// Who ended it. One hop alone does not tell a proxy from what is behind it.
    fn party(&self, ending: HopEnding) -> Option<Party> {
        if !self.one_hop() {
            return self.session.ended_by;
        }
        match (ending.by, self.story.outer.role) {
            (Side::Server, Role::Direct) => Some(Party::Backend),
            (Side::Server, _) if self.story.backend_only() => Some(Party::Backend),
            (Side::Client, _) if !self.story.backend_only() => Some(Party::Client),
            _ => None,
        }
    }

    fn draft(&self, code: Code) -> Draft {
        let mut draft = Draft::new(code);
        for hop in self.hops() {
            draft = draft.on(&hop.record);
        }
        draft
            .saw(self.session.established, "the session is up")
            .may_saw(self.session.last_data, "the last frame of the session")
    }

    /// With each hop's first FIN or RST as evidence.
    fn with_endings(&self, mut draft: Draft) -> Draft {
        for ending in &self.session.endings {
            let Some(hop) = self.story.handshake.hops.get(ending.hop) else {
                continue;
            };
            let connection = &hop.record.connection;
            draft = draft.saw(
                ending.frame,
                format!(
                    "{} from {}, no Close frame before it",
                    match ending.how {
                        EndingHow::Fin => "FIN",
                        EndingHow::Rst => "RST",
                    },
                    connection.endpoint(ending.by)
                ),
            );
        }
        draft
    }

    fn client(&self) -> String {
        format!(
            "the client {}",
            self.story.outer.record.connection.client.ip()
        )
    }

    fn backend(&self) -> String {
        let server = self.story.inner.record.connection.server;
        if self.one_hop() && !self.story.backend_only() && self.story.outer.role != Role::Direct {
            format!("the server side {server}")
        } else {
            format!("the backend {server}")
        }
    }

    /// The proxy that ended the tunnel: between the hop where it is the server and the one where it is the client.
    fn proxy(&self, ending: HopEnding) -> String {
        let hops = &self.story.handshake.hops;
        let child = match ending.by {
            Side::Client => hops.get(ending.hop),
            Side::Server => hops
                .iter()
                .find(|hop| hop.parent == Some(ending.hop) && !hop.retried),
        };
        child.map_or_else(|| self.story.front(), |hop| self.story.proxy_of(hop))
    }

    fn lasted(&self) -> String {
        self.session
            .lasted_nanos
            .map_or_else(String::new, |nanos| format!(" after {}", duration(nanos)))
    }

    fn by_close(&self, hop: &Hop, close: &CloseFrame) -> Option<Draft> {
        let code = close.code?;
        let (meaning, severity) = match close::meaning(code) {
            Meaning::Normal => return None,
            Meaning::Planned(text) => (text, Severity::Warning),
            Meaning::Private(text) => (text, Severity::Warning),
            Meaning::Error(text) => (text, Severity::Error),
        };
        let who = match close.by {
            Side::Client => self.client(),
            Side::Server => self.backend(),
        };
        let other = match close.by {
            Side::Client => self.backend(),
            Side::Server => self.client(),
        };
        let answered = self
            .hops()
            .filter_map(Hop::session)
            .any(|session| session.closes.iter().any(|c| c.by != close.by));
        let reason = if close.reason.is_empty() {
            String::new()
        } else {
            format!(": \"{}\"", short(&close.reason))
        };
        let text = format!("{who} closed the session with {code} ({meaning}){reason}");
        let text = capital(&text);
        Some(
            self.draft(Code::ClosedWithError)
                .bad(severity)
                .on(&hop.record)
                .title(text.clone())
                .headline(format!("{text}{}", self.lasted()))
                .detail(if answered {
                    format!(
                        "{} answered with a Close frame of its own.",
                        capital(&other)
                    )
                } else {
                    format!("{} did not answer with a Close frame.", capital(&other))
                })
                .saw(close.frame, format!("Close {code} from {who}{reason}")),
        )
    }

    fn without_close(&self, ending: HopEnding, faulty: bool, out: &mut Vec<Draft>) {
        match self.party(ending) {
            Some(Party::Proxy) => self.by_proxy(ending, out),
            Some(Party::Backend) => out.push(self.by_backend(ending)),
            // A client that fails the connection over a fault has said enough by leaving.
            Some(Party::Client) if faulty => {}
            Some(Party::Client) => out.push(self.by_client(ending)),
            None => self.by_somebody(ending, out),
        }
    }

    // ---- the proxy ----

    fn by_proxy(&self, ending: HopEnding, out: &mut Vec<Draft>) {
        if let Some(draft) = self.not_reading().or_else(|| self.lost(true)) {
            out.push(draft);
            return;
        }
        let silence = self.session.idle_before_end_nanos;
        if let Some(timeout) = silence.and_then(fitting_timeout)
            && !self.session.outstanding
            && self.ended_together()
        {
            self.idle(ending, timeout, out);
            return;
        }
        let proxy = self.proxy(ending);
        if let Some(draft) = self.cut(&format!("{proxy} ended it")) {
            out.push(draft);
            return;
        }
        let after = silence.map_or_else(String::new, |nanos| {
            format!(", {} after the last frame", duration(nanos))
        });
        let draft = self
            .draft(Code::ProxyClosed)
            .sure(Confidence::Likely)
            .title(format!("{} closed the tunnel{after}", capital(&proxy)))
            .headline(format!(
                "{} closed the tunnel{}{after}, without a Close frame",
                capital(&proxy),
                self.lasted()
            ));
        out.push(self.with_endings(draft));
    }

    /// Both hops ended within a moment, as a proxy that gives up does. One hop alone cannot contradict.
    fn ended_together(&self) -> bool {
        let times = self
            .session
            .endings
            .iter()
            .map(|ending| self.story.time(ending.frame));
        match (times.clone().min(), times.max()) {
            (Some(first), Some(last)) => last.nanos_since(first) <= TOGETHER_NANOS,
            _ => false,
        }
    }

    fn idle(&self, ending: HopEnding, timeout: i64, out: &mut Vec<Draft>) {
        let silence = self.session.idle_before_end_nanos.unwrap_or_default();
        let proxy = if self.one_hop() && ending.by == Side::Client {
            self.story.proxy_of(self.story.outer)
        } else {
            self.proxy(ending)
        };
        let sure = if self.one_hop() || !USUAL_TIMEOUTS.contains(&timeout) {
            Confidence::Likely
        } else {
            Confidence::Certain
        };
        let mut detail = format!(
            "Nothing was said or outstanding on any hop for {}: proxy_read_timeout is {timeout} s. {} A ping at least every {} would have kept it open.",
            duration(silence),
            self.pings(),
            duration(
                timeout
                    .saturating_mul(1_000_000_000)
                    .saturating_sub(300_000_000)
            ),
        );
        if self.one_hop() {
            detail.push_str(
                " Only one hop is in the capture, so what happened on the other is inferred.",
            );
        }
        let draft = self
            .draft(Code::IdleTimeout)
            .sure(sure)
            .title(format!(
                "{} closed the tunnel after {} of silence (proxy_read_timeout {timeout}s)",
                capital(&proxy),
                duration(silence)
            ))
            .headline(format!(
                "{} closed the tunnel after {} of silence: its proxy_read_timeout is {timeout} s",
                capital(&proxy),
                duration(silence)
            ))
            .detail(detail)
            .fix(format!(
                "Send a ping at least every {} from either side, and raise proxy_read_timeout as well. 0 does not disable it: it fails every request at once.",
                duration(timeout.saturating_mul(500_000_000))
            ));
        out.push(self.with_endings(draft));
        if self.silent() {
            out.push(self.silent_after_101(&proxy, silence));
        }
    }

    /// What pings there were, in a sentence.
    fn pings(&self) -> String {
        let Some(facts) = self.facts() else {
            return String::new();
        };
        let of = |direction: Direction, who: &str| {
            let carried = facts.carried(direction);
            (carried.frames.ping > 0).then(|| {
                let every = carried
                    .ping_interval_nanos
                    .map_or_else(String::new, |(_, longest)| {
                        format!(", at most {} apart", duration(longest))
                    });
                format!(
                    "{} from the {who}{every}",
                    count(
                        usize::try_from(carried.frames.ping).unwrap_or(usize::MAX),
                        "ping"
                    )
                )
            })
        };
        let seen: Vec<String> = [
            of(Direction::ToServer, "client"),
            of(Direction::ToClient, "backend"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if seen.is_empty() {
            "No ping was seen in the whole session.".to_owned()
        } else {
            format!("Seen before: {}.", super::text::list(&seen))
        }
    }

    /// Whether not a single ws frame was seen.
    fn silent(&self) -> bool {
        self.session.last_data.is_none()
            && self.hops().filter_map(Hop::session).all(|session| {
                session.lost_sync.is_none()
                    && session.to_server.first.is_none()
                    && session.to_client.first.is_none()
            })
    }

    fn silent_after_101(&self, who: &str, silence: i64) -> Draft {
        let draft = self
            .draft(Code::SilentAfter101)
            .title(format!(
                "Nobody said anything for {} after the 101",
                duration(silence)
            ))
            .headline(format!(
                "Nobody said anything after the 101, and {who} closed the tunnel after {}",
                duration(silence)
            ));
        self.with_endings(draft)
    }

    /// A receive window that was closed and stayed so.
    fn not_reading(&self) -> Option<Draft> {
        let stuck = |hop: &'a Hop, side: Side| {
            let connection = &hop.record.connection;
            let since = connection.stream(side.sends()).zero_window_since?;
            let end = connection.ended.map_or(connection.last, |end| end.frame);
            Some((hop, since, end.at.nanos_since(since.at)))
        };
        let (code, who, (hop, since, nanos)) = stuck(self.story.outer, Side::Client)
            .filter(|_| !self.story.backend_only())
            .map(|found| (Code::ClientNotReading, self.client(), found))
            .or_else(|| {
                stuck(self.story.inner, Side::Server)
                    .map(|found| (Code::BackendNotReading, self.backend(), found))
            })?;
        if nanos < IN_VAIN_NANOS {
            return None;
        }
        let text = format!("{} did not read for {}", capital(&who), duration(nanos));
        let draft = self
            .draft(code)
            .on(&hop.record)
            .title(text.clone())
            .headline(format!("{text}, until the tunnel was closed"))
            .saw(since, format!("{who} closes its receive window"));
        Some(self.with_endings(draft))
    }

    /// Data that was sent again and again. `closed`: the tunnel was closed in good order while it was outstanding.
    fn lost(&self, closed: bool) -> Option<Draft> {
        let (hop, direction, facts, last) = self.hops().find_map(|hop| {
            let connection = &hop.record.connection;
            [Direction::ToServer, Direction::ToClient]
                .into_iter()
                .find_map(|direction| {
                    let facts = connection.stream(direction);
                    let last = in_vain(facts)?;
                    Some((hop, direction, facts, last))
                })
        })?;
        let connection = &hop.record.connection;
        let from = connection.endpoint(direction.sender());
        let to = connection.endpoint(direction.reverse().sender());
        let since = facts.last_data.unwrap_or(connection.first);
        let peer = connection.stream(direction.reverse());
        let alive = peer.last_data.is_some_and(|frame| frame.at > since.at)
            || [peer.fin, peer.rst]
                .into_iter()
                .flatten()
                .any(|frame| frame.at > since.at);
        let waited = duration(last.at.nanos_since(since.at));
        let code = if closed || alive {
            Code::NetworkLoss
        } else {
            Code::ConnectionVanished
        };
        let text = if code == Code::NetworkLoss {
            format!(
                "{} bytes from {from} did not get through to {to}",
                facts.unacknowledged
            )
        } else {
            format!("{to} vanished: {waited} of retransmissions from {from} got no answer")
        };
        let draft = self
            .draft(code)
            .sure(Confidence::Likely)
            .on(&hop.record)
            .title(text.clone())
            .headline(format!("{text}{}", if closed { ", until the tunnel was closed" } else { "" }))
            .detail(format!(
                "{} bytes were never acknowledged; they were sent again for {waited} ({} retransmissions).",
                facts.unacknowledged, facts.retransmitted
            ))
            .saw(since, "the last new data")
            .saw(last, "its last retransmission");
        Some(self.with_endings(draft))
    }

    // ---- the backend ----

    fn by_backend(&self, ending: HopEnding) -> Draft {
        let backend = self.backend();
        let unsure =
            self.one_hop() && self.story.outer.role != Role::Direct && !self.story.backend_only();
        let sure = if unsure {
            Confidence::Likely
        } else {
            Confidence::Certain
        };
        if ending.how == EndingHow::Rst {
            let text = format!("{} reset the session", capital(&backend));
            let draft = self
                .draft(Code::BackendReset)
                .sure(sure)
                .title(text.clone())
                .headline(format!("{text}{}", self.lasted()))
                .detail(self.and_cut("The connection was aborted, no Close frame was sent."));
            return self.with_endings(draft);
        }
        if let Some(draft) = self.cut_by(Side::Server, &format!("{backend} ended it")) {
            return draft;
        }
        let text = format!(
            "{} closed the session without a Close frame",
            capital(&backend)
        );
        let draft = self
            .draft(Code::BackendClosedWithoutClose)
            .sure(sure)
            .title(text.clone())
            .headline(format!("{text}{}", self.lasted()));
        self.with_endings(draft)
    }

    // ---- the client ----

    fn by_client(&self, ending: HopEnding) -> Draft {
        let client = self.client();
        let quick = ending.frame.at.nanos_since(self.session.established.at) <= AT_ONCE_NANOS;
        let spoke = self.story.client_spoke();
        if quick && !spoke && self.session.ended.is_some() {
            let after = duration(
                ending
                    .frame
                    .at
                    .nanos_since(self.session.established.at)
                    .max(0),
            );
            let text = format!(
                "{} closed {after} after the 101, without a frame",
                capital(&client)
            );
            let draft = self
                .draft(Code::ClosedRightAfter101)
                .title(text.clone())
                .headline(text);
            return self.with_endings(draft);
        }
        if let Some(draft) = self.half_closed(ending) {
            return draft;
        }
        if let Some(draft) = self.idle_in_front() {
            return draft;
        }
        if let Some(draft) = self.lost(false) {
            return draft;
        }
        if let Some(draft) = self.cut_by(Side::Client, &format!("{client} ended it")) {
            return draft;
        }
        if ending.how == EndingHow::Rst {
            let text = format!("{} reset the session", capital(&client));
            let draft = self
                .draft(Code::ClientReset)
                .title(text.clone())
                .headline(format!("{text}{}", self.lasted()));
            return self.with_endings(draft);
        }
        let text = format!("{} left without a Close frame", capital(&client));
        let draft = self
            .draft(Code::ClientLeft)
            .title(text.clone())
            .headline(format!("{text}{}", self.lasted()));
        self.with_endings(draft)
    }

    /// The client's FIN, then data from the backend, then the proxy's RST to it.
    fn half_closed(&self, ending: HopEnding) -> Option<Draft> {
        let inner = self.story.inner;
        if ending.how != EndingHow::Fin || std::ptr::eq(inner, self.story.outer) {
            return None;
        }
        let connection = &inner.record.connection;
        let late = connection
            .to_client
            .last_data
            .filter(|frame| self.story.time(*frame) > self.story.time(ending.frame))?;
        let reset = connection.to_server.rst?;
        let text = format!(
            "{} half-closed its connection and lost the backend's last replies",
            capital(&self.client())
        );
        let draft = self
            .draft(Code::HalfClosed)
            .title(text)
            .saw(late, "data from the backend after the client's FIN")
            .saw(reset, "RST from the proxy: the data is discarded");
        Some(self.with_endings(draft))
    }

    fn idle_in_front(&self) -> Option<Draft> {
        const SECOND: i64 = 1_000_000_000;
        let silence = self.session.idle_before_end_nanos?;
        if self.session.outstanding {
            return None;
        }
        let device = self.story.outer.has_device_in_front();
        let (limit, sure) = if device {
            (fitting_timeout(silence)?, Confidence::Likely)
        } else {
            let limit = FRONT_LIMITS
                .iter()
                .copied()
                .find(|limit| (limit.saturating_mul(SECOND)).abs_diff(silence) <= 700_000_000)?;
            (limit, Confidence::Guess)
        };
        let text = format!(
            "The client's side closed the tunnel after {} of silence",
            duration(silence)
        );
        let draft = self
            .draft(Code::IdleTimeoutInFront)
            .sure(sure)
            .title(text.clone())
            .headline(format!(
                "{text}, as an idle limit of {limit} s in front of {} does",
                self.story.front()
            ))
            .detail(format!(
                "Nothing was said or outstanding for {}. {} {}",
                duration(silence),
                self.pings(),
                if device {
                    "The request shows that another proxy or balancer stands in front."
                } else {
                    "The silence has the length of a usual idle limit of balancers and NAT."
                }
            ));
        Some(self.with_endings(draft))
    }

    // ---- one hop only ----

    /// The side that ended it hides who stands behind.
    fn by_somebody(&self, ending: HopEnding, out: &mut Vec<Draft>) {
        if let Some(draft) = self.not_reading().or_else(|| self.lost(true)) {
            out.push(draft);
            return;
        }
        let silence = self.session.idle_before_end_nanos;
        let fits = silence
            .and_then(fitting_timeout)
            .filter(|timeout| USUAL_TIMEOUTS.contains(timeout) && !self.session.outstanding);
        if let Some(timeout) = fits
            && ending.how == EndingHow::Fin
        {
            self.idle(ending, timeout, out);
            return;
        }
        if ending.by == Side::Client {
            // From the proxy's side towards the backend: most often a client that left.
            let proxy = self.story.proxy_of(self.story.outer);
            let text = format!("The client behind {proxy} left without a Close frame");
            let draft = self
                .draft(Code::ClientLeft)
                .sure(Confidence::Likely)
                .title(text.clone())
                .headline(format!("{text}{}", self.lasted()));
            out.push(self.with_endings(draft));
            return;
        }
        if ending.how == EndingHow::Rst {
            let front = self.story.front();
            let text = format!("{} reset the session", capital(&front));
            let draft = self
                .draft(Code::ProxyClosed)
                .sure(Confidence::Likely)
                .title(text.clone())
                .headline(format!("{text}{}", self.lasted()));
            out.push(self.with_endings(draft));
            return;
        }
        out.push(self.by_backend(ending).sure(Confidence::Guess));
    }

    // ---- cut frames and sessions without an end ----

    fn cut_facts(&self) -> Option<(Direction, FrameRef, u64)> {
        self.hops()
            .filter(|hop| hop.record.connection.ended.is_some())
            .find_map(|hop| hop.session()?.cut_mid_frame)
    }

    fn cut_by(&self, side: Side, how: &str) -> Option<Draft> {
        let (direction, ..) = self.cut_facts()?;
        (direction.sender() == side)
            .then(|| self.cut(how))
            .flatten()
    }

    fn and_cut(&self, text: &str) -> String {
        match self.cut_facts() {
            Some((_, _, missing)) => {
                format!("{text} A frame was cut: {missing} bytes of it never came.")
            }
            None => text.to_owned(),
        }
    }

    fn cut(&self, how: &str) -> Option<Draft> {
        let (direction, frame, missing) = self.cut_facts()?;
        let short_hops = self
            .hops()
            .filter(|hop| hop.session().is_some_and(|s| s.cut_mid_frame.is_some()))
            .count();
        let sender = match direction.sender() {
            Side::Client => self.client(),
            Side::Server => self.backend(),
        };
        let place = if self.one_hop() {
            "Only one hop is in the capture."
        } else if short_hops == self.hops().count() {
            "All hops are equally short: the sender stopped."
        } else {
            "Not all hops are short: what the sender sent was not delivered on."
        };
        let text =
            format!("The session ended inside a frame of {sender}: {missing} bytes never came");
        let draft = self
            .draft(Code::CutMidFrame)
            .title(text.clone())
            .headline(format!("{text}; {how}"))
            .detail(format!("{place} {}.", capital(how)))
            .saw(frame, "the frame that was cut");
        Some(self.with_endings(draft))
    }

    fn never_ended(&self) -> Option<Draft> {
        self.lost(false)
    }
}

/// The last retransmission of data that was never acknowledged, if they went on for long.
fn in_vain(facts: &StreamFacts) -> Option<FrameRef> {
    let last = facts.last_retransmission?;
    let since = facts.last_data?;
    (facts.unacknowledged > 0
        && facts.retransmitted >= 2
        && last.at.nanos_since(since.at) >= IN_VAIN_NANOS)
        .then_some(last)
}

/// With a capital first letter; names such as `nginx` keep theirs.
fn capital(text: &str) -> String {
    if text.starts_with("nginx") {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}
