//! TLS as far as clear bytes show it: certificates refused, no common ground, the wrong protocol on a port.

use super::catalogue::{AGREED_ON_H2, HUNG_UP, LISTENS_FOR_H2, NO_NAME, NOT_VERIFIED, OTHER_NAME};
use super::draft::Draft;
use super::http2::BEGINS_WITH_SETTINGS;
use super::story::Story;
use super::text::{closed, preview, shows_request};
use super::view::{HopView, RecordView};
use super::{Code, Severity};
use crate::capture::FrameRef;
use crate::hop::{Confidence, ConnectAttempt, Hop, Protocol, Record};
use crate::http2::is_server_preface;
use crate::tcp::{Direction, Side};
use crate::tls::{Alert, TlsFacts, alert_name};

/// Alerts of RFC 8446 6 by what they mean for us.
mod alert {
    pub(super) const CLOSE_NOTIFY: u8 = 0;
    pub(super) const HANDSHAKE_FAILURE: u8 = 40;
    pub(super) const USER_CANCELED: u8 = 90;
    pub(super) const UNRECOGNIZED_NAME: u8 = 112;
    pub(super) const CERTIFICATE_REQUIRED: u8 = 116;

    /// Alerts about the peer's certificate.
    pub(super) const fn is_certificate(description: u8) -> bool {
        matches!(description, 42..=46 | 48)
    }
}

/// Whether bytes are a TLS alert record: how a TLS server answers clear text.
pub(super) fn is_tls_alert(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15, 0x03, 0..=4, ..])
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// The first fatal alert: a warning such as unrecognized_name before a working handshake decides nothing.
fn fatal(tls: &TlsFacts) -> Option<&Alert> {
    tls.alerts.iter().find(|alert| {
        alert.level == 2
            && !matches!(
                alert.description,
                alert::CLOSE_NOTIFY | alert::USER_CANCELED
            )
    })
}

/// Whether a server's alert means that it wanted a certificate of the client and got none.
fn wants_certificate(tls: &TlsFacts, alert: &Alert) -> bool {
    alert.from == Side::Server
        && (alert.description == alert::CERTIFICATE_REQUIRED
            || (tls.certificate_requested == Some(false)
                && (alert.description == alert::HANDSHAKE_FAILURE
                    || alert::is_certificate(alert.description))))
}

fn asked_for(tls: &TlsFacts) -> String {
    tls.sni.as_deref().map_or_else(
        || "without a server name".to_owned(),
        |name| format!("for {}", super::text::short(name)),
    )
}

/// What is wrong with TLS on a connection that carried no HTTP.
pub(super) fn of_connection(record: &Record) -> Option<Draft> {
    let connection = &record.connection;
    if let Some(draft) = plain_request_answered_by_tls(record) {
        return Some(draft);
    }
    let tls = record.tls.as_deref()?;
    let hello = tls.client_hello?;
    let to = connection.server;
    let base = |code: Code| {
        Draft::new(code)
            .on(record)
            .saw(hello, format!("ClientHello {}", asked_for(tls)))
    };
    if let Some((Side::Server, frame, bytes)) = &tls.not_tls {
        return Some(
            base(Code::TlsToPlainPort)
                .title(format!(
                    "{} began TLS with {to}, which answered in clear",
                    connection.client.ip()
                ))
                .saw(*frame, format!("the answer begins with {}", preview(bytes))),
        );
    }
    if tls.application_data.0.is_some() && tls.application_data.1.is_some() && fatal(tls).is_none()
    {
        return None;
    }
    if let Some(alert) = fatal(tls) {
        let name = alert_name(alert.description).unwrap_or("unknown alert");
        let (code, title) = match (alert.from, alert.description) {
            (Side::Client, number) if alert::is_certificate(number) => (
                Code::CertificateRejected,
                format!(
                    "{} rejected the certificate of {to}: {name}",
                    connection.client.ip()
                ),
            ),
            (Side::Server, alert::UNRECOGNIZED_NAME) => (
                Code::TlsNameUnrecognized,
                format!("{to} does not serve the name asked {}", asked_for(tls)),
            ),
            (Side::Server, _) if wants_certificate(tls, alert) => (
                Code::ClientCertificateMissing,
                format!("{to} wants a client certificate and got none"),
            ),
            (from, _) => (
                Code::TlsHandshakeFailed,
                format!("TLS with {to} failed: {name} from the {}", side(from)),
            ),
        };
        return Some(base(code).title(title).saw(
            alert.frame,
            format!(
                "alert {} {name} from the {}",
                alert.description,
                side(alert.from)
            ),
        ));
    }
    closed_after_hello(record, tls, base)
}

/// The server ended the connection right after the ClientHello.
fn closed_after_hello(
    record: &Record,
    tls: &TlsFacts,
    base: impl Fn(Code) -> Draft,
) -> Option<Draft> {
    let end = record.end_by(Side::Server)?;
    if tls.server_hello.is_some()
        || record.has_holes()
        || record.connection.to_client.payload_bytes > 0
    {
        return None;
    }
    let how = closed(end.how);
    Some(
        base(Code::TlsHandshakeFailed)
            .sure(Confidence::Likely)
            .title(format!(
                "{} {how} the connection after the ClientHello, without an answer",
                record.connection.server
            ))
            .saw(end.frame, "the server ends the connection"),
    )
}

/// HTTP in clear, answered by a TLS alert: a TLS port that is not nginx's.
fn plain_request_answered_by_tls(record: &Record) -> Option<Draft> {
    if record.exchange_count == 0 {
        return None;
    }
    let (_, frame, _) = record
        .not_http
        .iter()
        .find(|(direction, _, bytes)| *direction == Direction::ToClient && is_tls_alert(bytes))?;
    let connection = &record.connection;
    let request = record
        .ordinary
        .first()
        .map(|exchange| exchange.request)
        .or(connection.to_server.first_data);
    Some(
        Draft::new(Code::PlainToTlsPort)
            .on(record)
            .title(format!(
                "{} sent plain HTTP to {}, which answered with a TLS alert",
                connection.client.ip(),
                connection.server
            ))
            .may_saw(request, "an HTTP request in clear")
            .saw(*frame, "a TLS alert record"),
    )
}

/// TLS or HTTP/2 between the proxy and its backend, on a connection that carried no HTTP/1 request.
pub(super) fn of_attempt(story: &Story<'_>, attempt: &ConnectAttempt) -> Option<Draft> {
    let record = &attempt.record;
    let connection = &record.connection;
    let proxy = story.proxy_of_attempt(attempt);
    let backend = connection.server;
    if record.protocol == Protocol::Http2 {
        let frame = connection.to_server.first_data.unwrap_or(connection.first);
        let what = format!("{proxy} spoke HTTP/2 to {backend}, which cannot carry the upgrade");
        return Some(
            toward_backend(story, attempt, Code::Http2ToBackend, &what)
                .saw(frame, "the HTTP/2 preface"),
        );
    }
    let tls = record.tls.as_deref()?;
    let hello = tls.client_hello?;
    let draft = |code: Code, what: &str| {
        toward_backend(story, attempt, code, what)
            .saw(hello, format!("ClientHello {}", asked_for(tls)))
    };
    if let Some((Side::Server, frame, bytes)) = &tls.not_tls {
        let what = format!("{proxy} spoke TLS to {backend}, which answered in clear");
        return Some(
            draft(Code::TlsToPlainBackend, &what)
                .saw(*frame, format!("the answer begins with {}", preview(bytes))),
        );
    }
    if let Some(alert) = fatal(tls) {
        let name = alert_name(alert.description).unwrap_or("unknown alert");
        let what = match alert.from {
            Side::Client => format!("{proxy} rejected the TLS of {backend}: {name}"),
            Side::Server => format!("{backend} ended TLS with {proxy}: {name}"),
        };
        let shows = format!(
            "alert {} {name} from the {}",
            alert.description,
            side(alert.from)
        );
        if wants_certificate(tls, alert) {
            let what = format!("{backend} wants a client certificate, and {proxy} has none");
            return Some(
                draft(Code::ClientCertificateMissing, &what)
                    .fix("Give nginx a certificate for this backend, or let the backend do without.")
                    .snippet(
                        "proxy_ssl_certificate     /etc/nginx/client.pem;\nproxy_ssl_certificate_key /etc/nginx/client.key;",
                    )
                    .log("[error] SSL_do_handshake() failed (... alert handshake failure:SSL alert number 40) while SSL handshaking to upstream")
                    .saw(alert.frame, shows),
            );
        }
        let told = match (alert.from, alert.description) {
            (Side::Client, number) if alert::is_certificate(number) => Some(&NOT_VERIFIED),
            (Side::Server, alert::UNRECOGNIZED_NAME) if tls.sni.is_none() => Some(&NO_NAME),
            (Side::Server, alert::UNRECOGNIZED_NAME) => Some(&OTHER_NAME),
            _ => None,
        };
        return Some(
            draft(Code::BackendTlsRejected, &what)
                .may_told(told)
                .saw(alert.frame, shows),
        );
    }
    tls_left(story, attempt, tls, draft)
}

/// TLS towards a backend that ended without an alert in clear.
fn tls_left(
    story: &Story<'_>,
    attempt: &ConnectAttempt,
    tls: &TlsFacts,
    draft: impl Fn(Code, &str) -> Draft,
) -> Option<Draft> {
    let connection = &attempt.record.connection;
    let end = connection.ended?;
    let proxy = story.proxy_of_attempt(attempt);
    let backend = connection.server;
    let failed = matches!(story.status(), Some(502 | 504)) || story.answer().is_none();
    if !failed || !attempt.record.is_whole() {
        return None;
    }
    let mute = tls.server_hello.is_none() && connection.to_client.payload_bytes == 0;
    if mute && end.by == Side::Client {
        let what = format!("{proxy} spoke TLS to {backend}, which did not answer it");
        return Some(
            draft(Code::TlsToPlainBackend, &what)
                .sure(Confidence::Guess)
                .saw(end.frame, "the proxy gives up"),
        );
    }
    // Who closes TLS says so first, and the other one hangs up.
    let alert = tls.sealed_alert.filter(|&(_, frame)| frame < end.frame);
    let by = alert.map_or(end.by, |(from, _)| from);
    let what = match by {
        Side::Client => format!("{proxy} closed the TLS connection to {backend} without a request"),
        Side::Server => format!("{backend} closed the TLS connection of {proxy} without an answer"),
    };
    let looks = match by {
        Side::Client => {
            "A certificate that does not verify looks like this: nginx leaves right after the handshake."
        }
        // Some end it without an alert, and so do servers of anything else.
        Side::Server if mute => {
            "A server that wants another name, version or client certificate may hang up like this, and so may one that speaks no TLS at all: it sent not a byte."
        }
        Side::Server => {
            "A server that wants another name, version or client certificate may hang up like this."
        }
    };
    let told = match by {
        Side::Client => Some(&NOT_VERIFIED),
        Side::Server => mute.then_some(&HUNG_UP),
    };
    Some(
        draft(Code::BackendTlsRejected, &what)
            .sure(if mute {
                Confidence::Guess
            } else {
                Confidence::Likely
            })
            .detail(format!("The proxy asked {}. {looks}", asked_for(tls)))
            .may_told(told)
            .may_saw(
                alert.map(|(_, frame)| frame),
                format!("an encrypted alert from the {}", side(by)),
            )
            .saw(end.frame, format!("the {} ends it", side(end.by))),
    )
}

/// What drafts about an attempt have in common.
fn toward_backend(story: &Story<'_>, attempt: &ConnectAttempt, code: Code, what: &str) -> Draft {
    let so = story.status().map_or(String::new(), |status| {
        format!(", so the client got {status}")
    });
    Draft::new(code)
        .sure(attempt.confidence)
        .upstream(attempt.record.connection.server)
        .on(&story.outer.record)
        .on(&attempt.record)
        .title(what)
        .headline(format!("{what}{so}"))
        .may_saw(
            story.answer().map(|head| head.span.first),
            story
                .status()
                .map_or(String::new(), |status| format!("the client gets {status}")),
        )
}

/// Why a backend that expects TLS got HTTP in clear.
const PROXY_IN_CLEAR: &str = "`proxy_pass http://` to a port that speaks TLS.";

/// The proxy spoke plain HTTP to a backend that answered with a TLS alert.
pub(super) fn plain_to_tls_backend(story: &Story<'_>, hop: &Hop, frame: FrameRef) -> Draft {
    let request = hop.exchange().request.as_ref();
    let proxy = story.proxy_of(hop);
    let backend = hop.record.connection.server;
    Draft::new(Code::PlainToTlsPort)
        .on(&hop.record)
        .title(format!(
            "{proxy} spoke plain HTTP to the TLS port {backend}"
        ))
        .why(PROXY_IN_CLEAR)
        .fix("Use `proxy_pass https://` towards this backend.")
        .log("[error] upstream sent no valid HTTP/1.0 header while reading response header from upstream")
        .may_saw_request(request)
        .saw(frame, "a TLS alert record")
}

/// The answer says that its server speaks TLS: which side was spoken to wrongly?
pub(super) fn plain_answer(story: &Story<'_>, draft: Draft, out: &mut Vec<Draft>) {
    let relayed = story
        .inner_hops()
        .filter(|hop| !hop.retried)
        .find(|hop| hop.exchange().response.is_some());
    let draft = match relayed {
        Some(hop) => {
            let title = format!(
                "{} spoke plain HTTP to the TLS port {}",
                story.proxy_of(hop),
                hop.record.connection.server
            );
            draft
                .title(title)
                .why(PROXY_IN_CLEAR)
                .fix("Use `proxy_pass https://` towards this backend.")
                .log("nothing in the proxy's error log: it passes the answer on; a backend that is an nginx logs [info] client sent plain HTTP request to HTTPS port")
        }
        None => plain_client(story, draft),
    };
    out.push(draft.bad(Severity::Error));
}

/// Says who sent plain HTTP to a TLS port, by what is seen of the outermost hop alone.
fn plain_client(story: &Story<'_>, draft: Draft) -> Draft {
    let connection = &story.outer.record.connection;
    let draft = draft.title(format!(
        "{} sent plain HTTP to {}, which speaks TLS",
        connection.client.ip(),
        connection.server
    ));
    if story.outer.has_proxy_marks() {
        return draft;
    }
    draft.fix("Use wss:// in the client.").snippet("")
}

/// A handshake whose answer is no HTTP/1: a TLS alert, or what only another protocol makes sense of.
pub(super) fn rules(story: &Story<'_>, out: &mut Vec<Draft>) {
    if story.is_up() {
        return;
    }
    let exchange = story.outer.exchange();
    if let Some((frame, bytes)) = &exchange.not_http {
        let connection = &story.outer.record.connection;
        let begins = preview(bytes);
        let request = exchange.request.as_ref();
        let shows = request.map(shows_request).unwrap_or_default();
        let first = request.map(|head| head.span.first);
        // What came back in the place of an answer.
        let answered_with = |draft: Draft| draft.on(&story.outer.record).may_saw(first, shows);
        let no_answer = |title| Draft::new(Code::BackendInvalidResponse).title(title);
        // nginx passes on what is no HTTP as it is: of an alert that came so, the hop behind tells whose it was.
        let relayed = story.inner_hops().any(|hop| {
            let behind = hop.exchange().not_http.as_ref();
            behind.is_some_and(|(_, bytes)| is_tls_alert(bytes))
        });
        if relayed && is_tls_alert(bytes) {
            return;
        }
        if is_tls_alert(bytes) {
            let draft = plain_client(story, Draft::new(Code::PlainToTlsPort));
            out.push(answered_with(draft).saw(*frame, "a TLS alert record"));
        } else if story.outer.record.agreed_on_h2() {
            let draft = no_answer(format!(
                "{} agreed with {} on h2 and spoke HTTP/1.1",
                connection.client.ip(),
                connection.server
            ))
            .detail("What came back is HTTP/2: the server keeps to what was agreed on.")
            .told(&AGREED_ON_H2);
            let answer = "the answer is HTTP/2, as was agreed on (ALPN)";
            out.push(answered_with(draft).saw(*frame, answer));
        } else if story.is_alone() && is_server_preface(bytes) {
            let draft = no_answer(format!(
                "{} answered HTTP/1.1 with HTTP/2",
                connection.server
            ))
            .detail(BEGINS_WITH_SETTINGS)
            .told(&LISTENS_FOR_H2);
            let answer = "the answer begins with a SETTINGS frame";
            out.push(answered_with(draft).saw(*frame, answer));
        } else if story.is_alone() {
            let draft = no_answer(format!(
                "{} sent an answer that is no HTTP",
                connection.server
            ));
            let answer = format!("the answer begins with {begins}");
            out.push(answered_with(draft).saw(*frame, answer));
        }
    }
}
