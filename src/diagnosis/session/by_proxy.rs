//! Ends by the proxy: a timeout, or a reason of its own.

use super::{End, is_one_sided};
use crate::diagnosis::Code;
use crate::diagnosis::catalogue::IDLE_RELAY;
use crate::diagnosis::draft::Draft;
use crate::diagnosis::program::Program;
use crate::diagnosis::text::{capital, count, duration, list};
use crate::diagnosis::timeout::{self, EARLY_NANOS, Limit};
use crate::hop::{Confidence, Hop, HopEnding, REPEATED_NANOS, Role};
use crate::tcp::Direction;
use crate::websocket::{SessionFacts, Silence};

/// A proxy that ends a tunnel ends both hops within this time.
const TOGETHER_NANOS: i64 = 50_000_000;

impl End<'_> {
    pub(super) fn by_proxy(&self, ending: HopEnding, out: &mut Vec<Draft>) {
        if let Some(draft) = self.not_reading() {
            out.push(draft);
            return;
        }
        let proxy = self.proxy(ending);
        let silence = self.session.idle_before_end_nanos.unwrap_or_default();
        if !self.session.outstanding
            && self.ended_together()
            && let Some((limit, sure)) = self.limit(silence)
        {
            let sure = if self.unseen().is_some() {
                Confidence::Guess
            } else {
                sure
            };
            self.idle(ending, &limit, sure, out);
            return;
        }
        if let Some(draft) = self.cut(&format!("{proxy} ended it")) {
            out.push(draft);
            return;
        }
        let mut draft = self.draft(Code::ProxyClosed).by(self.program(ending));
        let unseen = self.unseen();
        let mut told = Vec::new();
        if let Some(earlier) = self.lived_through(silence) {
            let long = duration(earlier.nanos());
            let who = if self.is_own(earlier) {
                "the session had"
            } else {
                "another session of this location"
            };
            told.push(format!(
                "No idle timeout: {who} lived through a longer silence, of {long}."
            ));
            draft = draft.saw(earlier.until, format!("data ends a silence of {long}"));
        }
        told.extend(unseen.map(str::to_owned));
        let in_vain = self.sent_in_vain();
        if in_vain {
            told.push(
                "Bytes were sent and never acknowledged, although there was time to send them again: a loss may be why it ended."
                    .to_owned(),
            );
        }
        let late = self.may_be_outstanding_since();
        if late {
            told.push(
                "An end of it was not captured: what is outstanding may have been sent after that, and a timeout have ended it."
                    .to_owned(),
            );
        }
        if !told.is_empty() {
            draft = draft.detail(told.join(" "));
        }
        let (sure, perhaps) = if unseen.is_some() || in_vain || late {
            (Confidence::Guess, ", perhaps of its own accord")
        } else {
            (Confidence::Likely, "")
        };
        let (proxy, silence) = (capital(&proxy), duration(silence));
        let lasted = self.lasted();
        let draft = draft
            .sure(sure)
            .title(format!(
                "{proxy} closed the tunnel, {silence} after the last frame{perhaps}"
            ))
            .headline(format!(
                "{proxy} closed the tunnel{lasted}, without a Close frame, {silence} after the last frame{perhaps}"
            ));
        out.push(self.with_endings(draft));
    }

    /// The timeout that a silence of this length shows, and how sure that is. Any longer silence may be one that is no
    /// whole number of seconds; a short one is no silence.
    fn limit(&self, silence: i64) -> Option<(Limit, Confidence)> {
        const LONG_NANOS: i64 = 1_000_000_000;
        if self.lived_through(silence).is_some() {
            return None;
        }
        let Some(timeout) = timeout::fitting(silence) else {
            return (silence >= LONG_NANOS && self.client_hop_first() == Some(false))
                .then(|| (Limit::about(silence), Confidence::Guess));
        };
        if self.unseen().is_none() && self.is_off_its_timer(timeout) {
            return None;
        }
        // One tunnel may have been cut at that moment by chance; others that ended after the same silence make it certain.
        Some((Limit::seconds(timeout), self.sure(timeout)))
    }

    /// What the capture lacks of what would show that the proxy ended it of its own accord: a proxy that gives up ends
    /// every hop, and nothing is outstanding on any.
    fn unseen(&self) -> Option<&'static str> {
        if self.hops().any(is_one_sided) {
            Some(
                "Of one hop only one direction was captured: somebody else may have ended it, or something may have been outstanding.",
            )
        } else if self.session.endings.len() < self.hops().count() {
            Some("Not all hops are seen to end.")
        } else {
            None
        }
    }

    /// Whether some side sent bytes that were never acknowledged, and again, or so long ago that it must have. A repetition more
    /// would show a loss, and may be what the capture lacks.
    pub(super) fn sent_in_vain(&self) -> bool {
        let end = self.ended().map(|ending| self.time(ending.frame));
        self.hops().any(|hop| {
            [Direction::ToServer, Direction::ToClient]
                .iter()
                .any(|&direction| {
                    let stream = hop.record.connection.stream(direction);
                    let long_ago = stream.last_data.zip(end).is_some_and(|(data, end)| {
                        end.nanos_since(self.time(data)) >= REPEATED_NANOS
                    });
                    stream.unacknowledged > 0 && (stream.last_retransmission.is_some() || long_ago)
                })
        })
    }

    /// Whether what speaks against a timeout, bytes that are outstanding, may have come after the end: of that, the FIN is not
    /// in the capture, only what it brought about.
    fn may_be_outstanding_since(&self) -> bool {
        let mut hops = self.hops();
        self.session.outstanding && hops.any(|hop| hop.record.connection.ended_unseen())
    }

    /// Whether a silence is one of this session's.
    fn is_own(&self, silence: Silence) -> bool {
        self.hops()
            .filter_map(Hop::session)
            .any(|session| session.longest_silence == Some(silence))
    }

    /// Whether the client hop ended before the hop behind it; `None` where two clocks or one hop cannot tell. nginx ends
    /// the backend's first.
    fn client_hop_first(&self) -> Option<bool> {
        let [first, second, ..] = self.session.endings.as_slice() else {
            return None;
        };
        (first.frame.capture() == second.frame.capture() && first.hop != second.hop)
            .then_some(first.hop < second.hop)
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

    pub(super) fn idle(
        &self,
        ending: HopEnding,
        limit: &Limit,
        sure: Confidence,
        out: &mut Vec<Draft>,
    ) {
        let silence = self.session.idle_before_end_nanos.unwrap_or_default();
        let proxy = self.proxy(ending);
        let unseen = self.unseen();
        let draft = self
            .idle_draft((&proxy, self.program(ending)), limit, silence, sure, unseen)
            .sure(sure);
        out.push(self.with_endings(draft));
        if self.silent() {
            out.push(self.silent_after_101(&proxy, silence));
        }
    }

    /// The texts of an idle timeout; `unseen`: what the capture lacks of what would show it.
    pub(super) fn idle_draft(
        &self,
        proxy: (&str, Program),
        limit: &Limit,
        silence: i64,
        sure: Confidence,
        unseen: Option<&str>,
    ) -> Draft {
        let (proxy, program) = proxy;
        let proxy = capital(proxy);
        let silent = duration(silence);
        let text = &limit.text;
        let enough = limit
            .at_least_nanos
            .saturating_sub(EARLY_NANOS)
            .max(EARLY_NANOS);
        let relays = self.relays();
        let (name, if_nginx) = match program {
            _ if relays => ("idle timeout", "proxy_timeout, if it is nginx"),
            Program::Unknown => ("idle timeout", "proxy_read_timeout, if it is nginx"),
            known => (known.idle_timeout(), ""),
        };
        let (directive, aside) = if if_nginx.is_empty() {
            (name.to_owned(), String::new())
        } else {
            (format!("{name} ({if_nginx})"), format!("; {if_nginx}"))
        };
        let article = if name.starts_with("idle") { "an" } else { "a" };
        let a_directive = format!("{article} {directive}");
        let shown = if sure == Confidence::Guess {
            format!(
                "this fits {a_directive} of {text}, and a proxy that closed it then for another reason, as at a reload."
            )
        } else {
            format!("the {directive} is {text}.")
        };
        let mut detail = format!(
            "Nothing was said or outstanding on any hop for {silent}: {shown} {} A ping at least every {} would have kept it open.",
            self.pings(),
            duration(enough),
        );
        if let Some(earlier) = self.session.survived {
            let long = duration(earlier.nanos());
            detail = format!("{detail} The longest silence before, {long}, did not end it.");
        }
        if let Some(unseen) = unseen {
            detail = format!("{detail} {unseen}");
        }
        if self.one_hop() {
            detail.push_str(
                " Only one hop shows the session, so what happened on the other is inferred.",
            );
        }
        let draft = self
            .draft(Code::IdleTimeout)
            .by(program)
            .title(format!(
                "{proxy} closed the tunnel after {silent} of silence ({}{name} {text}{aside})",
                if sure == Confidence::Guess {
                    "perhaps its "
                } else {
                    ""
                }
            ))
            .headline(if sure == Confidence::Guess {
                format!(
                    "{proxy} closed the tunnel after {silent} of silence, as {a_directive} of {text} does"
                )
            } else {
                format!(
                    "{proxy} closed the tunnel after {silent} of silence: its {directive} is {text}"
                )
            })
            .detail(detail);
        let every = duration(limit.at_least_nanos / 2);
        if relays {
            return draft.told(&IDLE_RELAY).fix(format!(
                "Send a ping at least every {every} from either side, and raise the timeout as well."
            ));
        }
        if let Program::Other(_) = program {
            let raised = program.idle_timeout();
            return draft.snippet("").fix(format!(
                "Send a ping at least every {every} from either side, and raise the {raised} as well."
            ));
        }
        draft.fix(format!(
            "Send a ping at least every {every} from either side, and raise proxy_read_timeout as well. 0 does not disable it: it fails every request at once.",
        ))
    }

    /// Whether the proxies pass on bytes as they are: HTTP proxies change something in every head.
    fn relays(&self) -> bool {
        let mut seen = false;
        let same = self.story.links().all(|link| {
            link.requests().is_some_and(|(before, after)| {
                seen = true;
                before.target() == after.target() && before.fields.raw() == after.fields.raw()
            })
        });
        same && seen
    }

    /// What pings there were, in a sentence.
    pub(super) fn pings(&self) -> String {
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
                let last = carried.last_ping.zip(self.ended()).map_or_else(
                    String::new,
                    |(ping, ending)| {
                        let before = self.time(ending.frame).nanos_since(self.time(ping));
                        format!(", the last one {} before the end", duration(before.max(0)))
                    },
                );
                format!(
                    "{} from the {who}{every}{last}",
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
            format!("Seen before: {}.", list(&seen))
        }
    }

    /// Whether not a single ws frame was sent before the end.
    pub(super) fn silent(&self) -> bool {
        let end = self.ended().map(|ending| self.time(ending.frame));
        let late = |frame| end.is_some_and(|end| self.time(frame) > end);
        let wordless = |hop: &Hop, session: &SessionFacts| {
            let firsts = [session.to_server.first, session.to_client.first];
            hop.hears_both() && firsts.into_iter().flatten().all(late)
        };
        // What came late on one hop may have come in time on another, where it is lost.
        let mut sessions = self.hops().filter_map(|hop| Some((hop, hop.session()?)));
        self.session.last_data.is_none_or(late)
            && sessions.all(|(hop, session)| wordless(hop, session))
    }

    fn silent_after_101(&self, who: &str, silence: i64) -> Draft {
        // That the backend sent its 101 does not show that the proxy made a tunnel of it.
        let direct = self.story.outer.role == Role::Direct && !self.story.backend_only();
        let alone = self.one_hop() && !direct;
        let sure = if alone {
            Confidence::Likely
        } else {
            Confidence::Certain
        };
        let draft = self
            .draft(Code::SilentAfter101)
            .sure(sure)
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
}
