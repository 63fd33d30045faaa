//! A finding while a rule writes it: texts come from the catalogue, the case adds its own.

use std::borrow::Cow;
use std::fmt;

use super::catalogue::{self, Entry, Filling, IF_NGINX, NOT_IN_NGINX, Told, speaks_of_nginx};
use super::program::Program;
use super::text::{shows_request, shows_response};
use super::{Code, Evidence, Finding, Severity};
use crate::capture::FrameRef;
use crate::decode::Endpoint;
use crate::hop::{Confidence, Record};
use crate::http::{RequestHead, ResponseHead};
use crate::tcp::ConnectionId;

/// A finding in the making.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    entry: &'static Entry,
    severity: Severity,
    confidence: Confidence,
    connections: Vec<ConnectionId>,
    title: Option<String>,
    headline: Option<String>,
    detail: Option<String>,
    why: Option<&'static str>,
    fix: Option<Cow<'static, str>>,
    snippet: Option<&'static str>,
    location: Option<String>,
    log: Option<&'static str>,
    upstream: Option<Endpoint>,
    program: Option<Program>,
    evidence: Vec<Evidence>,
}

/// The values of this case for the placeholders of snippets.
#[derive(Debug, Clone)]
pub(super) struct Values<'a> {
    pub(super) location: &'a str,
    pub(super) upstream: Option<Endpoint>,
    /// Backends that were asked inside TLS: what passes to them passes by https.
    pub(super) over_tls: Vec<Endpoint>,
    /// What the proxy sets of fields on the way to each server: configuration to copy has to keep it.
    pub(super) kept: Vec<(Endpoint, Vec<&'static str>)>,
    /// Which program asked each server.
    pub(super) programs: Vec<(Endpoint, Program)>,
    /// Which one findings are about that name no server.
    pub(super) program: Program,
}

impl Default for Values<'_> {
    fn default() -> Self {
        Self {
            location: "/ws/",
            upstream: None,
            over_tls: Vec::new(),
            kept: Vec::new(),
            programs: Vec::new(),
            program: Program::Nginx,
        }
    }
}

impl Values<'_> {
    fn kept(&self, server: &Endpoint) -> &[&'static str] {
        let found = self.kept.iter().find(|(to, _)| to == server);
        found.map_or(&[], |(_, lines)| lines)
    }

    fn program(&self, asked: Option<&Endpoint>) -> Program {
        let found = asked.and_then(|asked| self.programs.iter().find(|(to, _)| to == asked));
        found.map_or(self.program, |&(_, program)| program)
    }
}

impl Draft {
    pub(super) fn new(code: Code) -> Self {
        let entry = code.entry();
        Self {
            entry,
            severity: entry.severity,
            confidence: Confidence::Certain,
            connections: Vec::new(),
            title: None,
            headline: None,
            detail: None,
            why: None,
            fix: None,
            snippet: None,
            location: None,
            log: None,
            upstream: None,
            program: None,
            evidence: Vec::new(),
        }
    }

    pub(super) const fn confidence(&self) -> Confidence {
        self.confidence
    }

    pub(super) const fn code(&self) -> Code {
        self.entry.code
    }

    pub(super) const fn severity(&self) -> Severity {
        self.severity
    }

    pub(super) const fn sure(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    /// Lowers the confidence to this.
    pub(super) fn at_most(&mut self, confidence: Confidence) {
        self.confidence = self.confidence.min(confidence);
    }

    pub(super) fn is_about(&self, id: ConnectionId) -> bool {
        self.connections.contains(&id)
    }

    pub(super) const fn bad(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    pub(super) fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// The sentence for the whole handshake, where this is its cause. Without one, the title serves.
    pub(super) fn headline(mut self, headline: impl Into<String>) -> Self {
        self.headline = Some(headline.into());
        self
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// As `detail`, where there is something to say.
    pub(super) fn may_detail(self, detail: Option<String>) -> Self {
        match detail {
            Some(detail) => self.detail(detail),
            None => self,
        }
    }

    pub(super) fn fix(mut self, fix: impl Into<Cow<'static, str>>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Another configuration than the catalogue's, for a case that differs.
    pub(super) fn snippet(mut self, snippet: &'static str) -> Self {
        self.snippet = Some(snippet);
        self
    }

    /// What the snippet's location matches, where that is not the path that was asked for.
    pub(super) fn location(mut self, location: &str) -> Self {
        self.location = Some(location.to_owned());
        self
    }

    /// What the snippet passes to, where that is not the last hop: of a chain of proxies each has its own.
    pub(super) const fn upstream(mut self, server: Endpoint) -> Self {
        self.upstream = Some(server);
        self
    }

    /// Which program the proxy runs that it is about, where that is not the one that asked `upstream`.
    pub(super) const fn by(mut self, program: Program) -> Self {
        self.program = Some(program);
        self
    }

    /// As `by`, where that is known.
    pub(super) fn may_be_by(mut self, program: Option<Program>) -> Self {
        self.program = program.or(self.program);
        self
    }

    /// Another log line than the catalogue's, for a case that differs.
    pub(super) const fn log(mut self, log: &'static str) -> Self {
        self.log = Some(log);
        self
    }

    /// The texts of the catalogue for a case that is known better than the entry's.
    pub(super) fn told(mut self, told: &'static Told) -> Self {
        self.why = Some(told.why);
        self.fix = Some(told.fix.into());
        self.snippet = Some(told.template);
        self.log = Some(told.log);
        self
    }

    /// As `told`, where it has some.
    pub(super) fn may_told(self, told: Option<&'static Told>) -> Self {
        match told {
            Some(told) => self.told(told),
            None => self,
        }
    }

    /// Why it happened, where that is known better than in general.
    pub(super) fn why(mut self, why: &'static str) -> Self {
        self.why = Some(why);
        self
    }

    pub(super) fn on(self, record: &Record) -> Self {
        self.about(record.connection.id)
    }

    pub(super) fn about(mut self, id: ConnectionId) -> Self {
        self.add(id);
        self
    }

    fn add(&mut self, id: ConnectionId) {
        if !self.connections.contains(&id) {
            self.connections.push(id);
        }
    }

    /// As `about`, of each.
    pub(super) fn about_all(self, ids: impl IntoIterator<Item = ConnectionId>) -> Self {
        ids.into_iter().fold(self, Self::about)
    }

    pub(super) fn saw(mut self, frame: FrameRef, shows: impl Into<String>) -> Self {
        self.evidence.push(Evidence {
            frame,
            shows: shows.into(),
        });
        self
    }

    /// As `saw`, where there may be no such frame.
    pub(super) fn may_saw(self, frame: Option<FrameRef>, shows: impl Into<String>) -> Self {
        match frame {
            Some(frame) => self.saw(frame, shows),
            None => self,
        }
    }

    /// A request, by its line and the fields that make it an upgrade.
    pub(super) fn saw_request(self, head: &RequestHead) -> Self {
        self.saw(head.span.first, shows_request(head))
    }

    /// As `saw_request`, where there may be none.
    pub(super) fn may_saw_request(self, head: Option<&RequestHead>) -> Self {
        match head {
            Some(head) => self.saw_request(head),
            None => self,
        }
    }

    /// An answer, by its line and who signs it.
    pub(super) fn saw_answer(self, head: &ResponseHead) -> Self {
        self.saw(head.span.first, shows_response(head))
    }

    /// As `saw_answer`, where there may be none.
    pub(super) fn may_saw_answer(self, head: Option<&ResponseHead>) -> Self {
        match head {
            Some(head) => self.saw_answer(head),
            None => self,
        }
    }

    /// Takes over connections and evidence of another draft that says the same of another connection.
    pub(super) fn absorb(&mut self, other: Self) {
        for id in other.connections {
            self.add(id);
        }
        self.evidence.extend(other.evidence);
        self.confidence = self.confidence.max(other.confidence);
    }

    /// Names all these servers where the texts name the first: it happened with each of them.
    pub(super) fn name_all(&mut self, servers: &[Endpoint]) {
        let [first, others @ ..] = servers else {
            return;
        };
        let others: Vec<String> = others
            .iter()
            .filter(|&other| other != first)
            .map(ToString::to_string)
            .collect();
        if others.is_empty() {
            return;
        }
        let first = first.to_string();
        let all = format!("{first} (and {})", others.join(", "));
        for text in [&mut self.title, &mut self.headline].into_iter().flatten() {
            if let Some(at) = place_of(&first, text) {
                text.replace_range(at..at + first.len(), &all);
            }
        }
    }

    /// With the connections and evidence of another draft.
    pub(super) fn evidence_of(mut self, other: &Self) -> Self {
        let confidence = self.confidence;
        self.absorb(other.clone());
        self.confidence = confidence;
        self
    }

    /// The title by itself.
    pub(super) fn title_text(&self) -> &str {
        self.title.as_deref().unwrap_or(self.entry.title)
    }

    /// The first frame that shows it.
    pub(super) fn first_frame(&self) -> Option<FrameRef> {
        self.evidence.iter().map(|evidence| evidence.frame).min()
    }

    /// The sentence for the handshake.
    pub(super) fn sentence(&self) -> String {
        self.headline
            .clone()
            .or_else(|| self.title.clone())
            .unwrap_or_else(|| self.entry.title.to_owned())
    }

    /// The finding, or `None` without evidence: a claim that no frame shows is not made.
    pub(super) fn finish(self, values: &Values<'_>) -> Option<Finding> {
        let Self {
            entry,
            mut evidence,
            ..
        } = self;
        if evidence.is_empty() {
            return None;
        }
        evidence.sort_by(|a, b| a.frame.cmp(&b.frame).then_with(|| a.shows.cmp(&b.shows)));
        evidence.dedup();
        let server = self.upstream.as_ref().or(values.upstream.as_ref());
        let upstream: &dyn fmt::Display = match server {
            Some(server) => server,
            None => &"backend",
        };
        let filling = Filling {
            location: self.location.as_deref().unwrap_or(values.location),
            upstream,
            https: server.is_some_and(|server| values.over_tls.contains(server)),
            kept: server.map_or(&[], |server| values.kept(server)),
        };
        let program = self
            .program
            .unwrap_or_else(|| values.program(self.upstream.as_ref()));
        let mut template = self.snippet.unwrap_or(entry.template);
        let mut why = self.why.unwrap_or(entry.why);
        let mut fix = self.fix.unwrap_or(Cow::Borrowed(entry.fix));
        let mut log = self.log.unwrap_or(entry.log);
        match program {
            Program::Nginx => {}
            Program::Unknown => {
                if !template.is_empty() || speaks_of_nginx(&fix) {
                    fix.to_mut().push_str(IF_NGINX);
                }
            }
            Program::Other(product) => {
                let (other_why, other_fix) = catalogue::elsewhere(entry.code, product);
                if speaks_of_nginx(why) {
                    why = other_why;
                }
                if speaks_of_nginx(&fix) {
                    fix = other_fix;
                }
                template = "";
                if !log.is_empty() {
                    log = NOT_IN_NGINX;
                }
            }
        }
        Some(Finding {
            code: entry.code,
            severity: self.severity,
            confidence: self.confidence,
            connections: self.connections,
            title: self.title.unwrap_or_else(|| entry.title.to_owned()),
            detail: self.detail.unwrap_or_else(|| entry.meaning.to_owned()),
            cause: why,
            fix,
            nginx_snippet: catalogue::fill(template, &filling),
            nginx_log: log,
            evidence,
        })
    }
}

/// Whether an error is among these: then what went wrong is said already.
pub(super) fn has_error(drafts: &[Draft]) -> bool {
    drafts
        .iter()
        .any(|draft| draft.severity() == Severity::Error)
}

/// Whether one of these findings is among the drafts.
pub(super) fn has_any(drafts: &[Draft], codes: &[Code]) -> bool {
    drafts.iter().any(|draft| codes.contains(&draft.code()))
}

/// Where a text names an endpoint, and not one whose address or port only has it as a part.
fn place_of(endpoint: &str, text: &str) -> Option<usize> {
    let of_number = |c: char| c.is_ascii_digit();
    let mut places = text.match_indices(endpoint).map(|(at, _)| at);
    places.find(|&at| {
        let before = text.get(..at).unwrap_or_default();
        let after = text.get(at + endpoint.len()..).unwrap_or_default();
        !before.ends_with(of_number) && !after.starts_with(of_number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_servers_stand_behind_the_first_itself() {
        let servers = [1, 2].map(|last| Endpoint::v4([10, 0, 0, last], 80));
        let mut draft = Draft::new(Code::BadGateway)
            .title("10.0.0.1:8080 asked 10.0.0.1:80, which refused")
            .headline("110.0.0.1:80 asked nobody");
        draft.name_all(&servers);
        let title = "10.0.0.1:8080 asked 10.0.0.1:80 (and 10.0.0.2:80), which refused";
        assert_eq!(draft.title.as_deref(), Some(title));
        assert_eq!(draft.headline.as_deref(), Some("110.0.0.1:80 asked nobody"));
    }

    #[test]
    fn no_finding_without_evidence() {
        assert_eq!(Draft::new(Code::NotFound).finish(&Values::default()), None);
    }
}
