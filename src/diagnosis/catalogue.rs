//! The one home of what findings mean: rules, reports and `hop101 explain` all take their texts from here.
//!
//! A template may hold `{location}` (the path of this case), `{upstream}` (the backend's address) and, on a line of its own,
//! `{kept}`: what the proxy sets of other fields. A line at the margin that the proxy has already is left out.

mod answer;
mod answer_101;
mod answered_by;
mod capture;
mod client_request;
mod connect;
mod elsewhere;
mod forwarding;
mod proxy_protocol;
mod session;
mod tls;
mod upstream;

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use super::{Code, Severity};

pub(super) use answered_by::{
    BALANCER, CHALLENGE_MET, OLD_DRAFT, RETURNED_101, Told, UNDECRYPTED, told_by,
};
pub(super) use elsewhere::{IF_NGINX, NOT_IN_NGINX, elsewhere, speaks_of_nginx};
pub(super) use forwarding::SLASHES;
pub(super) use session::IDLE_RELAY;
pub(super) use tls::{HUNG_UP, NO_NAME, NOT_VERIFIED, OTHER_NAME};

/// What a code means, in general.
#[derive(Debug)]
pub struct Entry {
    /// Which one.
    pub code: Code,
    /// What happened, in a line.
    pub title: &'static str,
    /// How bad it usually is; a case may differ.
    pub severity: Severity,
    /// What that means.
    pub meaning: &'static str,
    /// How it looks between the client and the proxy.
    pub client_hop: &'static str,
    /// How it looks between the proxy and the backend.
    pub backend_hop: &'static str,
    /// Why it happens, and why nginx does it.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
    pub(super) template: &'static str,
    /// What nginx logs, with the level; empty where nginx is not concerned.
    pub log: &'static str,
    /// RFC sections and nginx directives behind it.
    pub source: &'static str,
}

impl Entry {
    /// The configuration to write, with example values; empty when nothing in nginx would help.
    pub fn snippet(&self) -> Cow<'static, str> {
        self.snippet_for("/ws/", "backend")
    }

    /// The configuration to write for a location and an upstream.
    pub fn snippet_for(&self, location: &str, upstream: &str) -> Cow<'static, str> {
        let filling = Filling {
            location,
            upstream: &upstream,
            https: false,
            kept: &[],
        };
        fill(self.template, &filling)
    }
}

/// What a template's places stand for in a case.
pub(super) struct Filling<'a> {
    pub(super) location: &'a str,
    pub(super) upstream: &'a dyn fmt::Display,
    /// The upstream is spoken to inside TLS.
    pub(super) https: bool,
    /// What the proxy is seen to set besides.
    pub(super) kept: &'a [&'static str],
}

/// A path as nginx compares it with locations: of slashes in a row there is one left (`merge_slashes`).
fn merged(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return path.into();
    }
    let mut merged = String::new();
    for c in path.chars() {
        if c != '/' || !merged.ends_with('/') {
            merged.push(c);
        }
    }
    merged.into()
}

/// A path up to the first part that names one of many: a kernel, a terminal, a room. The next one has another.
fn before_ids(path: &str) -> &str {
    /// Shorter parts with a digit are names and versions: `v2`, `mp4`.
    const SHORTEST: usize = 8;
    let is_id = |part: &str| {
        let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
        let mut digits = part.bytes().filter(|&byte| byte != b'-');
        let of_number = || part.bytes().all(|byte| byte.is_ascii_digit());
        has_digit
            && (of_number()
                || part.len() >= SHORTEST && digits.all(|byte| byte.is_ascii_hexdigit()))
    };
    let mut end = 0;
    for part in path.split_inclusive('/') {
        if is_id(part.trim_end_matches('/')) {
            break;
        }
        end += part.len();
    }
    path.get(..end)
        .filter(|kept| kept.len() > 1)
        .unwrap_or(path)
}

/// A template with the values of a case in its places.
pub(super) fn fill(template: &'static str, filling: &Filling<'_>) -> Cow<'static, str> {
    let mut text = String::new();
    let (mut says, mut left_out) = (false, false);
    for line in template.lines() {
        if filling.kept.contains(&line) {
            left_out = true;
            continue;
        }
        if let Some(indent) = line.strip_suffix("{kept}") {
            keep(&mut text, template, indent, filling.kept);
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        says |= !line.starts_with('#');
        let mut rest = line;
        while let Some((before, place)) = rest.split_once('{') {
            text.push_str(before);
            rest = match place.split_once('}') {
                Some(("location", after)) => {
                    // One that matches nothing but this path names it whole.
                    let exact = text.ends_with("= ");
                    let path = merged(filling.location);
                    text.push_str(if exact { &path } else { before_ids(&path) });
                    after
                }
                Some(("upstream", after)) => {
                    if filling.https && text.ends_with("http://") {
                        text.truncate(text.len() - "://".len());
                        text.push_str("s://");
                    }
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{}", filling.upstream);
                    after
                }
                _ => {
                    text.push('{');
                    place
                }
            };
        }
        text.push_str(rest);
    }
    if left_out && !says {
        "".into()
    } else if text == template {
        template.into()
    } else {
        text.into()
    }
}

/// Writes what a location has to repeat: beside a proxy_set_header of its own it inherits none.
fn keep(text: &mut String, template: &str, indent: &str, kept: &[&str]) {
    let names = |line: &str| {
        line.split(' ')
            .nth(1)
            .map(|name| format!("proxy_set_header {name} "))
    };
    let new = kept
        .iter()
        .filter(|line| names(line).is_some_and(|name| !template.contains(&name)));
    let and = "# plus what else is set for this path: beside these, none is inherited";
    for line in new.chain([&and]) {
        text.push('\n');
        text.push_str(indent);
        text.push_str(line);
    }
}

/// The entry of a code.
#[allow(
    clippy::too_many_lines,
    reason = "one line per code, checked by the compiler to be complete"
)]
pub fn entry(code: Code) -> &'static Entry {
    match code {
        Code::UpgradeNotForwarded => &forwarding::UPGRADE_NOT_FORWARDED,
        Code::ConnectionNotForwarded => &forwarding::CONNECTION_NOT_FORWARDED,
        Code::Http10ToBackend => &forwarding::HTTP10_TO_BACKEND,
        Code::UpgradeAltered => &forwarding::UPGRADE_ALTERED,
        Code::ConnectionUpgradeForced => &forwarding::CONNECTION_UPGRADE_FORCED,
        Code::UpgradeAdded => &forwarding::UPGRADE_ADDED,
        Code::UpgradeMissing => &forwarding::UPGRADE_MISSING,
        Code::ConnectionMissing => &forwarding::CONNECTION_MISSING,
        Code::OriginHostMismatch => &forwarding::ORIGIN_HOST_MISMATCH,
        Code::HostRewritten => &forwarding::HOST_REWRITTEN,
        Code::KeyNotForwarded => &forwarding::KEY_NOT_FORWARDED,
        Code::KeyRewritten => &forwarding::KEY_REWRITTEN,
        Code::VersionNotForwarded => &forwarding::VERSION_NOT_FORWARDED,
        Code::SubprotocolNotForwarded => &forwarding::SUBPROTOCOL_NOT_FORWARDED,
        Code::ExtensionsNotForwarded => &forwarding::EXTENSIONS_NOT_FORWARDED,
        Code::AcceptNotReturned => &forwarding::ACCEPT_NOT_RETURNED,
        Code::UpgradeNotReturned => &forwarding::UPGRADE_NOT_RETURNED,
        Code::StatusChanged => &forwarding::STATUS_CHANGED,
        Code::PathRewritten => &forwarding::PATH_REWRITTEN,
        Code::InterimResponse => &answer::INTERIM_RESPONSE,
        Code::BadRequest => &answer::BAD_REQUEST,
        Code::Unauthorized => &answer::UNAUTHORIZED,
        Code::Forbidden => &answer::FORBIDDEN,
        Code::NotFound => &answer::NOT_FOUND,
        Code::MethodNotAllowed => &answer::METHOD_NOT_ALLOWED,
        Code::UpgradeRequired => &answer::UPGRADE_REQUIRED,
        Code::TooManyRequests => &answer::TOO_MANY_REQUESTS,
        Code::ServerError => &answer::SERVER_ERROR,
        Code::BadGateway => &answer::BAD_GATEWAY,
        Code::ServiceUnavailable => &answer::SERVICE_UNAVAILABLE,
        Code::GatewayTimeout => &answer::GATEWAY_TIMEOUT,
        Code::Redirected => &answer::REDIRECTED,
        Code::AnsweredAsPage => &answer::ANSWERED_AS_PAGE,
        Code::RefusedOtherwise => &answer::REFUSED_OTHERWISE,
        Code::SessionAffinityLost => &answer::SESSION_AFFINITY_LOST,
        Code::BackendNotContacted => &answer::BACKEND_NOT_CONTACTED,
        Code::BackendRefused => &upstream::BACKEND_REFUSED,
        Code::NoLiveBackend => &upstream::NO_LIVE_BACKEND,
        Code::BackendConnectTimeout => &upstream::BACKEND_CONNECT_TIMEOUT,
        Code::BackendUnreachable => &upstream::BACKEND_UNREACHABLE,
        Code::BackendClosedEarly => &upstream::BACKEND_CLOSED_EARLY,
        Code::BackendResetEarly => &upstream::BACKEND_RESET_EARLY,
        Code::BackendRetried => &upstream::BACKEND_RETRIED,
        Code::BackendTimeout => &upstream::BACKEND_TIMEOUT,
        Code::BackendHeaderTooBig => &upstream::BACKEND_HEADER_TOO_BIG,
        Code::BackendInvalidResponse => &upstream::BACKEND_INVALID_RESPONSE,
        Code::ClientGaveUp => &upstream::CLIENT_GAVE_UP,
        Code::RequestIncomplete => &upstream::REQUEST_INCOMPLETE,
        Code::RequestHeaderTooBig => &upstream::REQUEST_HEADER_TOO_BIG,
        Code::ProxyOverloaded => &upstream::PROXY_OVERLOADED,
        Code::NoAnswer => &upstream::NO_ANSWER,
        Code::ConnectRefused => &connect::CONNECT_REFUSED,
        Code::ConnectUnanswered => &connect::CONNECT_UNANSWERED,
        Code::VersionMissing => &client_request::VERSION_MISSING,
        Code::VersionUnsupported => &client_request::VERSION_UNSUPPORTED,
        Code::KeyMissing => &client_request::KEY_MISSING,
        Code::KeyInvalid => &client_request::KEY_INVALID,
        Code::HeaderDuplicated => &client_request::HEADER_DUPLICATED,
        Code::HostMissing => &client_request::HOST_MISSING,
        Code::OfferInvalid => &client_request::OFFER_INVALID,
        Code::MethodNotGet => &client_request::METHOD_NOT_GET,
        Code::Http10Request => &client_request::HTTP10_REQUEST,
        Code::TokenCaseRejected => &answer::TOKEN_CASE_REJECTED,
        Code::ProbeArtefact => &client_request::PROBE_ARTEFACT,
        Code::AcceptMismatch => &answer_101::ACCEPT_MISMATCH,
        Code::AcceptMissing => &answer_101::ACCEPT_MISSING,
        Code::AnswerUpgradeMissing => &answer_101::ANSWER_UPGRADE_MISSING,
        Code::AnswerUpgradeWrong => &answer_101::ANSWER_UPGRADE_WRONG,
        Code::AnswerConnectionMissing => &answer_101::ANSWER_CONNECTION_MISSING,
        Code::SubprotocolNotOffered => &answer_101::SUBPROTOCOL_NOT_OFFERED,
        Code::SubprotocolNotChosen => &answer_101::SUBPROTOCOL_NOT_CHOSEN,
        Code::ExtensionNotOffered => &answer_101::EXTENSION_NOT_OFFERED,
        Code::ExtensionParametersInvalid => &answer_101::EXTENSION_PARAMETERS_INVALID,
        Code::PlainToTlsPort => &tls::PLAIN_TO_TLS_PORT,
        Code::TlsToPlainPort => &tls::TLS_TO_PLAIN_PORT,
        Code::TlsToPlainBackend => &tls::TLS_TO_PLAIN_BACKEND,
        Code::BackendTlsRejected => &tls::BACKEND_TLS_REJECTED,
        Code::CertificateRejected => &tls::CERTIFICATE_REJECTED,
        Code::ClientCertificateMissing => &tls::CLIENT_CERTIFICATE_MISSING,
        Code::TlsNameUnrecognized => &tls::TLS_NAME_UNRECOGNIZED,
        Code::TlsHandshakeFailed => &tls::TLS_HANDSHAKE_FAILED,
        Code::Http2WebsocketRefused => &tls::HTTP2_WEBSOCKET_REFUSED,
        Code::Http2ConnectionHeader => &tls::HTTP2_CONNECTION_HEADER,
        Code::Http2ToBackend => &forwarding::HTTP2_TO_BACKEND,
        Code::CgiToBackend => &forwarding::CGI_TO_BACKEND,
        Code::ProxyProtocolMissing => &proxy_protocol::PROXY_PROTOCOL_MISSING,
        Code::ProxyProtocolUnexpected => &proxy_protocol::PROXY_PROTOCOL_UNEXPECTED,
        Code::ProxyProtocolToBackend => &proxy_protocol::PROXY_PROTOCOL_TO_BACKEND,
        Code::IdleTimeout => &session::IDLE_TIMEOUT,
        Code::IdleTimeoutInFront => &session::IDLE_TIMEOUT_IN_FRONT,
        Code::ConnectionVanished => &session::CONNECTION_VANISHED,
        Code::ClosedWithError => &session::CLOSED_WITH_ERROR,
        Code::BackendClosedWithoutClose => &session::BACKEND_CLOSED_WITHOUT_CLOSE,
        Code::BackendReset => &session::BACKEND_RESET,
        Code::ClientLeft => &session::CLIENT_LEFT,
        Code::ClientReset => &session::CLIENT_RESET,
        Code::CutMidFrame => &session::CUT_MID_FRAME,
        Code::SilentAfter101 => &session::SILENT_AFTER_101,
        Code::ClosedRightAfter101 => &session::CLOSED_RIGHT_AFTER_101,
        Code::FrameFault => &session::FRAME_FAULT,
        Code::CompressionNotNegotiated => &session::COMPRESSION_NOT_NEGOTIATED,
        Code::ClientNotReading => &session::CLIENT_NOT_READING,
        Code::BackendNotReading => &session::BACKEND_NOT_READING,
        Code::ProxyClosed => &session::PROXY_CLOSED,
        Code::ProxyRestarted => &session::PROXY_RESTARTED,
        Code::ProxyCrashed => &session::PROXY_CRASHED,
        Code::HalfClosed => &session::HALF_CLOSED,
        Code::NetworkLoss => &session::NETWORK_LOSS,
        Code::BackendHopNotSeen => &capture::BACKEND_HOP_NOT_SEEN,
        Code::ClientHopNotSeen => &capture::CLIENT_HOP_NOT_SEEN,
        Code::PairingAmbiguous => &capture::PAIRING_AMBIGUOUS,
        Code::CaptureMidStream => &capture::CAPTURE_MID_STREAM,
        Code::CaptureOneSided => &capture::CAPTURE_ONE_SIDED,
        Code::CaptureTruncated => &capture::CAPTURE_TRUNCATED,
        Code::CaptureGap => &capture::CAPTURE_GAP,
        Code::CaptureDrops => &capture::CAPTURE_DROPS,
        Code::CaptureDuplicates => &capture::CAPTURE_DUPLICATES,
        Code::ClockOffset => &capture::CLOCK_OFFSET,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes about the capture: nginx neither logs nor mends them.
    const CAPTURE: &[Code] = &[
        Code::BackendHopNotSeen,
        Code::ClientHopNotSeen,
        Code::PairingAmbiguous,
        Code::CaptureMidStream,
        Code::CaptureOneSided,
        Code::CaptureTruncated,
        Code::CaptureGap,
        Code::CaptureDrops,
        Code::CaptureDuplicates,
        Code::ClockOffset,
    ];

    #[test]
    fn every_code_has_a_complete_entry() {
        for &code in Code::ALL {
            let entry = entry(code);
            assert_eq!(entry.code, code);
            for (name, text) in [
                ("title", entry.title),
                ("meaning", entry.meaning),
                ("client_hop", entry.client_hop),
                ("backend_hop", entry.backend_hop),
                ("why", entry.why),
                ("fix", entry.fix),
                ("source", entry.source),
            ] {
                assert!(!text.trim().is_empty(), "{code}: {name} is empty");
                assert_eq!(text.trim(), text, "{code}: {name} has loose white space");
            }
            assert_eq!(
                entry.log.is_empty(),
                CAPTURE.contains(&code),
                "{code}: log line"
            );
            assert!(
                !entry.title.ends_with('.'),
                "{code}: a title is no sentence"
            );
            assert!(entry.meaning.ends_with('.'), "{code}: a meaning is one");
            assert!(entry.title.chars().count() <= 90, "{code}: title too long");
        }
    }

    #[test]
    fn titles_are_unique() {
        let mut titles: Vec<_> = Code::ALL.iter().map(|&code| entry(code).title).collect();
        titles.sort_unstable();
        titles.dedup();
        assert_eq!(titles.len(), Code::ALL.len());
    }

    #[test]
    fn snippets_have_no_placeholder_left() {
        for &code in Code::ALL {
            let text = entry(code).snippet_for("/chat", "10.0.0.1:8080");
            for mark in ["{location}", "{upstream}", "{kept}"] {
                assert!(!text.contains(mark), "{code}: {mark} left in {text}");
            }
        }
    }

    #[test]
    fn braces_of_snippets_balance() {
        for &code in Code::ALL {
            let text = entry(code).snippet();
            assert_eq!(
                text.matches('{').count(),
                text.matches('}').count(),
                "{code}: {text}"
            );
        }
    }

    #[test]
    fn a_location_serves_all_paths_of_its_kind() {
        for (path, location) in [
            ("/terminals/websocket/1", "/terminals/websocket/"),
            (
                "/api/kernels/0d5a31bc-8b1e-4f6a-9a44-c7f2dd6b8a10/channels",
                "/api/kernels/",
            ),
            ("/api/v2/ws", "/api/v2/ws"),
            ("/room/deadbeef", "/room/deadbeef"),
            ("/12/ws", "/12/ws"),
            ("/ws", "/ws"),
            ("/", "/"),
        ] {
            assert_eq!(before_ids(path), location);
        }
        assert_eq!(merged("//ws///a/"), "/ws/a/");
        let filling = Filling {
            location: "/rooms/7",
            upstream: &"backend",
            https: false,
            kept: &[],
        };
        let exact = fill(answer::SAME_PATH, &filling);
        assert!(exact.contains("location = /rooms/7 {"), "{exact}");
    }

    /// A location that is written anew has neither the version nor the fields that another one set.
    #[test]
    fn a_new_location_is_whole() {
        let kept = [
            "proxy_set_header Host $http_host;",
            "proxy_set_header X-Real-IP $remote_addr;",
        ];
        let filling = Filling {
            location: "/chat",
            upstream: &"10.0.0.1:8080",
            https: false,
            kept: &kept,
        };
        for code in [Code::UpgradeNotForwarded, Code::OriginHostMismatch] {
            let text = fill(entry(code).template, &filling);
            for line in [
                "map $http_upgrade $connection_upgrade {",
                "location /chat {",
                "    proxy_http_version 1.1;   # the default since nginx 1.29.7",
                "    proxy_set_header Upgrade $http_upgrade;",
                "    proxy_set_header Connection $connection_upgrade;",
                "    proxy_set_header Host $http_host;",
                "    proxy_set_header X-Real-IP $remote_addr;",
            ] {
                assert_eq!(
                    text.lines().filter(|&one| one == line).count(),
                    1,
                    "{code}: {line} in {text}"
                );
            }
        }
        let advice = "# beside others\nproxy_set_header Host $http_host;";
        assert_eq!(fill(advice, &filling), "", "it is set already");
        let more =
            "# beside others\nproxy_set_header Host $http_host;\nproxy_set_header Origin \"\";";
        assert_eq!(
            fill(more, &filling),
            "# beside others\nproxy_set_header Origin \"\";"
        );
    }

    /// Popular advice that real nginx proves wrong must not come from us.
    #[test]
    fn no_entry_repeats_wrong_advice() {
        for &code in Code::ALL {
            let entry = entry(code);
            let snippet = entry.snippet();
            assert!(!snippet.contains("proxy_read_timeout 0"), "{code}");
            assert!(!snippet.contains("client_max_body_size"), "{code}");
            assert!(!snippet.contains("proxy_buffering"), "{code}");
            assert!(!entry.log.contains("no \"Upgrade\" header found"), "{code}");
        }
    }
}
