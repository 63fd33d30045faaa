//! The words of the contract for what the stages name with enums.
//!
//! Every match is complete, so that a new variant of a stage does not compile before it has its word; a word, once given, stays.

use crate::capture::LinkType;
use crate::decode::Unreachable;
use crate::diagnosis::{AnsweredBy, Severity, Verdict};
use crate::hop::{AcceptCheck, ChangeKind, Confidence, JoinedBy, PairedBy, Party, Protocol, Role};
use crate::http::PartialWhy;
use crate::tcp::{EndingHow, GapCause, Opening, RolesFrom, Side};

/// The name of a severity.
pub(in crate::report) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The name of a verdict.
pub(crate) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Failed => "failed",
        Verdict::Broken => "broken",
        Verdict::Unclear => "unclear",
    }
}

pub(super) const fn answered_by(by: AnsweredBy) -> &'static str {
    match by {
        AnsweredBy::Backend => "backend",
        AnsweredBy::Proxy => "proxy",
        AnsweredBy::Unknown => "unknown",
    }
}

pub(super) const fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Guess => "guess",
        Confidence::Likely => "likely",
        Confidence::Certain => "certain",
    }
}

pub(crate) const fn role(role: Role) -> &'static str {
    match role {
        Role::ClientProxy => "client-proxy",
        Role::ProxyProxy => "proxy-proxy",
        Role::ProxyBackend => "proxy-backend",
        Role::Direct => "direct",
        Role::Unknown => "unknown",
    }
}

pub(super) const fn paired_by(key: PairedBy) -> &'static str {
    match key {
        PairedBy::Bytes => "bytes",
        PairedBy::Key => "sec-websocket-key",
        PairedBy::Accept => "sec-websocket-accept",
        PairedBy::RequestId => "request-id",
        PairedBy::Traceparent => "traceparent",
        PairedBy::ForwardedFor => "forwarded-for",
        PairedBy::PathAndTime => "path-and-time",
    }
}

pub(super) const fn joined_by(by: JoinedBy) -> &'static str {
    match by {
        JoinedBy::Records => "records",
        JoinedBy::RecordsAndTime => "records-and-time",
        JoinedBy::Time => "time",
    }
}

pub(super) const fn accept(check: AcceptCheck) -> &'static str {
    match check {
        AcceptCheck::Valid => "valid",
        AcceptCheck::Mismatch => "mismatch",
        AcceptCheck::Missing => "missing",
        AcceptCheck::NotApplicable => "not-applicable",
        AcceptCheck::Unchecked => "unchecked",
    }
}

pub(super) const fn change(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Dropped => "dropped",
        ChangeKind::Altered => "altered",
        ChangeKind::Added => "added",
    }
}

pub(super) const fn side(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

pub(super) const fn party(party: Party) -> &'static str {
    match party {
        Party::Client => "client",
        Party::Proxy => "proxy",
        Party::Backend => "backend",
    }
}

pub(super) const fn ending(how: EndingHow) -> &'static str {
    match how {
        EndingHow::Fin => "fin",
        EndingHow::Rst => "rst",
    }
}

/// The name of a protocol.
pub(in crate::report) const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::WebSocket => "websocket",
        Protocol::Http => "http",
        Protocol::Http2 => "http2",
        Protocol::Tls => "tls",
        Protocol::Cgi | Protocol::Other => "other",
        Protocol::None => "none",
    }
}

pub(super) const fn opening(opening: Opening) -> &'static str {
    match opening {
        Opening::Complete => "complete",
        Opening::Refused => "refused",
        Opening::Unanswered => "unanswered",
        Opening::Midstream => "midstream",
        Opening::Partial => "partial",
    }
}

pub(super) const fn roles_from(from: RolesFrom) -> &'static str {
    match from {
        RolesFrom::Syn => "syn",
        RolesFrom::SynAck => "syn-ack",
        RolesFrom::FirstBytes => "first-bytes",
        RolesFrom::Port => "port",
    }
}

/// The name of a link type, or its number where it has none.
pub(super) fn link_type(link: LinkType) -> String {
    match link.name() {
        "UNKNOWN" => format!("LINKTYPE_{}", link.0),
        name => name.to_owned(),
    }
}

pub(super) const fn unreachable(why: Unreachable) -> &'static str {
    match why {
        Unreachable::Host => "host",
        Unreachable::Port => "port",
        Unreachable::Prohibited => "prohibited",
        Unreachable::TooBig => "too-big",
        Unreachable::TimeExceeded => "time-exceeded",
        Unreachable::Other => "other",
    }
}

pub(super) const fn why(why: PartialWhy) -> &'static str {
    match why {
        PartialWhy::StreamEnded => "the stream ended",
        PartialWhy::CaptureEnded => "the capture ended",
        PartialWhy::Gap(GapCause::Truncated) => "a frame cut short by the snaplen",
        PartialWhy::Gap(GapCause::NotCaptured) => "bytes that the capture lacks",
        PartialWhy::Gap(GapCause::Lost) => "bytes lost on the wire",
        PartialWhy::Gap(GapCause::Evicted) => "bytes dropped to stay within the memory limit",
        PartialWhy::TooLarge => "more than is read of a head",
    }
}
