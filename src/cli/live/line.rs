//! One line for what just happened.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::capture::Timestamp;
use crate::diagnosis::{Finding, Severity};
use crate::hop::Record;
use crate::report::Report;
use crate::report::escape::visible;
use crate::report::view::{HandshakeView, HopView, SessionView};

/// How much of what a line has room for.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// Longest target shown, with or without its host.
    target: usize,
    host: bool,
    /// Of the time: down to milliseconds, or seconds.
    milliseconds: bool,
    hops: Hops,
}

/// How the hops of a handshake are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hops {
    /// Servers and outcomes.
    Full,
    /// The outcome at the first one, which is where the program runs; servers behind it.
    Behind,
    /// Outcomes.
    Outcomes,
    /// Not at all: the cause says it.
    Nothing,
}

/// From everything to what fits into 80 columns: of what is left out, the cause tells most.
const FORMS: [Form; 5] = {
    let all = Form {
        target: 48,
        host: true,
        milliseconds: true,
        hops: Hops::Full,
    };
    let short = Form {
        target: 24,
        host: false,
        ..all
    };
    let behind = Form {
        target: 16,
        milliseconds: false,
        hops: Hops::Behind,
        ..short
    };
    let outcomes = Form {
        hops: Hops::Outcomes,
        ..behind
    };
    let least = Form {
        target: 12,
        hops: Hops::Nothing,
        ..behind
    };
    [all, short, behind, outcomes, least]
};

/// How lines are to look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    pub(super) color: bool,
    /// Columns of the terminal, if it is one.
    pub(super) width: Option<usize>,
}

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

/// The line for the only handshake of a report: time, verdict, client, target, hops, cause. On a terminal it is as full as
/// there is room.
pub(super) fn handshake(report: &Report, at: Timestamp, what: What, look: Look) -> String {
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
    let (middle, form) = middle(report, handshake, what, look.width);
    let mut line = head(at, word, style, form.milliseconds, look.color) + &middle;
    if let Some(cause) = handshake.cause {
        let _ = write!(line, "  {}", paint(cause, style, look.color));
    }
    line.push('\n');
    line
}

/// What stands between the verdict and the cause, in the fullest form that fits, and which one that is.
fn middle(
    report: &Report,
    handshake: &HandshakeView,
    what: What,
    width: Option<usize>,
) -> (String, Form) {
    let mut last = (String::new(), FORMS[0]);
    for form in FORMS {
        let mut text = format!(
            "  {}  {}",
            client(report, handshake),
            target(handshake, form)
        );
        match (what, &handshake.session) {
            (What::Ended, Some(session)) => text.push_str(&ended(session, form.hops)),
            _ => text.push_str(&hops(report, handshake, form.hops)),
        }
        if what == What::Corrected {
            text.push_str("  now known to be");
        }
        let time = if form.milliseconds { 13 } else { 8 };
        let cause = handshake.cause.map_or(0, |cause| 2 + cause.len());
        let columns = time + 1 + WORD + text.chars().count() + cause;
        last = (text, form);
        if width.is_none_or(|width| columns <= width) {
            break;
        }
    }
    last
}

fn ended(session: &SessionView, form: Hops) -> String {
    let mut text = String::new();
    if form == Hops::Nothing {
        return text;
    }
    if let Some(ms) = session.lasted_ms {
        let _ = write!(text, "  after {:.1} s", ms / 1e3);
    }
    if matches!(form, Hops::Full | Hops::Behind) {
        let by = session.ended_by.unwrap_or("somebody");
        let how = if session.ended_by_close() {
            "Close".to_owned()
        } else {
            session.ended_how.unwrap_or("fin").to_uppercase()
        };
        let _ = write!(text, "  {how} by {by}");
    }
    text
}

fn hops(report: &Report, handshake: &HandshakeView, form: Hops) -> String {
    if form == Hops::Nothing {
        return String::new();
    }
    let server = |id| {
        let connection = report.connection(id);
        let server = connection.map_or("?", |connection| connection.server.as_str());
        visible(server).into_owned()
    };
    let front = handshake.front.iter();
    let front = front.map(|front| (server(front.connection), "TLS".to_owned()));
    let hops = handshake.hops.iter();
    let hops = hops.map(|one| (server(one.connection), outcome(report, one)));
    let attempts = handshake.attempts.iter().map(|attempt| {
        let outcome = visible(&attempt.outcome).into_owned();
        (server(attempt.connection), outcome)
    });
    let parts: Vec<String> = front
        .chain(hops)
        .chain(attempts)
        .enumerate()
        .map(|(place, (server, outcome))| match form {
            Hops::Full => format!("{server} {outcome}"),
            Hops::Behind if place > 0 => format!("{server} {outcome}"),
            _ => outcome,
        })
        .collect();
    format!("  {}", parts.join(" > "))
}

/// The lines for findings about a connection that carries no handshake.
pub(super) fn connection(record: &Record, finding: &Finding, look: Look) -> String {
    let (word, style) = match finding.severity {
        Severity::Error => ("FAILED", RED),
        Severity::Warning => ("warning", YELLOW),
        Severity::Info => ("note", FAINT),
    };
    let connection = &record.connection;
    let at = connection
        .ended
        .map_or(connection.last.at, |end| end.frame.at);
    let ends = format!("  {}  {}", connection.client, connection.server);
    let code = finding.code.as_str();
    let mut line = head(at, word, style, true, look.color) + &ends;
    let _ = write!(line, "  {}", paint(code, style, look.color));
    // The code says the same in fewer words.
    let title = visible(&finding.title);
    let columns = 13 + 1 + WORD + ends.chars().count() + 2 + code.len() + 2 + title.chars().count();
    if look.width.is_none_or(|width| columns <= width) {
        let _ = write!(line, "  {title}");
    }
    line.push('\n');
    line
}

/// Columns of a verdict.
const WORD: usize = 7;

fn head(at: Timestamp, word: &str, style: Style, milliseconds: bool, color: bool) -> String {
    let time = at.to_string();
    let time = if milliseconds {
        time.get(11..23).map(|time| format!("{time}Z"))
    } else {
        time.get(11..19).map(str::to_owned)
    };
    let word = format!("{word:WORD$}");
    format!(
        "{} {}",
        time.unwrap_or_default(),
        paint(&word, style, color)
    )
}

fn paint(text: &str, style: Style, color: bool) -> String {
    if color {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

/// Who asks: in front of a proxy that ends TLS, where that was seen. What is a guess has a question mark.
fn client(report: &Report, handshake: &HandshakeView) -> String {
    let front = handshake.front.as_deref();
    let first = handshake.hops.first().map(|hop| hop.connection);
    let id = front.map(|front| front.connection).or(first);
    let connection = id.and_then(|id| report.connection(id));
    let Some(connection) = connection else {
        return "?".to_owned();
    };
    let guess = front.is_some_and(|front| front.confidence == "guess");
    let mark = if guess { "?" } else { "" };
    format!("{}{mark}", visible(&connection.client))
}

fn target(handshake: &HandshakeView, form: Form) -> String {
    let host = handshake.host.as_deref().filter(|_| form.host);
    let target = handshake.target.as_deref().unwrap_or("?");
    let text = visible(host.unwrap_or_default()).into_owned() + &visible(target);
    if text.chars().count() <= form.target {
        return text;
    }
    text.chars().take(form.target - 1).chain(['…']).collect()
}

fn outcome(report: &Report, hop: &HopView) -> String {
    match (&hop.response, report.connection(hop.connection)) {
        (Some(response), _) => response.status.to_string(),
        (None, Some(connection)) => match (connection.ended.how, connection.ended.by) {
            ("fin", Some(by)) => format!("closed by {by}"),
            ("rst", Some(by)) => format!("reset by {by}"),
            _ => "no answer".to_owned(),
        },
        (None, None) => "no answer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{healthy, idle_behind_tls};
    use crate::report::{Collector, Keep, Redact};

    #[test]
    fn who_asks_is_the_client_in_front() {
        let says = |case, width| {
            let (handshake, diagnosis) = case;
            let mut collector = Collector::new(Keep::default(), Redact::Standard);
            let report = collector.one(1, &handshake, &diagnosis);
            let look = Look {
                color: false,
                width,
            };
            super::handshake(&report, handshake.started_at(), What::Outcome, look)
        };
        assert_eq!(
            says(healthy(), None),
            "12:00:00.000Z ok       192.168.50.23:40380  chat.example.com/ws?room=7&token=<redacted 16 b…  \
             192.168.50.1:80 101 > 10.20.0.11:8080 101\n"
        );
        assert_eq!(
            says(idle_behind_tls(), None),
            "12:00:00.000Z BROKEN   192.168.50.23:40380?  chat.example.com/ws?room=7&token=<redacted 16 b…  \
             192.168.50.1:80 TLS > 10.20.0.11:8080 101  idle-timeout\n"
        );
        assert_eq!(
            says(idle_behind_tls(), Some(80)),
            "12:00:00 BROKEN   192.168.50.23:40380?  /ws?room=7&…  idle-timeout\n"
        );
    }
}
