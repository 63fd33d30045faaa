//! Ends by the backend or the client, or by whoever stands behind the hop that was captured.

use super::End;
use super::by_mqtt::BROKER_CLOSES;
use crate::capture::FrameRef;
use crate::diagnosis::Code;
use crate::diagnosis::draft::Draft;
use crate::diagnosis::program::Program;
use crate::diagnosis::text::{capital, duration};
use crate::diagnosis::timeout::{self, Limit};
use crate::diagnosis::view::HopView;
use crate::hop::{Confidence, Hop, HopEnding, Role};
use crate::tcp::{Direction, EndingHow, Side};

/// A client that leaves sooner than this after the 101, without a frame, did not want the session.
const AT_ONCE_NANOS: i64 = 1_000_000_000;

/// Idle limits of devices in front of proxies, seconds: balancers, CDNs, NAT gateways.
const FRONT_LIMITS: &[i64] = &[50, 55, 60, 100, 230, 240, 300, 350, 600, 3600];

/// What may excuse it where the 101 was not captured.
const SUBPROTOCOL_UNSEEN: &str = "The backend closed its TCP connection without the closing handshake of WebSocket. On which subprotocol both sides agreed is not in the capture: some have a goodbye of their own, as MQTT has, behind which none is due.";

impl End<'_> {
    pub(super) fn by_backend(&self, ending: HopEnding) -> Draft {
        let backend = self.backend();
        let sure = if self.backend_may_be_behind() {
            Confidence::Likely
        } else {
            Confidence::Certain
        };
        if let Some(draft) = self.stopped_reading(Side::Server) {
            return draft;
        }
        if ending.how == EndingHow::Rst {
            let text = format!("{} reset the session", capital(&backend));
            let draft = self
                .titled(Code::BackendReset, &text)
                .sure(sure)
                .detail(self.and_cut("The connection was aborted, no Close frame was sent."));
            return self.with_endings(draft);
        }
        if let Some(draft) = self.cut_by(Side::Server, &format!("{backend} ended it")) {
            return draft;
        }
        if let Some(draft) = self.idle_behind(ending) {
            return draft;
        }
        let text = format!(
            "{} closed the session without a Close frame",
            capital(&backend)
        );
        let draft = self
            .titled(Code::BackendClosedWithoutClose, &text)
            .sure(sure);
        let draft = if self.carries_mqtt() {
            draft.detail(BROKER_CLOSES)
        } else if self.hops().all(|hop| hop.exchange().response.is_none()) {
            draft.sure(Confidence::Guess).detail(SUBPROTOCOL_UNSEEN)
        } else {
            draft
        };
        self.with_endings(draft)
    }

    /// The server of the last hop seen is an nginx of its own, and ended it after a usual timeout. It may as well have passed on
    /// what its own backend did, on a hop that is not seen.
    fn idle_behind(&self, ending: HopEnding) -> Option<Draft> {
        let silence = self.session.idle_before_end_nanos?;
        let timeout = self.usual_limit()?;
        let inner = self.story.inner;
        if !inner.answered_by_nginx(None) {
            return None;
        }
        let nginx = format!("nginx {}", inner.record.connection.server.ip());
        let sure = if timeout::fits_by_chance(timeout) {
            Confidence::Guess
        } else {
            self.sure(timeout)
        };
        let unseen = format!(
            "What {nginx} said to its own backend is not in the capture: that may have ended it."
        );
        let limit = Limit::seconds(timeout);
        let draft = self.idle_draft(
            (&nginx, Program::Nginx),
            &limit,
            silence,
            sure,
            Some(&unseen),
        );
        Some(
            self.with_endings(draft)
                .sure(sure)
                .saw(ending.frame, format!("{nginx} closes first")),
        )
    }

    pub(super) fn by_client(&self, ending: HopEnding) -> Draft {
        let client = self.client();
        let after = ending.frame.at.nanos_since(self.session.established.at);
        if after <= AT_ONCE_NANOS && self.silent() {
            let after = duration(after.max(0));
            let text = format!(
                "{} closed {after} after the 101, without a frame",
                capital(&client)
            );
            let draft = self.draft(Code::ClosedRightAfter101).title(text);
            return self.with_endings(draft);
        }
        if let Some(draft) = self.half_closed(ending) {
            return draft;
        }
        if let Some(draft) = self.stopped_reading(Side::Client) {
            return draft;
        }
        if let Some(draft) = self.idle_in_front() {
            return draft;
        }
        if let Some(draft) = self.cut_by(Side::Client, &format!("{client} ended it")) {
            return draft;
        }
        if ending.how == EndingHow::Rst {
            let text = format!("{} reset the session", capital(&client));
            let draft = self.titled(Code::ClientReset, &text);
            // A client that never got what it was sent may be one that a loss had cut off before.
            let draft = if self.sent_in_vain() {
                draft.sure(Confidence::Likely)
            } else {
                draft
            };
            return self.with_endings(draft);
        }
        let text = format!("{} left without a Close frame", capital(&client));
        let draft = self.titled(Code::ClientLeft, &text);
        self.with_endings(draft)
    }

    /// The client's FIN, then data from the backend, then the proxy's RST to it.
    pub(super) fn half_closed(&self, ending: HopEnding) -> Option<Draft> {
        let inner = self.story.inner;
        if ending.how != EndingHow::Fin || std::ptr::eq(inner, self.story.outer) {
            return None;
        }
        let connection = &inner.record.connection;
        let late = inner
            .record
            .last_said(Direction::ToClient)
            .filter(|frame| self.story.time(*frame) > self.story.time(ending.frame))
            .filter(|frame| !self.only_closes(inner, *frame, ending))?;
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

    /// Whether the last that the server sent after an end is but a Close frame, as some servers answer a FIN.
    fn only_closes(&self, hop: &Hop, last: FrameRef, ending: HopEnding) -> bool {
        let Some(facts) = hop.session() else {
            return false;
        };
        let closes = facts.close_by(Side::Server);
        let message = facts.to_client.last_message;
        closes.is_some_and(|close| close.frame == last)
            && message.is_none_or(|frame| self.time(frame) <= self.time(ending.frame))
    }

    pub(super) fn idle_in_front(&self) -> Option<Draft> {
        const SECOND: i64 = 1_000_000_000;
        let silence = self.session.idle_before_end_nanos?;
        if self.session.outstanding || self.lived_through(silence).is_some() {
            return None;
        }
        // What the proxy wrote for the backend is no sign of another one in front.
        let own = self.story.sealed_front().is_some();
        let device = !own && self.story.outer.has_device_in_front();
        let (limit, sure) = if device {
            // A client may leave after any silence.
            let limit = timeout::fitting(silence)?;
            let sure = self.sure(limit);
            (sure >= Confidence::Likely).then_some((limit, sure))?
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
        let hint = if device {
            "The request shows that another proxy or balancer stands in front.".to_owned()
        } else if self.may_come_from_a_proxy() {
            format!(
                "The silence has the length of a usual idle limit of proxies, balancers and NAT. Without the request it is not known whether {} is the client or a proxy: nginx ends a tunnel after proxy_read_timeout, 60 s by default.",
                self.story.outer.record.connection.client.ip()
            )
        } else {
            "The silence has the length of a usual idle limit of balancers and NAT.".to_owned()
        };
        let draft = self
            .draft(Code::IdleTimeoutInFront)
            .sure(sure)
            .title(text.clone())
            .headline(format!(
                "{text}, as an idle limit of {limit} s in front of {} does",
                self.story.front()
            ))
            .detail(format!(
                "Nothing was said or outstanding for {}. {} {hint}",
                duration(silence),
                self.pings(),
            ));
        let draft = if self.may_come_from_a_proxy() {
            draft.fix("Send pings more often than that limit, and raise it where it is set: proxy_read_timeout if an nginx is in front, else the limit of the balancer or device there.")
        } else {
            draft
        };
        Some(self.with_endings(draft))
    }

    /// One hop without its handshake, and nothing in front of it: nothing tells what its client is.
    fn may_come_from_a_proxy(&self) -> bool {
        self.one_hop() && self.story.began_late() && self.story.sealed_front().is_none()
    }

    /// The side that ended it hides who stands behind.
    pub(super) fn by_somebody(&self, ending: HopEnding, out: &mut Vec<Draft>) {
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
        // The backend's own hop tells that a proxy ended it, not the backend.
        let last = self.story.handshake.tunnel().last();
        let mut others = self.session.endings.iter();
        let passed_on = !self.one_hop()
            && ending.how == EndingHow::Fin
            && others.any(|other| {
                other.by == Side::Client && last.is_some_and(|(place, _)| place == other.hop)
            });
        if ending.by == Side::Client || passed_on {
            // From the proxy's side towards the backend: most often a client that left.
            let proxy = self.proxy(ending);
            let text = format!("The client behind {proxy} left without a Close frame");
            let draft = self
                .titled(Code::ClientLeft, &text)
                .sure(Confidence::Likely);
            out.push(self.with_endings(draft));
            return;
        }
        // A proxy passes no RST on; what is no proxy resets on its own account. Of several hops it is the ending's own server
        // that reset it, whoever had begun to end the session in a hole.
        let reset_on = (ending.how == EndingHow::Rst)
            .then(|| self.story.handshake.hops.get(ending.hop))
            .flatten();
        if reset_on.is_some_and(|hop| hop.role == Role::ClientProxy) {
            let front = self.story.front();
            let text = format!("{} reset the session", capital(&front));
            let draft = self
                .titled(Code::ProxyClosed, &text)
                .sure(Confidence::Likely);
            out.push(self.with_endings(draft));
            return;
        }
        out.push(self.by_backend(ending).sure(Confidence::Guess));
    }
}
