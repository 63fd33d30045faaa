//! The client's own request against RFC 6455 4.1, and recipes that cannot succeed.
//!
//! Said only of handshakes that failed: what a lenient server accepted is no fault worth a finding.

use super::catalogue::{OLD_DRAFT, Told};
use super::draft::Draft;
use super::negotiation;
use super::story::{Outcome, Story};
use super::text::{count, field, short, shows_request};
use super::view::RequestView;
use super::{Code, Severity};
use crate::http::RequestHead;
use crate::websocket::{Key, Version, repeated_fields, versions_offered};

pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    let hop = story.outer;
    let Some(head) = &hop.exchange().request else {
        return;
    };
    if story.is_up() || story.backend_only() {
        return;
    }
    let client = hop.record.connection.client;
    let answer = story.answer();
    let got = answer.map_or(String::new(), |head| format!(", and got {}", head.status));
    let draft = |code: Code, what: String| {
        Draft::new(code)
            .on(&hop.record)
            .title(format!("{client} sent {what}"))
            .headline(format!("The client {} sent {what}{got}", client.ip()))
            .saw(
                head.span.first,
                format!("{}; sent {what}", shows_request(head)),
            )
            .may_saw_answer(answer)
    };
    if head.method() != "GET" {
        out.push(draft(
            Code::MethodNotGet,
            format!("{} instead of GET", short(head.method())),
        ));
    }
    if head.minor_version == 0 {
        let raised = story.forwarded().any(|(_, after)| after.minor_version > 0);
        let severity = match story.outcome {
            _ if raised => Severity::Info,
            // nginx upgrades it all the same.
            Outcome::Unknown => Severity::Warning,
            _ => Severity::Error,
        };
        out.push(draft(Code::Http10Request, "HTTP/1.0".to_owned()).bad(severity));
    }
    match head.fields.first("host") {
        None if head.minor_version > 0 => {
            out.push(draft(Code::HostMissing, "no Host".to_owned()));
        }
        Some(host) if host.is_empty() => {
            out.push(draft(Code::HostMissing, "an empty Host".to_owned()));
        }
        _ => {}
    }
    for name in repeated_fields(&head.fields) {
        out.push(draft(
            Code::HeaderDuplicated,
            format!("{name} {}", count(head.fields.count(name), "time")),
        ));
    }
    // Without an upgrade in sight, missing companions of it say nothing new.
    let asks = head.asks_websocket();
    match head.fields.first("sec-websocket-key") {
        None if asks => out.push(
            draft(Code::KeyMissing, "no Sec-WebSocket-Key".to_owned()).may_told(of_old_draft(head)),
        ),
        Some(key) => out.extend(key_fault(&key).map(|what| draft(Code::KeyInvalid, what))),
        None => {}
    }
    match Version::of(&head.fields) {
        Version::Missing if asks => out.push(draft(
            Code::VersionMissing,
            "no Sec-WebSocket-Version".to_owned(),
        )),
        // Repeated ones have their own finding.
        Version::Unsupported if head.fields.count("sec-websocket-version") == 1 => {
            let version = head
                .fields
                .first("sec-websocket-version")
                .unwrap_or_default();
            let speaks = answer
                .map(|head| versions_offered(&head.fields))
                .filter(|versions| !versions.is_empty())
                .map_or_else(String::new, |versions| {
                    format!(" The server speaks {}.", short(&versions.join(", ")))
                });
            out.push(
                draft(
                    Code::VersionUnsupported,
                    format!("Sec-WebSocket-Version: {}", short(&version)),
                )
                .detail(format!("Only version 13 is in use.{speaks}")),
            );
        }
        Version::Supported | Version::Missing | Version::Unsupported => {}
    }
    if let Some(what) = negotiation::malformed_offer(&head.fields) {
        // A server may decline an offer that it cannot read, too.
        let refused = answer.is_some_and(|head| head.status == 400);
        out.push(draft(Code::OfferInvalid, what).bad(if refused {
            Severity::Error
        } else {
            Severity::Warning
        }));
    }
    out.extend(probe(story, head));
}

/// What is wrong with a key, as the object of a sentence.
fn key_fault(key: &str) -> Option<String> {
    let shown = short(key);
    match Key::of(key.as_bytes()) {
        Key::Valid | Key::Sample => None,
        _ if key.is_empty() => Some("an empty Sec-WebSocket-Key".to_owned()),
        Key::Sloppy => Some(format!(
            "the key {shown}, whose last bits are not zero as strict decoders demand"
        )),
        Key::Test => Some("the key \"test\", which is not 16 bytes in base64".to_owned()),
        Key::WrongLength(bytes) => Some(format!(
            "the key \"{shown}\", which is base64 of {bytes} bytes, not 16"
        )),
        Key::NotBase64 => Some(format!("the key \"{shown}\", which is not base64")),
    }
}

/// The texts for a request of draft-ietf-hybi-thewebsocketprotocol-00, which had two keys, and eight bytes behind the head.
fn of_old_draft(head: &RequestHead) -> Option<&'static Told> {
    (head.fields.count("sec-websocket-key1") > 0).then_some(&OLD_DRAFT)
}

/// Whether the attempt follows a popular recipe that fails on correct servers too.
fn probe(story: &Story<'_>, head: &RequestHead) -> Option<Draft> {
    const TOOLS: &[&str] = &["curl/", "wget/", "httpie/", "python-requests/"];
    let agent = head.fields.first("user-agent").unwrap_or_default();
    let by_tool = TOOLS.iter().any(|tool| {
        agent
            .get(..tool.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(tool))
    });
    let key = head.fields.first("sec-websocket-key");
    let mut signs = Vec::new();
    if head.method() == "HEAD" {
        signs.push("HEAD, as `curl -I` sends it".to_owned());
    }
    let judged = key.as_deref().map(|key| Key::of(key.as_bytes()));
    match judged {
        Some(Key::Test) => signs.push("the key `test`".to_owned()),
        Some(other) if by_tool && !other.is_valid() => signs.push("an invalid key".to_owned()),
        None if by_tool => signs.push("no key".to_owned()),
        _ => {}
    }
    if by_tool && !head.asks_websocket() && key.is_some() {
        signs.push("no Upgrade".to_owned());
    }
    if signs.is_empty() {
        return None;
    }
    if judged == Some(Key::Sample) {
        signs.push("the sample key of RFC 6455".to_owned());
    }
    Some(
        Draft::new(Code::ProbeArtefact)
            .on(&story.outer.record)
            .title(format!(
                "This attempt is a probe that cannot succeed: {}",
                signs.join(", ")
            ))
            .saw(
                head.span.first,
                format!(
                    "{}, {}",
                    shows_request(head),
                    field(head.fields.first("user-agent").as_deref(), "User-Agent")
                ),
            ),
    )
}
