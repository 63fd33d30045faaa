//! How it came out, and the sentence that says so.

use super::draft::Draft;
use super::primary;
use super::story::{Outcome, Story};
use super::text::{capital, duration};
use super::{Code, Severity, Verdict};
use crate::hop::{Party, Role};

/// How the handshake ended.
pub(super) fn verdict(story: &Story<'_>, drafts: &[Draft]) -> Verdict {
    match story.outcome {
        Outcome::Up => {
            let bad = drafts.iter().any(|draft| match draft.severity() {
                Severity::Error => true,
                Severity::Warning => primary::BAD_ENDINGS.contains(&draft.code()),
                Severity::Info => false,
            });
            if bad { Verdict::Broken } else { Verdict::Ok }
        }
        Outcome::BadAnswer(_) | Outcome::Refused(_) | Outcome::Unanswered => Verdict::Failed,
        Outcome::Ordinary(status) if status >= 400 => Verdict::Failed,
        Outcome::Ordinary(_) | Outcome::Unknown => Verdict::Unclear,
    }
}

/// Who ended the session, where its cause tells more than one hop does: a timeout is the proxy's.
pub(super) fn ended_by(story: &Story<'_>, cause: Option<Code>) -> Option<Party> {
    let session = story.handshake.session.as_ref()?;
    let hops = story.handshake.tunnel().count();
    match cause {
        Some(Code::IdleTimeout | Code::SilentAfter101) if hops < 2 => Some(Party::Proxy),
        // Whoever gave up first on what was stuck may have done so where it was not seen.
        Some(
            Code::ClientNotReading
            | Code::BackendNotReading
            | Code::NetworkLoss
            | Code::ConnectionVanished,
        ) if session.endings.len() < hops.max(2) && story.outer.role != Role::Direct => {
            session.ended_by.filter(|by| *by == Party::Proxy)
        }
        // A reset that was not captured leaves no trace: who is not seen to end may have been the first to do so.
        _ if session.endings.len() < hops => session.ended_by.filter(|by| *by != Party::Proxy),
        // In front of the only hop is a proxy, which may just have passed on an end; a Close frame tells whose it was, and so
        // does the TLS connection in front.
        _ if story.backend_only()
            && story.sealed_front().is_none()
            && story.handshake.closing().is_none() =>
        {
            session.ended_by.filter(|by| *by == Party::Backend)
        }
        _ => session.ended_by,
    }
}

/// The verdict in one sentence; none where nothing is to be explained. `cause`: the draft of the primary finding.
pub(super) fn headline(story: &Story<'_>, verdict: Verdict, cause: Option<&Draft>) -> String {
    match (verdict, cause) {
        (Verdict::Ok, _) => String::new(),
        (Verdict::Failed | Verdict::Broken, Some(cause)) => capital(&cause.sentence()),
        (Verdict::Unclear, Some(cause)) if cause.severity() > Severity::Info => format!(
            "The capture does not show how WebSocket {} came out: {}",
            story.path(),
            uncapital(&cause.sentence())
        ),
        _ => unclear(story),
    }
}

/// `The ...` inside a sentence.
fn uncapital(text: &str) -> String {
    for word in ["The ", "What ", "Only ", "Other "] {
        if text.starts_with(word) {
            let mut chars = text.chars();
            return chars.next().map_or_else(String::new, |first| {
                first.to_lowercase().chain(chars).collect()
            });
        }
    }
    text.to_owned()
}

/// What can be said of a handshake that came up.
pub(super) fn healthy(story: &Story<'_>) -> String {
    let outer = &story.outer.record.connection;
    let exchange = story.outer.exchange();
    let took = match (&exchange.request, &exchange.response) {
        (Some(request), Some(answer)) => format!(
            " in {}",
            duration(
                answer
                    .span
                    .last
                    .at
                    .nanos_since(request.span.first.at)
                    .max(0)
            )
        ),
        _ => String::new(),
    };
    if exchange.request.is_none() && exchange.response.is_none() {
        return format!(
            "A WebSocket session between {} and {} was up when the capture began",
            outer.client, outer.server
        );
    }
    let inner = story.inner.record.connection.server;
    if let Some(front) = story.sealed_front() {
        format!(
            "WebSocket {} came up through {} to {inner}{took}",
            story.path(),
            front.record.connection.server.ip()
        )
    } else if std::ptr::eq(story.inner, story.outer) {
        format!(
            "WebSocket {} came up at {}{took}",
            story.path(),
            outer.server
        )
    } else {
        let mut proxies: Vec<String> = Vec::new();
        for link in story.links().filter(|link| !link.child.retried) {
            let address = link.parent.record.connection.server.ip().to_string();
            if !proxies.contains(&address) {
                proxies.push(address);
            }
        }
        format!(
            "WebSocket {} came up through {} to {inner}{took}",
            story.path(),
            super::text::list(&proxies)
        )
    }
}

fn unclear(story: &Story<'_>) -> String {
    let outer = &story.outer.record.connection;
    let ended = if story.handshake.settled {
        "no answer is in the capture"
    } else {
        "no answer so far"
    };
    format!(
        "WebSocket {} from {} to {}: {ended}",
        story.path(),
        outer.client.ip(),
        outer.server
    )
}
