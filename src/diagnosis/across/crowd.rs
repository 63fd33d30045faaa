//! Tunnels that one proxy ended at one instant, and whether timeouts can explain that.
//!
//! ```text
//!  silences of those that ended together:  0.1 s  0.2 s | 7.3 s  7.5 s | 31.4 s | 60 s  60 s  60 s
//!                                          busy: 2        one window     one      one: a usual timeout
//! ```
//!
//! One idle timeout ends all tunnels that fell silent together (a message to everybody, say), so that equal silences
//! count once. What needs many explanations has one: the proxy.

use std::collections::{BTreeMap, VecDeque};

use super::mass::{Ended, TOGETHER_NANOS, ended};
use crate::capture::{FrameRef, Timestamp};
use crate::decode::Endpoint;
use crate::diagnosis::text::{count, duration};
use crate::diagnosis::timeout::{self, EARLY_NANOS, LATE_NANOS};
use crate::diagnosis::{Code, Diagnosis, Evidence, Finding};
use crate::hop::{Confidence, Handshake, Hop, Record, Role};
use crate::tcp::{Connection, ConnectionId, Side};

/// Endings remembered: the burst of one reload on a busy proxy fits. About 100 bytes each.
const REMEMBERED: usize = 8192;

/// Endings looked at on each side of one: the more there are, the less each of them tells.
const LOOKED_AT: usize = 512;

/// What happened before an event, between these times before it, shows how many endings are usual.
const BEFORE_NANOS: (i64, i64) = (11_000_000_000, 1_000_000_000);

/// Explanations that are needed before an event is one: fewer are a coincidence.
const EXPLANATIONS: usize = 3;

/// A worker that closes its tunnels closes the next one within this time: of two that ended so, with no other ending near, one
/// reason is likelier than two.
const NEXT_NANOS: i64 = 10_000_000;

/// The shortest timeout that anybody sets, as early as a timer may fire: who said something later was not idle.
const SHORTEST_NANOS: i64 = 1_000_000_000 - EARLY_NANOS;

/// Timeouts below this are hardly ever set: only silences of the same length are taken for one.
const SHORT_NANOS: i64 = 5_000_000_000 - EARLY_NANOS;

/// How far silences of one short timeout are apart that began together.
const SAME_NANOS: i64 = 50_000_000;

/// Other tunnels given as evidence of a timeout.
const CONFIRMED_BY: usize = 2;

/// The connection's server, and the side that ended it.
type Place = (Endpoint, Side, Timestamp, ConnectionId);

/// The endings of tunnels, by listener and time.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowds {
    ended: BTreeMap<Place, Ended>,
    oldest: VecDeque<Place>,
}

impl Crowds {
    /// Takes note of a closed connection, if a session ended on it that way.
    pub(super) fn note(&mut self, record: &Record) {
        let Some((side, ended)) = ended(record) else {
            return;
        };
        let connection = &record.connection;
        if self.oldest.len() >= REMEMBERED
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.ended.remove(&oldest);
        }
        let place = (connection.server, side, ended.frame.at, connection.id);
        self.oldest.push_back(place);
        self.ended.insert(place, ended);
    }

    /// The endings of a server's connections by one side, between two times.
    fn between(
        &self,
        server: Endpoint,
        side: Side,
        from: Timestamp,
        to: Timestamp,
    ) -> impl DoubleEndedIterator<Item = (ConnectionId, &Ended)> {
        let (first, last) = (ConnectionId(0), ConnectionId(u64::MAX));
        self.ended
            .range((server, side, from, first)..=(server, side, to, last))
            .map(|((.., id), ended)| (*id, ended))
    }

    /// Those of a server that one side ended together with this one, itself included, if no timeouts explain it.
    pub(super) fn of(&self, front: Endpoint, side: Side, end: FrameRef) -> Option<Vec<Ended>> {
        let between = |from: i64, to: i64| {
            let (from, to) = (end.at.shifted(from), end.at.shifted(to));
            self.between(front, side, from, to).take(LOOKED_AT)
        };
        let before = self
            .between(front, side, end.at.shifted(-TOGETHER_NANOS), end.at)
            .rev()
            .take(LOOKED_AT);
        let after = between(1, TOGETHER_NANOS);
        let mut group: Vec<Ended> = before
            .chain(after)
            .map(|(_, ended)| *ended)
            .filter(|ended| ended.followed)
            .collect();
        group.sort_by_key(|ended| ended.frame);
        let (from, to) = BEFORE_NANOS;
        let usual = between(-from, -to).count();
        let needed = explanations(&group);
        if needed < EXPLANATIONS {
            let one_by_one = group.windows(2).all(|pair| match pair {
                [one, next] => next.frame.at.nanos_since(one.frame.at) <= NEXT_NANOS,
                _ => true,
            });
            // Who had just spoken may have been closed for what was said, and who was idle for a usual time for that.
            let idle = group
                .iter()
                .all(|one| one.silence_nanos >= SHORTEST_NANOS && !is_usual(one.silence_nanos));
            return (needed > 1 && usual == 0 && one_by_one && idle).then_some(group);
        }
        (group.len() >= EXPLANATIONS + usual_together(usual)).then_some(group)
    }

    /// How many tunnels of a listener the server's side ended together with this one, after another silence than this
    /// timeout's; none if as many end at any time.
    fn otherwise_together(&self, outer: &Connection, end: FrameRef, timeout: i64) -> usize {
        let between = |from: i64, to: i64| {
            let (from, to) = (end.at.shifted(from), end.at.shifted(to));
            self.between(outer.server, Side::Server, from, to)
                .take(LOOKED_AT)
        };
        let others = between(-TOGETHER_NANOS, TOGETHER_NANOS)
            .filter(|(id, _)| *id != outer.id)
            .filter(|(_, other)| {
                !other.followed || timeout::fitting(other.silence_nanos) != Some(timeout)
            })
            .count();
        let (from, to) = BEFORE_NANOS;
        let usual = between(-from, -to).count();
        if others > usual_together(usual) {
            others
        } else {
            0
        }
    }

    /// Makes an idle timeout certain if the same listener ended others after the same silence, at other instants: one
    /// tunnel may have been cut at that moment by chance.
    pub(super) fn confirm(&self, handshake: &Handshake, diagnosis: &mut Diagnosis) {
        self.doubt(handshake, diagnosis);
        let is_timeout = matches!(
            diagnosis.cause,
            Some(Code::IdleTimeout | Code::SilentAfter101)
        );
        if !is_timeout {
            return;
        }
        let doubtful = handshake.hops.len() < 2 || handshake.hops.iter().any(Hop::is_doubtful);
        let session = handshake.session.as_ref();
        let (Some(outer), Some(silence)) = (
            handshake.first(),
            session.and_then(|session| session.idle_before_end_nanos),
        ) else {
            return;
        };
        let connection = &outer.record.connection;
        let (Some(end), Some(timeout)) = (connection.ended, timeout::fitting(silence)) else {
            return;
        };
        let alike = self.alike(connection.server, end.frame, timeout);
        let Some(finding) = idle_timeout(diagnosis) else {
            return;
        };
        if doubtful || alike.is_empty() || finding.confidence < Confidence::Likely {
            let others = self.otherwise_together(connection, end.frame, timeout);
            if others > 0 {
                finding.confidence = Confidence::Guess;
                add(
                    finding,
                    &format!(
                        "At the same instant {} ended after another or an unknown silence: a reload or stop of the proxy fits as well.",
                        count(others, "other tunnel")
                    ),
                );
            }
            return;
        }
        finding.confidence = Confidence::Certain;
        add(
            finding,
            &format!(
                "{} ended after the same silence at other times.",
                count(alike.len(), "other tunnel")
            ),
        );
        for other in alike.iter().take(CONFIRMED_BY) {
            finding.evidence.push(Evidence {
                frame: other.frame,
                shows: format!(
                    "another tunnel ends after {} of silence",
                    duration(other.silence_nanos)
                ),
            });
        }
    }

    /// Tunnels of a listener that this timeout, in seconds, explains and that ended at other instants.
    fn alike(&self, front: Endpoint, end: FrameRef, timeout: i64) -> Vec<&Ended> {
        let (from, to) = (
            Timestamp::from_nanos(i64::MIN),
            Timestamp::from_nanos(i64::MAX),
        );
        self.between(front, Side::Server, from, to)
            .rev()
            .take(LOOKED_AT)
            .map(|(_, other)| other)
            .filter(|other| {
                let apart = other.frame.at.nanos_since(end.at).saturating_abs();
                apart > TOGETHER_NANOS && other.followed && other.is_explained_by(timeout)
            })
            .collect()
    }

    /// Seen from the backend alone, tunnels that a proxy ended together are a reload, or clients that left together:
    /// one that was silent as long as a timeout is nothing special among them.
    fn doubt(&self, handshake: &Handshake, diagnosis: &mut Diagnosis) {
        let Some(outer) = handshake.first() else {
            return;
        };
        let connection = &outer.record.connection;
        if handshake.hops.len() > 1 || outer.role != Role::ProxyBackend {
            return;
        }
        let group = connection
            .ended
            .filter(|end| end.by == Side::Client)
            .and_then(|end| self.of(connection.server, Side::Client, end.frame))
            .filter(|group| group.len() >= EXPLANATIONS);
        if let (Some(group), Some(finding)) = (group, idle_timeout(diagnosis)) {
            finding.confidence = Confidence::Guess;
            add(
                finding,
                &format!(
                    "At the same instant {} ended after other silences: a reload of the proxy, or clients that left together, fits as well.",
                    count(group.len() - 1, "other tunnel")
                ),
            );
        }
    }
}

/// How many endings are no surprise within the time of an event, if there were so many shortly before: by chance as many
/// would end within such a time; four times that is no chance.
fn usual_together(before: usize) -> usize {
    let (from, to) = BEFORE_NANOS;
    let windows = usize::try_from((from - to) / (2 * TOGETHER_NANOS)).unwrap_or(1);
    4 * before / windows.max(1)
}

/// One more sentence.
fn add(finding: &mut Finding, sentence: &str) {
    finding.detail.push(' ');
    finding.detail.push_str(sentence);
}

/// The finding that the proxy gave up an idle tunnel.
fn idle_timeout(diagnosis: &mut Diagnosis) -> Option<&mut Finding> {
    let mut findings = diagnosis.findings.iter_mut();
    findings.find(|finding| finding.code == Code::IdleTimeout)
}

/// Whether a silence is as long as a timeout that people set.
fn is_usual(silence_nanos: i64) -> bool {
    silence_nanos >= SHORT_NANOS && timeout::usual(silence_nanos).is_some()
}

/// How many timeouts, or other reasons of their own, it takes to explain these endings.
fn explanations(group: &[Ended]) -> usize {
    let mut busy = 0;
    let mut usual = false;
    let mut odd = Vec::new();
    for ended in group {
        let silence = ended.silence_nanos;
        if silence < SHORTEST_NANOS {
            busy += 1;
        } else if is_usual(silence) {
            usual = true;
        } else {
            odd.push(silence);
        }
    }
    odd.sort_unstable();
    let mut windows = 0;
    let mut until = i64::MIN;
    for silence in odd {
        if silence > until {
            windows += 1;
            let wide = if silence < SHORT_NANOS {
                SAME_NANOS
            } else {
                EARLY_NANOS + LATE_NANOS
            };
            until = silence.saturating_add(wide);
        }
    }
    busy + windows + usize::from(usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::testkit::at;

    fn group(silences: &[f64]) -> Vec<Ended> {
        let one = |seconds: &f64| Ended {
            opened: at(0.0),
            frame: at(0.0),
            hard: false,
            silence_nanos: (seconds * 1e9) as i64,
            timer_nanos: (seconds * 1e9) as i64,
            followed: true,
        };
        silences.iter().map(one).collect()
    }

    #[test]
    fn timeouts_explain_what_fell_silent_together() {
        for (name, silences, needed) in [
            ("one message to all", &[59.9, 60.0, 59.8, 60.05][..], 1),
            ("an odd timeout", &[7.31, 7.4, 7.6], 1),
            ("two timeouts", &[60.0, 59.9, 7.31], 2),
            (
                "usual timeouts that expire all the time",
                &[60.0, 10.0, 300.0, 9.8],
                1,
            ),
            ("a short timeout", &[1.0, 1.01, 1.02], 1),
            ("seconds apart", &[0.727, 1.007, 1.429], 3),
            ("busy", &[0.1, 0.1, 0.1, 0.1], 4),
            ("of all kinds", &[0.1, 3.3, 17.4, 60.0, 60.0], 4),
            ("nobody", &[], 0),
        ] {
            assert_eq!(explanations(&group(silences)), needed, "{name}");
        }
    }
}
