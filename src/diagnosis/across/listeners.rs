//! What other connections of a listener tell of one that it closed without a byte.

use super::{Across, ids};
use crate::diagnosis::draft::{Draft, Values};
use crate::diagnosis::{Code, Diagnosis, Evidence, Finding};
use crate::hop::{Confidence, Handshake};

impl Across {
    /// Of a listener that closed without a byte, other connections tell whether it expects a PROXY protocol header.
    pub(super) fn told_by_others(&self, handshake: &Handshake, diagnosis: &mut Diagnosis) {
        if diagnosis.cause != Some(Code::ProxyProtocolMissing) {
            return;
        }
        let Some(outer) = handshake.first() else {
            return;
        };
        let server = outer.record.connection.server;
        let Some(listener) = self.listeners.get(&server) else {
            return;
        };
        let own = |finding: &&mut Finding| finding.code == Code::ProxyProtocolMissing;
        let Some(finding) = diagnosis.findings.iter_mut().find(own) else {
            return;
        };
        let (answered, shows) = match (listener.answered_without, listener.answered_behind_header) {
            (Some(frame), None) => (frame, "it answers another connection without a header"),
            (None, Some(frame)) => (
                frame,
                "it answers another connection that began with the header",
            ),
            _ => return,
        };
        let evidence = Evidence {
            frame: answered,
            shows: shows.to_owned(),
        };
        if listener.answered_without.is_none() {
            finding.confidence = Confidence::Likely;
            finding.title = format!("{server} expects a PROXY protocol header, which did not come");
            finding.evidence.push(evidence);
            finding.evidence.sort_by_key(|one| one.frame);
            diagnosis.headline.clone_from(&finding.title);
            return;
        }
        let title = format!(
            "{server} closed the connection without an answer, as `return 444` does: it answers others"
        );
        let mut draft = Draft::new(Code::NoAnswer)
            .sure(Confidence::Likely)
            .title(title.clone())
            .saw(evidence.frame, evidence.shows)
            .about_all(ids(handshake));
        for seen in &finding.evidence {
            draft = draft.saw(seen.frame, seen.shows.clone());
        }
        if let Some(no_answer) = draft.finish(&Values::default()) {
            *finding = no_answer;
            diagnosis.cause = Some(Code::NoAnswer);
            diagnosis.headline = title;
        }
    }
}
