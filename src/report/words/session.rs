//! What followed a 101 in words, one fact after the other, each with how it is to be taken.
//!
//! Facts that the capture does not show are left out or said to be unknown.

use super::frames::Frames;
use super::numbers::{bytes, duration_ms, thousands};
use crate::report::view::SessionView;
use crate::tcp::ConnectionId;

/// The code of a Close frame, of which the capture may have cut it off.
pub(in crate::report) fn close_code(code: Option<u16>, cut: bool) -> String {
    match code {
        Some(code) => code.to_string(),
        None if cut => "cut off before its code".to_owned(),
        None => "without a code".to_owned(),
    }
}

/// ws frames of one direction: `3 text, 1 ping`.
pub(in crate::report) fn carried(view: &crate::report::view::CarriedView) -> String {
    let frames = &view.frames;
    let parts: Vec<String> = [
        (frames.text, "text"),
        (frames.binary, "binary"),
        (frames.continuation, "continuation"),
        (frames.ping, "ping"),
        (frames.pong, "pong"),
        (frames.close, "close"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, name)| format!("{} {name}", thousands(number)))
    .collect();
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        format!("{} ({})", parts.join(", "), bytes(view.payload_bytes))
    }
}

/// How a fact is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Tone {
    /// As it is.
    Plain,
    /// As doubtful.
    Odd,
    /// As wrong.
    Bad,
}

/// The pings of a side, how regular they were and how fast their pongs.
fn pings(carried: &crate::report::view::CarriedView, by: &str) -> Option<String> {
    let pings = carried.pings?;
    let mut text = format!("{} by the {by}", thousands(carried.frames.ping));
    if let (Some(shortest), Some(longest)) = (pings.interval_min_ms, pings.interval_max_ms) {
        let (shortest, longest) = (duration_ms(shortest), duration_ms(longest));
        text = if shortest == longest {
            format!("{text}, {longest} apart")
        } else {
            format!("{text}, {shortest} to {longest} apart")
        };
    }
    let answered = match pings.round_trip_max_ms {
        Some(longest) if pings.answered == carried.frames.ping => {
            format!("all answered within {}", duration_ms(longest))
        }
        Some(longest) => format!(
            "{} answered within {}",
            thousands(pings.answered),
            duration_ms(longest)
        ),
        None => "none answered".to_owned(),
    };
    Some(format!("{text}, {answered}"))
}

/// `c1 and c2`.
pub(super) fn connections(ids: &[ConnectionId]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(" and ")
}

/// What followed a 101, one fact after the other: label, tone, fact.
pub(in crate::report) fn session(
    session: &SessionView,
    frames: &Frames<'_>,
) -> Vec<(&'static str, Tone, String)> {
    let mut lines = Vec::new();
    let protocol = session
        .subprotocol
        .as_ref()
        .map(|protocol| format!("subprotocol {protocol}"));
    let agreed: Vec<String> = protocol
        .into_iter()
        .chain(session.extensions.iter().cloned())
        .collect();
    if !agreed.is_empty() {
        lines.push(("agreed", Tone::Plain, agreed.join(", ")));
    }
    lines.push(("client →", Tone::Plain, carried(&session.to_server)));
    lines.push(("← server", Tone::Plain, carried(&session.to_client)));
    let pings: Vec<String> = [
        (&session.to_server, "client"),
        (&session.to_client, "server"),
    ]
    .into_iter()
    .filter_map(|(carried, by)| pings(carried, by))
    .collect();
    if !pings.is_empty() {
        lines.push(("pings", Tone::Plain, pings.join("; ")));
    }
    let close = match &session.close {
        Some(close) => {
            let code = close_code(close.code, close.cut);
            let reason = if close.reason.is_empty() {
                String::new()
            } else {
                format!(" \"{}\"", close.reason)
            };
            let at = session
                .close_frame
                .map_or_else(String::new, |frame| format!("  {}", frames.at(frame)));
            let answered = match (close.by, close.answered) {
                (None, _) => "whether the first one is not in the capture",
                (_, Some(true)) => "answered",
                (_, Some(false)) => "not answered",
                (_, None) => "an answer is not in the capture",
            };
            (
                Tone::Plain,
                format!("{code}{reason} by the {}, {answered}{at}", close.sender),
            )
        }
        None => (Tone::Odd, "none seen".to_owned()),
    };
    lines.push(("Close", close.0, close.1));
    if let Some(way) = session.cut_mid_frame {
        lines.push((
            "cut",
            Tone::Bad,
            format!(
                "the stream {} ends inside a ws frame, on {}",
                way.replace('_', " "),
                connections(&session.cut_on)
            ),
        ));
    }
    if let Some(idle) = session.idle_before_end_ms.filter(|&idle| idle > 0.0) {
        lines.push((
            "silent",
            Tone::Plain,
            format!("{} on every hop before the end", duration_ms(idle)),
        ));
    }
    lines.push(end(session));
    lines
}

/// How a session ended, or that it did not.
fn end(session: &SessionView) -> (&'static str, Tone, String) {
    let lasted = session
        .lasted_ms
        .map_or_else(String::new, |ms| format!(" after {}", duration_ms(ms)));
    let (Some(frame), Some(how)) = (session.ended, session.ended_how) else {
        let text = if lasted.is_empty() {
            "not in the capture".to_owned()
        } else {
            format!("not in the capture, which ends{lasted}")
        };
        return ("ended", Tone::Odd, text);
    };
    let by = session.ended_by.map_or_else(
        || {
            // One hop shows who sent it there, not who was first.
            let first = session.timeline.iter().find(|one| one.event == how);
            let sender = first.map_or("an unknown party", |one| one.from);
            format!("seen first from the {sender}")
        },
        |by| format!("by the {by}"),
    );
    let outstanding = if session.outstanding {
        ", with data not acknowledged"
    } else {
        ""
    };
    let how = how.to_ascii_uppercase();
    let text = match session.ended_by {
        Some(by) if session.ended_by_close() => format!(
            "by the {by}'s Close, {how}{lasted}, #{}{outstanding}",
            frame.number()
        ),
        _ => format!("{how} {by}{lasted}, #{}{outstanding}", frame.number()),
    };
    ("ended", Tone::Plain, text)
}
