//! One line for what just happened.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::capture::Timestamp;
use crate::diagnosis::{Finding, Severity};
use crate::hop::Record;
use crate::report::Report;
use crate::report::escape::visible;
use crate::report::view::{HandshakeView, HopView};

/// Longest target shown.
const TARGET_MAX: usize = 48;

/// Why a line is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The outcome is known.
    Outcome,
    /// The session after the 101 ended.
    Ended,
    /// More is known now: another verdict or cause than printed before.
    Corrected,
}

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default();
const FAINT: Style = Style::new().dimmed();

/// The line for the only handshake of a report: time, verdict, client, target, hops, cause.
pub(super) fn handshake(report: &Report, at: Timestamp, what: What, color: bool) -> String {
    let Some(handshake) = report.handshakes.first() else {
        return String::new();
    };
    let (word, style) = match (handshake.verdict, what) {
        ("ok", What::Ended) => ("ended", FAINT),
        ("ok", _) => ("ok", GREEN),
        ("failed", _) => ("FAILED", RED),
        ("broken", _) => ("BROKEN", RED),
        _ => ("unclear", YELLOW),
    };
    let mut line = head(at, word, style, color);
    let _ = write!(
        line,
        "  {}  {}",
        client(report, handshake),
        target(handshake)
    );
    if let (What::Ended, Some(session)) = (what, &handshake.session) {
        if let Some(ms) = session.lasted_ms {
            let _ = write!(line, "  after {:.1} s", ms / 1e3);
        }
        let by = session.ended_by.unwrap_or("somebody");
        let how = session.ended_how.unwrap_or("fin").to_uppercase();
        let _ = write!(line, "  {how} by {by}");
    } else {
        let hops: Vec<String> = handshake.hops.iter().map(|one| hop(report, one)).collect();
        let _ = write!(line, "  {}", hops.join(" > "));
        for attempt in &handshake.attempts {
            let connection = report.connection(attempt.connection);
            let server = connection.map_or("?", |connection| connection.server.as_str());
            let _ = write!(line, " > {} {}", visible(server), visible(&attempt.outcome));
        }
    }
    if what == What::Corrected {
        line.push_str("  now known to be");
    }
    if let Some(cause) = handshake.cause {
        let _ = write!(line, "  {}", paint(cause, style, color));
    }
    line.push('\n');
    line
}

/// The lines for findings about a connection that carries no handshake.
pub(super) fn connection(record: &Record, finding: &Finding, color: bool) -> String {
    let (word, style) = match finding.severity {
        Severity::Error => ("FAILED", RED),
        Severity::Warning => ("warning", YELLOW),
        Severity::Info => ("note", FAINT),
    };
    let connection = &record.connection;
    let at = connection
        .ended
        .map_or(connection.last.at, |end| end.frame.at);
    format!(
        "{}  {}  {}  {}  {}\n",
        head(at, word, style, color),
        connection.client,
        connection.server,
        paint(finding.code.as_str(), style, color),
        visible(&finding.title),
    )
}

fn head(at: Timestamp, word: &str, style: Style, color: bool) -> String {
    let time = at.to_string();
    let time = time.get(11..23).unwrap_or(&time);
    format!("{time}Z {}", paint(&format!("{word:7}"), style, color))
}

fn paint(text: &str, style: Style, color: bool) -> String {
    if color {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

fn client(report: &Report, handshake: &HandshakeView) -> String {
    let hop = handshake.hops.first();
    let connection = hop.and_then(|hop| report.connection(hop.connection));
    connection.map_or_else(
        || "?".to_owned(),
        |connection| visible(&connection.client).into_owned(),
    )
}

fn target(handshake: &HandshakeView) -> String {
    let host = handshake.host.as_deref().unwrap_or_default();
    let target = handshake.target.as_deref().unwrap_or("?");
    let text = visible(host).into_owned() + &visible(target);
    if text.chars().count() <= TARGET_MAX {
        return text;
    }
    text.chars().take(TARGET_MAX - 1).chain(['…']).collect()
}

fn hop(report: &Report, hop: &HopView) -> String {
    let connection = report.connection(hop.connection);
    let server = connection.map_or("?", |connection| connection.server.as_str());
    let outcome = match (&hop.response, connection) {
        (Some(response), _) => response.status.to_string(),
        (None, Some(connection)) => match (connection.ended.how, connection.ended.by) {
            ("fin", Some(by)) => format!("closed by {by}"),
            ("rst", Some(by)) => format!("reset by {by}"),
            _ => "no answer".to_owned(),
        },
        (None, None) => "no answer".to_owned(),
    };
    format!("{} {outcome}", visible(server))
}
