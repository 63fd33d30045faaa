//! The longest silence that any session of a location lived through: what ends a shorter one there is no idle timeout.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use super::ENDPOINTS;
use crate::capture::Timestamp;
use crate::decode::Endpoint;
use crate::diagnosis::text::path;
use crate::diagnosis::timeout::EARLY_NANOS;
use crate::diagnosis::{Code, Diagnosis};
use crate::hop::{Handshake, Record};
use crate::http::RequestHead;
use crate::websocket::Silence;

/// The longest silences at a listener by host and path: where one proxy_read_timeout holds.
type Locations = BTreeMap<Box<str>, BTreeMap<Box<str>, Silence>>;

/// The longest silences by location.
#[derive(Debug, Clone, Default)]
pub(super) struct Lived {
    longest: BTreeMap<Endpoint, Locations>,
    /// How many locations there are.
    count: usize,
    /// When the clock that stamps the frames was set, by its former time: no silence is known across.
    steps: VecDeque<Timestamp>,
}

/// Steps of the clock that are remembered: it is set once, or steadily drifts and is set by little.
const STEPS: usize = 64;

/// Longest host and path that are remembered: real ones are shorter, and hostile ones would fill the memory.
const LONGEST: usize = 256;

/// Host and path of a request.
fn location(request: &RequestHead) -> Option<(Cow<'_, str>, &str)> {
    let host = request.fields.combined("host").unwrap_or_default();
    let path = path(request.target());
    (host.len() + path.len() <= LONGEST).then_some((host, path))
}

impl Lived {
    /// The clock was set.
    pub(super) fn clock_set(&mut self, before: Timestamp) {
        if self.steps.len() >= STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(before);
    }

    fn is_measured(&self, silence: &Silence) -> bool {
        let across = |step: &Timestamp| silence.from.at <= *step && *step < silence.until.at;
        !self.steps.iter().any(across)
    }

    /// Takes note of the sessions on a closed connection of which the capture has everything.
    pub(super) fn note(&mut self, record: &Record) {
        let connection = &record.connection;
        if !record.is_whole() {
            return;
        }
        for exchange in &record.exchanges {
            let (Some(session), Some(request)) = (&exchange.session, &exchange.request) else {
                continue;
            };
            let ended = connection.ended.map(|end| end.frame.at);
            let silence = session
                .longest_silence
                .filter(|silence| ended.is_none_or(|end| silence.until.at < end))
                .filter(|silence| self.is_measured(silence));
            if let Some(silence) = silence
                && let Some(place) = location(request)
            {
                self.lived_through(connection.server, place, silence);
            }
        }
    }

    fn lived_through(
        &mut self,
        server: Endpoint,
        (host, path): (Cow<'_, str>, &str),
        silence: Silence,
    ) {
        let at = self.longest.get_mut(&server);
        let known = at.and_then(|hosts| hosts.get_mut(&*host)?.get_mut(path));
        if let Some(longest) = known {
            if longest.nanos() < silence.nanos() {
                *longest = silence;
            }
        } else if self.count < ENDPOINTS {
            let hosts = self.longest.entry(server).or_default();
            let paths = hosts.entry(host.into()).or_default();
            paths.insert(path.into(), silence);
            self.count += 1;
        }
    }

    fn longest(&self, server: Endpoint, (host, path): (Cow<'_, str>, &str)) -> Option<Silence> {
        self.longest.get(&server)?.get(&*host)?.get(path).copied()
    }

    /// The handshake as one that lived through the longest silence of its location, if that shows that its end was no
    /// idle timeout.
    pub(super) fn longer_than(
        &self,
        handshake: &Handshake,
        diagnosis: &Diagnosis,
    ) -> Option<Handshake> {
        let is_timeout = matches!(
            diagnosis.cause,
            Some(Code::IdleTimeout | Code::SilentAfter101)
        );
        let outer = handshake.first().filter(|_| is_timeout)?;
        let request = outer.exchange().request.as_ref()?;
        let longest = self.longest(outer.record.connection.server, location(request)?)?;
        let session = handshake.session.as_ref()?;
        let silence = session.idle_before_end_nanos?;
        // Several hops may have timeouts of their own, of which only the outermost is known to be the same.
        let two_at_most = handshake
            .hops
            .iter()
            .filter(|hop| hop.session().is_some())
            .count()
            <= 2;
        (two_at_most && longest.nanos() > silence.saturating_add(EARLY_NANOS)).then(|| {
            let mut seen = handshake.clone();
            if let Some(session) = &mut seen.session {
                session.survived = Some(longest);
            }
            seen
        })
    }
}
