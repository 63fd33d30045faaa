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

mod by_ends;
mod by_proxy;

use super::close::{self, Meaning};
use super::draft::Draft;
use super::story::Story;
use super::text::{capital, duration, list, short};
use super::view::HopView;
use super::{Code, Severity};
use crate::capture::{FrameRef, Timestamp};
use crate::hop::{Confidence, Hop, HopEnding, Party, Role, Session};
use crate::tcp::{Direction, EndingHow, Side, StreamFacts};
use crate::websocket::{CloseFrame, SessionFacts, Silence};

/// nginx's timers may fire this much early (its timer is lazy by 300 ms) or late (scheduling, capture).
pub(super) const EARLY_NANOS: i64 = 350_000_000;
pub(super) const LATE_NANOS: i64 = 100_000_000;

/// Retransmissions for at least this long are more than a burst of loss.
const IN_VAIN_NANOS: i64 = 1_000_000_000;

/// Timeouts that people configure, seconds: a silence of one of these is hardly a coincidence.
const USUAL_TIMEOUTS: &[i64] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 45, 50, 55, 60, 65, 70, 75, 80, 90, 100,
    110, 120, 150, 180, 200, 240, 250, 300, 350, 360, 400, 420, 480, 500, 600, 720, 900, 1000,
    1200, 1500, 1800, 2400, 2700, 3000, 3600, 5400, 7200, 10_800, 14_400, 18_000, 21_600, 28_800,
    36_000, 43_200, 86_400,
];

/// Of timeouts up to this, in seconds, all are usual.
const BY_CHANCE: i64 = 10;

/// A timer fires this much early (it counts in milliseconds) or late (a busy worker), unless it is lazy.
const FIRES_EARLY_NANOS: i64 = 10_000_000;
const FIRES_LATE_NANOS: i64 = 40_000_000;

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
        // Frames, Close frames among them, may have gone the way that was not captured.
        None if end.hops().all(HopView::one_way) => {}
        // Of the hops in one direction, an earlier end may be the one that decided.
        None if session.ended_by.is_none()
            && session.ended.is_some()
            && end.hops().any(HopView::one_way) => {}
        None => match end.ended() {
            Some(ending) => end.without_close(ending, faulty, out),
            None => out.extend(end.never_ended()),
        },
    }
}

/// The timeout T in whole seconds that a silence fits: nginx fires within [T - 0.3 s, T] after the last byte.
pub(super) fn fitting_timeout(silence_nanos: i64) -> Option<i64> {
    const SECOND: i64 = 1_000_000_000;
    let seconds = silence_nanos
        .saturating_sub(LATE_NANOS)
        .checked_add(SECOND - 1)?
        .div_euclid(SECOND);
    let early = seconds.saturating_mul(SECOND).saturating_sub(silence_nanos);
    (seconds >= 1 && early <= EARLY_NANOS).then_some(seconds)
}

/// Whether a silence fits a timeout that people configure.
pub(super) fn usual_timeout(silence_nanos: i64) -> bool {
    fitting_timeout(silence_nanos).is_some_and(|timeout| USUAL_TIMEOUTS.contains(&timeout))
}

/// Whether a silence may well fit this timeout, in seconds, by chance: nearly all of a few seconds fit some usual one, and
/// nearly half of all others some whole second.
pub(super) fn fits_by_chance(timeout: i64) -> bool {
    timeout <= BY_CHANCE || !USUAL_TIMEOUTS.contains(&timeout)
}

/// Whether a timer of so many seconds fires after this time, or by `slack` later.
pub(super) const fn fires_after(timeout: i64, nanos: i64, slack: i64) -> bool {
    let late = nanos.saturating_sub(timeout.saturating_mul(1_000_000_000));
    late >= -FIRES_EARLY_NANOS && late <= FIRES_LATE_NANOS.saturating_add(slack)
}

/// The timeout that a silence shows.
struct Limit {
    /// The shortest that it can be.
    at_least_nanos: i64,
    /// As text.
    text: String,
}

impl Limit {
    /// A whole number of seconds, as people configure it.
    fn seconds(seconds: i64) -> Self {
        Self {
            at_least_nanos: seconds.saturating_mul(1_000_000_000),
            text: format!("{seconds} s"),
        }
    }

    /// Anything from the silence on to as much as a timer may be early.
    fn about(silence_nanos: i64) -> Self {
        Self {
            at_least_nanos: silence_nanos,
            text: format!(
                "{} to {}",
                duration(silence_nanos),
                duration(silence_nanos.saturating_add(EARLY_NANOS))
            ),
        }
    }
}

/// The end of a session, as its rules read it.
struct End<'a> {
    story: &'a Story<'a>,
    session: &'a Session,
}

impl<'a> End<'a> {
    /// The hops that the session ran over. On some the capture may lack what it takes to follow its frames.
    fn hops(&self) -> impl Iterator<Item = &'a Hop> {
        self.story.handshake.tunnel().map(|(_, hop)| hop)
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

    /// An earlier silence that was longer than the one before the end: what ends silences of that length would have
    /// ended it then.
    fn lived_through(&self, silence: i64) -> Option<Silence> {
        self.session
            .survived
            .filter(|earlier| earlier.nanos() > silence.saturating_add(EARLY_NANOS))
    }

    /// The timeout that the silence before the end fits, unless something was outstanding or an earlier, longer silence
    /// did no harm.
    fn usual_limit(&self) -> Option<i64> {
        let silence = self.session.idle_before_end_nanos?;
        let timeout =
            fitting_timeout(silence).filter(|timeout| USUAL_TIMEOUTS.contains(timeout))?;
        (!self.session.outstanding && self.lived_through(silence).is_none()).then_some(timeout)
    }

    /// How sure a timeout is that the silence before the end fits. Where that may be chance, the timer must have fired to
    /// the moment.
    fn sure(&self, timeout: i64) -> Confidence {
        if fits_by_chance(timeout) && !self.is_punctual(timeout) {
            Confidence::Guess
        } else {
            Confidence::Likely
        }
    }

    /// Whether the end came when a timer of so many seconds must have fired, set by the last data or, as nginx does it,
    /// by the data that a lazy timer counts from.
    fn is_punctual(&self, timeout: i64) -> bool {
        self.session.endings.iter().any(|ending| {
            let Some(hop) = self.story.handshake.hops.get(ending.hop) else {
                return false;
            };
            // What is captured far from the proxy is seen later or earlier than there.
            let rtt = hop.record.connection.rtt_nanos.unwrap_or_default();
            let slack = rtt.clamp(0, LATE_NANOS);
            let timer = hop
                .session()
                .map(|session| session.timer.running_at(ending.frame));
            timer
                .into_iter()
                .chain(self.session.last_data)
                .any(|since| {
                    let after = self.time(ending.frame).nanos_since(self.time(since));
                    fires_after(timeout, after, slack)
                })
        })
    }

    /// Who ended it. One hop alone does not tell a proxy from what is behind it.
    fn party(&self, ending: HopEnding) -> Option<Party> {
        if !self.one_hop() {
            return self.session.ended_by;
        }
        // Of the other hops only the session is hidden, so that it is known who stands where.
        if self.story.handshake.hops.len() > 1 && self.session.ended_by.is_some() {
            return self.session.ended_by;
        }
        match (ending.by, self.story.outer.role) {
            (Side::Server, Role::Direct) => Some(Party::Backend),
            (Side::Server, _) if self.story.backend_only() => Some(Party::Backend),
            (Side::Client, _) if !self.story.backend_only() => Some(Party::Client),
            _ => None,
        }
    }

    fn time(&self, frame: FrameRef) -> Timestamp {
        self.story.time(frame)
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
            let end = connection.endpoint(ending.by);
            let shows = match ending.how {
                EndingHow::Fin if connection.ended_unseen() => {
                    format!("acknowledges a FIN from {end} that was not captured")
                }
                EndingHow::Fin => format!("FIN from {end}, no Close frame before it"),
                EndingHow::Rst => format!("RST from {end}, no Close frame before it"),
            };
            draft = draft.saw(ending.frame, shows);
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
            Meaning::Planned(text) | Meaning::Private(text) => (text, Severity::Warning),
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
        let heard = self.story.handshake.hears(match close.by {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        });
        let text = if answered || heard {
            format!("{who} closed the session with {code} ({meaning}){reason}")
        } else {
            format!("the session was closed with {code} ({meaning}){reason}")
        };
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
                } else if !heard {
                    format!(
                        "{} sent this code; whether {other} did before or answered is not in the capture.",
                        capital(&who)
                    )
                } else {
                    format!("{} did not answer with a Close frame.", capital(&other))
                })
                .saw(close.frame, format!("Close {code} from {who}{reason}")),
        )
    }

    fn without_close(&self, ending: HopEnding, faulty: bool, out: &mut Vec<Draft>) {
        let party = self.party(ending);
        // What a network or a vanished peer began, the other side's close only completes.
        if let Some(draft) = self.lost_before(ending) {
            out.push(draft);
            return;
        }
        if party != Some(Party::Proxy) && ending.how == EndingHow::Fin && self.lost_sync() {
            out.push(self.close_may_be_hidden());
            return;
        }
        match party {
            Some(Party::Proxy) => self.by_proxy(ending, out),
            Some(Party::Backend) => out.push(self.by_backend(ending)),
            // A client that fails the connection over a fault has said enough by leaving.
            Some(Party::Client) if faulty => {}
            Some(Party::Client) => out.push(self.by_client(ending)),
            None => self.by_somebody(ending, out),
        }
    }

    /// Whether no hop shows all frames: a Close frame may be among those that could not be read.
    fn lost_sync(&self) -> bool {
        self.hops()
            .filter_map(Hop::session)
            .all(|session| session.lost_sync.is_some())
    }

    fn close_may_be_hidden(&self) -> Draft {
        let draft = self
            .draft(Code::CaptureGap)
            .title("Frames of this session could not be read, so whether it was closed by a Close frame is unknown")
            .detail("Bytes are missing in the capture, and the frames behind them could not be found again.");
        self.session.endings.iter().fold(draft, |draft, ending| {
            draft.saw(ending.frame, "the connection ends")
        })
    }

    /// The side that ended it hides who stands behind.
    fn by_somebody(&self, ending: HopEnding, out: &mut Vec<Draft>) {
        if let Some(draft) = self.not_reading() {
            out.push(draft);
            return;
        }
        if let Some(timeout) = self.usual_limit()
            && ending.how == EndingHow::Fin
        {
            // Behind the hop that was not seen something may have been outstanding, or somebody else have ended it.
            self.idle(ending, &Limit::seconds(timeout), Confidence::Guess, out);
            return;
        }
        if ending.by == Side::Client {
            // From the proxy's side towards the backend: most often a client that left.
            let proxy = self.proxy(ending);
            let text = format!("The client behind {proxy} left without a Close frame");
            let draft = self
                .draft(Code::ClientLeft)
                .sure(Confidence::Likely)
                .title(text.clone())
                .headline(format!("{text}{}", self.lasted()));
            out.push(self.with_endings(draft));
            return;
        }
        // A proxy passes no RST on; what is no proxy resets on its own account.
        if ending.how == EndingHow::Rst && self.story.outer.role == Role::ClientProxy {
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
        let is_short = |hop: &&Hop| hop.session().is_some_and(|s| s.cut_mid_frame.is_some());
        let named = |hops: Vec<&Hop>| {
            let names: Vec<String> = hops
                .iter()
                .map(|hop| {
                    let connection = &hop.record.connection;
                    format!("{} to {}", connection.client, connection.server)
                })
                .collect();
            list(&names)
        };
        let short: Vec<&Hop> = self.hops().filter(is_short).collect();
        let whole: Vec<&Hop> = self
            .hops()
            .filter(|hop| hop.session().is_some() && !is_short(hop))
            .collect();
        let sender = match direction.sender() {
            Side::Client => self.client(),
            Side::Server => self.backend(),
        };
        let place = if self.one_hop() {
            "Only one hop is in the capture.".to_owned()
        } else if whole
            .iter()
            .any(|hop| hop.session().is_some_and(|s| s.lost_sync.is_some()))
        {
            format!("It is cut on the hop {}.", named(short))
        } else if whole.is_empty() {
            "All hops are equally short: the sender stopped.".to_owned()
        } else {
            format!(
                "It is cut on the hop {} and whole on {}: what the sender sent was not delivered on.",
                named(short),
                named(whole)
            )
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
        self.lost()
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
