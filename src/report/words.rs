//! How numbers, times, parties and frames are worded, the same in every form of the report.

use std::collections::{BTreeMap, BTreeSet};

use super::view::{
    CaptureView, ConnectionView, EvidenceView, FindingView, HandshakeView, HopView, Report,
    RequestView, SessionView, StreamView,
};
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::tcp::ConnectionId;

/// `1 handshake`, `2 handshakes`.
pub(super) fn count(number: u64, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else if let Some(stem) = one.strip_suffix('y') {
        format!("{} {stem}ies", thousands(number))
    } else {
        format!("{} {one}s", thousands(number))
    }
}

/// `1 234 567` with thin grouping that needs no locale.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `512 bytes`, `7.8 kB`, `1.2 GB`.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    for (size, unit) in UNITS {
        if number >= size {
            return format!("{:.1} {unit}", number as f64 / size as f64);
        }
    }
    count(number, "byte")
}

/// A duration as people say it: `0.41 ms`, `412 ms`, `7.00 s`, `2 min 5 s`.
pub(super) fn duration(nanos: i64) -> String {
    let ms = nanos as f64 / 1e6;
    let size = ms.abs();
    if size < 9.995 {
        format!("{ms:.2} ms")
    } else if size < 99.95 {
        format!("{ms:.1} ms")
    } else if size < 999.5 {
        format!("{ms:.0} ms")
    } else if size < 99_995.0 {
        format!("{:.2} s", ms / 1e3)
    } else {
        let seconds = nanos.unsigned_abs().saturating_add(500_000_000) / 1_000_000_000;
        let sign = if ms < 0.0 { "-" } else { "" };
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, minutes, seconds) => format!("{sign}{minutes} min {seconds} s"),
            (hours, minutes, _) => format!("{sign}{hours} h {minutes} min"),
        }
    }
}

/// The same from milliseconds.
pub(super) fn duration_ms(ms: f64) -> String {
    duration((ms * 1e6) as i64)
}

/// A time in UTC to the millisecond, `2026-11-20 23:17:00.123 UTC`.
pub(super) fn time(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..23)) {
        (Some(day), Some(clock)) => format!("{day} {clock} UTC"),
        _ => text,
    }
}

/// Who answered, how sure that is and what tells: `answered by the proxy (likely: the body is nginx's own page)`.
/// `None` where there was no answer or nobody knows.
pub(super) fn answered_by(handshake: &HandshakeView) -> Option<String> {
    let by = handshake.answered_by.filter(|&by| by != "unknown")?;
    let sure = handshake.answered_by_confidence.unwrap_or("guess");
    let tells = handshake.answered_by_reason.as_deref().unwrap_or_default();
    Some(format!("answered by the {by} ({sure}: {tells})"))
}

/// The same without what tells, where a finding says that.
pub(super) fn answered_by_in_short(handshake: &HandshakeView) -> Option<String> {
    let by = handshake.answered_by.filter(|&by| by != "unknown")?;
    Some(match handshake.answered_by_confidence {
        Some("certain") | None => format!("answered by the {by}"),
        Some(sure) => format!("answered by the {by} ({sure})"),
    })
}

/// An address with the name that a capture has for it.
pub(super) fn named(address: &str, name: Option<&String>) -> String {
    match name {
        Some(name) => format!("{address} ({name})"),
        None => address.to_owned(),
    }
}

/// What the evidence of a connection lacks, in words; empty when it is complete.
pub(super) fn evidence_lacks(connection: &ConnectionView) -> String {
    let streams = [&connection.to_server, &connection.to_client];
    let sum = |of: fn(&StreamView) -> u64| streams.iter().map(|stream| of(stream)).sum::<u64>();
    let cut = sum(|stream| stream.truncated_bytes);
    let lost = sum(|stream| stream.lost_bytes);
    let given_up = sum(|stream| stream.given_up_bytes);
    let missing = sum(|stream| stream.missing_bytes);
    let parts = connection.quality.iter().map(|&lack| match lack {
        "mid-stream" => "began before the capture".to_owned(),
        "one-sided" if connection.to_client.frames == 0 => "only the client's side".to_owned(),
        "one-sided" => "only the server's side".to_owned(),
        "truncated" => format!("{} cut by the snaplen", count(cut, "byte")),
        "gap" => format!(
            "{} not captured",
            count(missing.saturating_sub(cut + lost + given_up), "byte")
        ),
        "lost" => format!("{} lost on the wire", count(lost, "byte")),
        "given-up" => format!("{} given up for memory", count(given_up, "byte")),
        "conflict" => format!(
            "{} with other bytes than before",
            count(sum(|stream| stream.conflicts), "retransmission")
        ),
        other => other.to_owned(),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// The file name of a path.
pub(super) fn file_name(path: &str) -> &str {
    match path {
        "-" => "standard input",
        path => path.rsplit(['/', '\\']).next().unwrap_or(path),
    }
}

/// Times and frames of one report, as its forms print them.
pub(super) struct Frames<'a> {
    report: &'a Report,
    start: FrameRef,
}

impl<'a> Frames<'a> {
    /// Times count from the start of this handshake.
    pub(super) const fn of(report: &'a Report, handshake: &HandshakeView) -> Self {
        Self {
            report,
            start: handshake.start,
        }
    }

    /// Times count from this frame.
    pub(super) const fn from_evidence(report: &'a Report, start: &EvidenceView) -> Self {
        let start = FrameRef {
            at: start.at,
            capture: CaptureId(start.capture),
            frame: FrameNo(start.frame),
        };
        Self { report, start }
    }

    fn corrected(&self, at: Timestamp, capture: u16) -> i64 {
        let offset = self
            .report
            .captures
            .iter()
            .find(|view| view.id == capture)
            .map_or(0.0, |view| view.clock_offset_ms);
        at.shifted((offset * 1e6) as i64).nanos()
    }

    /// Nanoseconds from the start, clocks of the captures made comparable.
    pub(super) fn nanos(&self, at: Timestamp, capture: u16) -> i64 {
        self.corrected(at, capture)
            .saturating_sub(self.corrected(self.start.at, self.start.capture.0))
    }

    /// `+0.41 ms`.
    pub(super) fn relative(&self, at: Timestamp, capture: u16) -> String {
        let nanos = self.nanos(at, capture);
        let sign = if nanos < 0 { "" } else { "+" };
        format!("{sign}{}", duration(nanos))
    }

    /// `#12 +0.41 ms`.
    pub(super) fn at(&self, frame: FrameRef) -> String {
        format!(
            "#{} {}",
            frame.frame,
            self.relative(frame.at, frame.capture.0)
        )
    }

    /// Whether frame numbers need the name of their file.
    pub(super) fn several(&self) -> bool {
        self.report.captures.len() > 1
    }

    /// The file name of a capture.
    pub(super) fn file(&self, capture: u16) -> &'a str {
        file_of(self.report, capture)
    }
}

/// The file name of a capture.
pub(super) fn file_of(report: &Report, capture: u16) -> &str {
    report
        .captures
        .iter()
        .find(|view| view.id == capture)
        .map_or("?", |view| file_name(&view.path))
}

/// What a hop connects: `client → proxy`.
pub(super) fn ends(role: &str) -> (&'static str, &'static str) {
    match role {
        "client-proxy" => ("client", "proxy"),
        "proxy-proxy" => ("proxy", "proxy"),
        "proxy-backend" => ("proxy", "backend"),
        _ => ("client", "server"),
    }
}

/// Who a side of a hop's connection is.
pub(super) fn party(role: &str, side: &str) -> &'static str {
    let (client, server) = ends(role);
    if side == "client" { client } else { server }
}

/// How a hop's connection ended, and where: `FIN by backend`, `#28 +4.9 ms`.
pub(super) fn ended(
    connection: &ConnectionView,
    role: &str,
    frames: &Frames<'_>,
) -> (String, Option<String>) {
    match (connection.ended.by, connection.ended.at_frame) {
        (Some(side), Some(frame)) => (
            format!(
                "{} by {}",
                connection.ended.how.to_ascii_uppercase(),
                party(role, side)
            ),
            Some(frames.at(frame)),
        ),
        _ => ("open when the capture ends".to_owned(), None),
    }
}

/// The verdict as a heading.
pub(super) fn verdict(verdict: &str) -> &'static str {
    match verdict {
        "ok" => "OK",
        "failed" => "FAILED",
        "broken" => "BROKEN",
        _ => "UNCLEAR",
    }
}

/// What the Accept check of a hop says.
pub(super) fn accept(hop: &HopView) -> String {
    let got = hop
        .response
        .as_ref()
        .and_then(|response| response.accept.as_deref());
    match hop.accept {
        "valid" => "✓ valid".to_owned(),
        "mismatch" => format!(
            "✗ {}, must be {}",
            got.unwrap_or("?"),
            hop.accept_expected.as_deref().unwrap_or("?")
        ),
        "missing" => "✗ missing".to_owned(),
        "not-applicable" => "– no 101".to_owned(),
        _ => "? not checked".to_owned(),
    }
}

/// ws frames of one direction: `3 text, 1 ping`.
pub(super) fn carried(view: &super::view::CarriedView) -> String {
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

/// The protocol of connections in words, and what it means for us.
pub(super) fn protocol(name: &str) -> (&'static str, &'static str) {
    match name {
        "websocket" => ("WebSocket", "joined after its handshake"),
        "http" => ("HTTP/1", "no WebSocket request on them"),
        "http2" => ("HTTP/2", "not read"),
        "tls" => ("TLS", "encrypted: a handshake inside cannot be seen"),
        "none" => ("TCP", "without any payload"),
        _ => (
            "TCP",
            "another protocol, or under way when the capture began",
        ),
    }
}

/// A kind of frames without a TCP segment.
pub(super) fn other_kind(kind: crate::decode::OtherKind) -> String {
    use crate::decode::OtherKind as Kind;
    match kind {
        Kind::Udp { port } => format!("UDP port {port}"),
        Kind::Arp => "ARP".to_owned(),
        Kind::Icmp => "ICMP".to_owned(),
        Kind::OtherIp { protocol } => format!("IP protocol {protocol}"),
        Kind::NotIp => "not IP".to_owned(),
        Kind::Fragment => "IP fragments".to_owned(),
        Kind::Unreadable => "unreadable: cut off or malformed headers".to_owned(),
        Kind::UnsupportedLink => "of a link type that is not supported".to_owned(),
    }
}

/// What a report is about, in a line.
pub(super) fn title(report: &Report) -> String {
    let summary = report.summary;
    match (summary.handshakes, report.handshakes.as_slice()) {
        (0, _) => lone_findings(report).over.first().map_or_else(
            || "WebSocket handshakes: none found".to_owned(),
            |(_, finding)| finding.title.clone(),
        ),
        (1, [only]) if only.verdict != "ok" => only.headline.clone(),
        (all, _) if all == summary.ok => format!("WebSocket handshakes: {all} of {all} came up"),
        (all, _) => {
            let parts: Vec<String> = [
                (summary.failed, "failed"),
                (summary.broken, "broke"),
                (summary.unclear, "unclear"),
            ]
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{} {what}", thousands(number)))
            .collect();
            format!(
                "WebSocket handshakes: {}, of {}",
                parts.join(", "),
                thousands(all)
            )
        }
    }
}

/// Findings that belong to no handshake shown in full, the first of each kind with how many there are of it.
pub(super) struct Lone<'a> {
    /// Faults that explain more than one handshake, or the lack of any: to be read first.
    pub(super) over: Vec<(u64, &'a FindingView)>,
    /// Faults of something else.
    pub(super) beside: Vec<(u64, &'a FindingView)>,
    /// What is worth a line, warnings first.
    pub(super) small: Vec<&'a FindingView>,
}

/// Sorts out the findings that belong to no handshake shown in full.
pub(super) fn lone_findings(report: &Report) -> Lone<'_> {
    let shown: BTreeSet<&str> = report
        .handshakes
        .iter()
        .map(|handshake| handshake.id.as_str())
        .collect();
    let mut groups: BTreeMap<&str, (u64, &FindingView)> = BTreeMap::new();
    for finding in &report.findings {
        if finding
            .handshake
            .as_deref()
            .is_none_or(|id| !shown.contains(id))
        {
            groups.entry(finding.code).or_insert((0, finding)).0 += 1;
        }
    }
    let mut lone = Lone {
        over: Vec::new(),
        beside: Vec::new(),
        small: Vec::new(),
    };
    for (times, finding) in groups.into_values() {
        let touched = report
            .handshakes
            .iter()
            .filter(|handshake| {
                finding
                    .connections
                    .iter()
                    .any(|&id| joins(handshake).any(|joined| joined == id))
            })
            .count();
        // What is wrong with a connection of a handshake shown is told there already.
        match (finding.severity, touched) {
            ("error", 0) if shown.is_empty() => lone.over.push((times, finding)),
            ("error", 0) => lone.beside.push((times, finding)),
            ("error", 2..) => lone.over.push((times, finding)),
            _ => lone.small.push(finding),
        }
    }
    lone.small.sort_by_key(|finding| match finding.severity {
        "error" => 0,
        "warning" => 1,
        _ => 2,
    });
    lone
}

/// The connections of a handshake.
fn joins(handshake: &HandshakeView) -> impl Iterator<Item = ConnectionId> {
    let hops = handshake.hops.iter().map(|hop| hop.connection);
    hops.chain(handshake.attempts.iter().map(|attempt| attempt.connection))
}

/// A text of at most so many characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// The request fields that a handshake stands on, where they say something: label, field.
pub(super) const HEADERS: &[(&str, &str)] = &[
    ("Host", "Host"),
    ("Upgrade", "Upgrade"),
    ("Connection", "Connection"),
    ("Key", "Sec-WebSocket-Key"),
    ("Version", "Sec-WebSocket-Version"),
    ("Origin", "Origin"),
    ("Subprotocol", "Sec-WebSocket-Protocol"),
    ("Extensions", "Sec-WebSocket-Extensions"),
];

/// The value of one of [`HEADERS`].
pub(super) fn header(request: &RequestView, name: &str) -> Option<String> {
    let joined = |list: &[String]| (!list.is_empty()).then(|| list.join(", "));
    match name {
        "Host" => request.host.clone(),
        "Upgrade" => request.upgrade.clone(),
        "Connection" => request.connection.clone(),
        "Sec-WebSocket-Key" => request.key.as_ref().map(|key| match request.key_is_sample {
            Some(true) => format!("{key} (RFC sample)"),
            _ => key.clone(),
        }),
        "Sec-WebSocket-Version" => request.ws_version.clone(),
        "Origin" => request.origin.clone(),
        "Sec-WebSocket-Protocol" => joined(&request.subprotocols),
        _ => joined(&request.extensions),
    }
}

/// Whether a handshake cannot do without a field (RFC 6455 4.2.1).
pub(super) fn is_required(name: &str) -> bool {
    matches!(
        name,
        "Host" | "Upgrade" | "Connection" | "Sec-WebSocket-Key" | "Sec-WebSocket-Version"
    )
}

/// How a fact is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it is.
    Plain,
    /// As doubtful.
    Odd,
    /// As wrong.
    Bad,
}

/// The pings of a side, how regular they were and how fast their pongs.
fn pings(carried: &super::view::CarriedView, by: &str) -> Option<String> {
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
fn connections(ids: &[ConnectionId]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(" and ")
}

/// What followed a 101, one fact after the other: label, tone, fact.
pub(super) fn session(
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
            let code = close
                .code
                .map_or_else(|| "without a code".to_owned(), |code| code.to_string());
            let reason = if close.reason.is_empty() {
                String::new()
            } else {
                format!(" \"{}\"", close.reason)
            };
            let at = session
                .close_frame
                .map_or_else(String::new, |frame| format!("  {}", frames.at(frame)));
            let answered = if close.answered {
                "answered"
            } else {
                "not answered"
            };
            (
                Tone::Plain,
                format!("{code}{reason} by the {}, {answered}{at}", close.by),
            )
        }
        None => (Tone::Odd, "none sent".to_owned()),
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
    lines.extend(end(session));
    lines
}

/// How a session ended, or that it did not.
fn end(session: &SessionView) -> Option<(&'static str, Tone, String)> {
    let lasted = format!("after {}", duration_ms(session.lasted_ms?));
    let (Some(frame), Some(how)) = (session.ended, session.ended_how) else {
        let text = format!("not in the capture, which ends {lasted}");
        return Some(("ended", Tone::Odd, text));
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
    let text = format!(
        "{} {by} {lasted}, #{}{outstanding}",
        how.to_ascii_uppercase(),
        frame.frame
    );
    Some(("ended", Tone::Plain, text))
}

/// What makes a capture less than complete.
pub(super) fn troubles(capture: &CaptureView) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Some(damage) = &capture.damage {
        troubles.push(format!("damaged: {damage}"));
    }
    if let Some(dropped) = capture.dropped.filter(|&dropped| dropped > 0) {
        troubles.push(format!(
            "{} dropped while capturing",
            count(dropped, "packet")
        ));
    }
    if capture.truncated_frames > 0 {
        troubles.push(format!(
            "{} cut short by the snaplen: capture with -s 0",
            count(capture.truncated_frames, "frame")
        ));
    }
    troubles
}

/// What else there is to know about a capture: copies, another clock.
pub(super) fn oddities(capture: &CaptureView) -> Vec<String> {
    let mut oddities = Vec::new();
    if capture.duplicate_frames > 0 {
        oddities.push(count(capture.duplicate_frames, "duplicated frame"));
    }
    if capture.clock_offset_ms != 0.0 {
        oddities.push(format!(
            "clock {}{} against the first capture",
            if capture.clock_offset_ms > 0.0 {
                "+"
            } else {
                ""
            },
            duration_ms(capture.clock_offset_ms)
        ));
    }
    oddities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_size() {
        let of = |nanos: i64| duration(nanos);
        assert_eq!(of(0), "0.00 ms");
        assert_eq!(of(412_345), "0.41 ms");
        assert_eq!(of(12_345_678), "12.3 ms");
        assert_eq!(of(412_345_678), "412 ms");
        assert_eq!(of(7_000_400_000), "7.00 s");
        assert_eq!(of(60_000_000_000), "60.00 s");
        assert_eq!(of(125_000_000_000), "2 min 5 s");
        assert_eq!(of(7_260_000_000_000), "2 h 1 min");
        assert_eq!(of(-2_000_000), "-2.00 ms");
    }

    #[test]
    fn numbers_are_grouped_and_plural() {
        assert_eq!(count(1, "frame"), "1 frame");
        assert_eq!(count(1_234_567, "frame"), "1,234,567 frames");
        assert_eq!(count(2, "retry"), "2 retries");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(7984), "8.0 kB");
    }
}
