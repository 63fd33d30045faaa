//! After the 101: who ended the session, how, and why.
//!
//! ```text
//!  Close frame seen before any FIN or RST ──▶ its code decides; who sends FIN after it does not matter
//!  none, but MQTT's own goodbye ──▶ that decides
//!  none ──▶ who sent the first FIN or RST, over all hops?
//!            proxy    reader stuck? data outstanding? silence of a timeout? else closed by the proxy
//!            backend  FIN or RST, inside a frame or not
//!            client   right after the 101? half-closed? after a silence in front? else it left
//!  no end ──▶ data retransmitted in vain: vanished. Otherwise nothing to say.
//! ```
//!
//! A timeout is called one only if nothing was outstanding on any hop.

mod by_ends;
mod by_mqtt;
mod by_proxy;
mod cut;
mod undelivered;

use by_mqtt::GOODBYE_HIDDEN;

use super::close::{self, Meaning};
use super::draft::Draft;
use super::program::Program;
use super::sealed_front;
use super::story::Story;
use super::text::{capital, duration, short};
use super::timeout::{self, EARLY_NANOS, LATE_NANOS};
use super::{Code, Severity};
use crate::capture::{FrameRef, Timestamp};
use crate::hop::{Confidence, Hop, HopEnding, Party, Session};
use crate::tcp::{EndingHow, Side};
use crate::websocket::{CloseFrame, SessionFacts, Silence};

/// What a session says of itself whose frames could not be read to the end.
const CLOSE_HIDDEN: [&str; 2] = [
    "Frames of this session could not be read, so whether it was closed by a Close frame is unknown",
    "Bytes are missing in the capture, and the frames behind them could not be found again.",
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
    match story.handshake.closing() {
        Some((hop, close)) => out.extend(end.by_close(hop, close)),
        // Frames, Close frames among them, may have gone the way that was not captured.
        None if end.hops().all(is_one_sided) => {}
        // Of the hops in one direction, an earlier end may be the one that decided.
        None if session.ended_by.is_none()
            && session.ended.is_some()
            && end.hops().any(is_one_sided) => {}
        None => match end.ended() {
            Some(ending) => end.without_close(ending, faulty, out),
            None => out.extend(end.lost()),
        },
    }
}

/// Whether only one direction of a hop was captured.
fn is_one_sided(hop: &Hop) -> bool {
    hop.record.connection.is_one_sided()
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

    /// Whether just one hop of several was captured, so that the ending's cause may lie behind it.
    fn one_hop(&self) -> bool {
        self.hops().count() < 2 && self.story.sealed_front().is_none()
    }

    /// Whether the server of the only hop may be a proxy, and the backend behind it.
    fn backend_may_be_behind(&self) -> bool {
        self.one_hop() && !self.story.leads_to_backend()
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
        let timeout = timeout::usual(silence)?;
        (!self.session.outstanding && self.lived_through(silence).is_none()).then_some(timeout)
    }

    /// How sure a timeout is that the silence before the end fits. Where that may be chance, the timer must have fired to
    /// the moment. Never surer than that the front, which tells who ended it, is this session's.
    fn sure(&self, timeout: i64) -> Confidence {
        let sure = if timeout::fits_by_chance(timeout) && !self.is_punctual(timeout) {
            Confidence::Guess
        } else {
            Confidence::Likely
        };
        let front = self.story.sealed_front();
        front.map_or(sure, |front| sure.min(front.confidence))
    }

    /// Whether the end came when a timer of so many seconds must have fired, set by the last data or, as nginx does it,
    /// by the data that a lazy timer counts from.
    fn is_punctual(&self, timeout: i64) -> bool {
        self.timers(|after, slack| timeout::fires_after(timeout, after, slack))
    }

    /// Whether the end came when no timer of so many seconds fires.
    fn is_off_its_timer(&self, timeout: i64) -> bool {
        let lost = self
            .hops()
            .filter_map(Hop::session)
            .any(|session| session.lost_sync.is_some());
        timeout::needs_its_timer(timeout)
            && !lost
            && !self.timers(|after, _| timeout::may_fire_after(timeout, after))
    }

    /// Whether a timer that may have ended it, by the time since it was set and how much that may be off, fulfils this.
    fn timers(&self, fires: impl Fn(i64, i64) -> bool) -> bool {
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
                    fires(after, slack)
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
        match ending.by {
            Side::Server if self.story.leads_to_backend() => Some(Party::Backend),
            Side::Client if !self.story.backend_only() => Some(Party::Client),
            Side::Server | Side::Client => None,
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
        let end = self.ended().map(|ending| self.time(ending.frame));
        let last = self.session.last_data;
        let last = last.filter(|frame| end.is_none_or(|end| self.time(*frame) <= end));
        draft
            .saw(self.session.established, "the session is up")
            .may_saw(last, "the last frame of the session")
    }

    /// A draft with this text for a title, and a headline that says how long the session lasted.
    fn titled(&self, code: Code, text: &str) -> Draft {
        self.draft(code)
            .title(text)
            .headline(format!("{text}{}", self.lasted()))
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
        match self.story.sealed_front() {
            Some(front) => sealed_front::ending(draft, front),
            None => draft,
        }
    }

    fn client(&self) -> String {
        format!("the client {}", self.story.client_connection().client.ip())
    }

    fn backend(&self) -> String {
        let server = self.story.inner.record.connection.server;
        if self.backend_may_be_behind() {
            format!("the server side {server}")
        } else {
            format!("the backend {server}")
        }
    }

    /// The hop on which the proxy that ended the tunnel is the client.
    fn behind(&self, ending: HopEnding) -> Option<&'a Hop> {
        let hops = &self.story.handshake.hops;
        match ending.by {
            Side::Client => hops.get(ending.hop),
            Side::Server => hops
                .iter()
                .find(|hop| hop.parent == Some(ending.hop) && !hop.retried),
        }
    }

    /// The proxy that ended the tunnel: between the hop where it is the server and the one where it is the client.
    fn proxy(&self, ending: HopEnding) -> String {
        let child = self.behind(ending);
        child.map_or_else(|| self.story.front(), |hop| self.story.proxy_of(hop))
    }

    /// The program that it runs.
    fn program(&self, ending: HopEnding) -> Program {
        self.behind(ending).map_or_else(
            || self.story.program_at(self.story.outer),
            |hop| self.story.program_of(hop),
        )
    }

    fn lasted(&self) -> String {
        self.session
            .lasted_nanos
            .map_or_else(String::new, |nanos| format!(" after {}", duration(nanos)))
    }

    /// The Close frame that tells the code of this one. Where the capture cut that off: the same one on another hop, or the
    /// answer, which repeats it (RFC 6455 5.5.1).
    fn with_code(&self, close: &'a CloseFrame) -> &'a CloseFrame {
        if close.code.is_some() || !close.cut {
            return close;
        }
        let sessions = self.hops().filter_map(Hop::session);
        let closes = sessions.flat_map(|session| &session.closes);
        let coded = closes.filter(|other| other.code.is_some());
        coded
            .min_by_key(|other| other.by != close.by)
            .unwrap_or(close)
    }

    fn by_close(&self, hop: &Hop, close: &'a CloseFrame) -> Option<Draft> {
        let told = self.with_code(close);
        let (code, meaning, severity) = match told.code.map(|code| (code, close::meaning(code))) {
            // A broker may have said why in its own words.
            None | Some((_, Meaning::Normal)) => {
                let draft = self.by_broker()?;
                return Some(draft.saw(close.frame, "a Close frame ends the session"));
            }
            Some((code, Meaning::Planned(text) | Meaning::Private(text))) => {
                (code, text, Severity::Warning)
            }
            Some((code, Meaning::Error(text))) => (code, text, Severity::Error),
        };
        let who = match close.by {
            Side::Client => self.client(),
            Side::Server => self.backend(),
        };
        let other = match close.by {
            Side::Client => self.backend(),
            Side::Server => self.client(),
        };
        let answered = self.story.handshake.close_answered(close.by);
        let reason = if told.reason.is_empty() || told.by != close.by {
            String::new()
        } else {
            format!(": \"{}\"", short(&told.reason))
        };
        let heard = self.story.handshake.hears(close.by.other());
        let text = if answered == Some(true) || heard {
            format!("{who} closed the session with {code} ({meaning}){reason}")
        } else {
            format!("the session was closed with {code} ({meaning}){reason}")
        };
        let text = capital(&text);
        let sender = if told.by == close.by { &who } else { &other };
        let mut shows = vec![(told.frame, format!("Close {code} from {sender}{reason}"))];
        if told.frame != close.frame {
            let cut = format!("Close from {who}, cut off before its code");
            shows.insert(0, (close.frame, cut));
        }
        let draft = self.draft(Code::ClosedWithError);
        let draft = shows
            .into_iter()
            .fold(draft, |draft, (frame, shows)| draft.saw(frame, shows));
        Some(
            draft
                .bad(severity)
                .on(&hop.record)
                .title(text.clone())
                .headline(format!("{text}{}", self.lasted()))
                .detail(match answered {
                    Some(true) => format!(
                        "{} answered with a Close frame of its own.",
                        capital(&other)
                    ),
                    Some(false) => {
                        format!("{} did not answer with a Close frame.", capital(&other))
                    }
                    None if heard => format!("No answer of {other} is in the capture, and one may come yet."),
                    None => format!(
                        "{} sent this code; whether {other} did before or answered is not in the capture.",
                        capital(&who)
                    ),
                }),
        )
    }

    fn without_close(&self, ending: HopEnding, faulty: bool, out: &mut Vec<Draft>) {
        let party = self.party(ending);
        // What a network or a vanished peer began, the other side's close only completes.
        if let Some(draft) = self.lost_before(ending) {
            out.push(draft);
            return;
        }
        if party != Some(Party::Proxy) {
            if self.mqtt_ended() {
                return;
            }
            if let Some(draft) = self.by_broker() {
                out.push(self.with_endings(draft));
                return;
            }
        }
        if party != Some(Party::Proxy) && ending.how == EndingHow::Fin {
            if self.lost_sync() {
                out.push(self.end_may_be_hidden(CLOSE_HIDDEN));
                return;
            }
            if self.hides_mqtt() {
                out.push(self.end_may_be_hidden(GOODBYE_HIDDEN));
                return;
            }
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

    fn end_may_be_hidden(&self, [title, detail]: [&'static str; 2]) -> Draft {
        let draft = self.draft(Code::CaptureGap).title(title).detail(detail);
        self.session.endings.iter().fold(draft, |draft, ending| {
            draft.saw(ending.frame, "the connection ends")
        })
    }
}
