//! Every text of a view in one place: what masks and what escapes cannot forget a field.

use std::borrow::Cow;

use super::view::{
    CaptureView, ConnectionView, EvidenceView, FindingView, HandshakeView, Headers, HopView,
    LimitView, Report,
};

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A sentence or a few words of ours, with values from packets in it.
    Line,
    /// The same over several lines: a snippet of configuration.
    Block,
    /// A request target.
    Target,
    /// A host name, perhaps with a port.
    Host,
    /// An address and port.
    Endpoint,
    /// A value of the header field with this name.
    Field(&'a str),
    /// The reason of a Close frame, or what a refusal says in its body.
    Reason,
    /// The path of an input.
    Path,
}

/// Called for every text.
pub(super) type Visitor<'v> = dyn FnMut(Kind<'_>, &mut String) + 'v;

fn maybe(kind: Kind<'_>, text: Option<&mut String>, visit: &mut Visitor<'_>) {
    if let Some(text) = text {
        visit(kind, text);
    }
}

/// A text that is this case's own; what every case is told has nothing from packets in it.
fn own(kind: Kind<'_>, text: &mut Cow<'static, str>, visit: &mut Visitor<'_>) {
    if let Cow::Owned(text) = text {
        visit(kind, text);
    }
}

/// The texts of an input.
pub(super) fn capture(capture: &mut CaptureView, visit: &mut Visitor<'_>) {
    visit(Kind::Path, &mut capture.path);
    maybe(Kind::Line, capture.damage.as_mut(), visit);
    for comment in &mut capture.comments {
        visit(Kind::Line, comment);
    }
}

/// The texts of a whole report.
pub(super) fn report(report: &mut Report, visit: &mut Visitor<'_>) {
    for capture in &mut report.captures {
        self::capture(capture, visit);
    }
    for handshake in &mut report.handshakes {
        self::handshake(handshake, visit);
    }
    for connection in &mut report.connections {
        self::connection(connection, visit);
    }
    for finding in &mut report.findings {
        self::finding(finding, visit);
    }
    for limit in &mut report.limits {
        self::limit(limit, visit);
    }
    for cause in &mut report.causes {
        visit(Kind::Line, &mut cause.headline);
    }
}

/// The texts of a handshake.
pub(super) fn handshake(view: &mut HandshakeView, visit: &mut Visitor<'_>) {
    visit(Kind::Line, &mut view.headline);
    if let Some(reason) = &mut view.answered_by_reason {
        own(Kind::Line, reason, visit);
    }
    for asked in &mut view.subrequests {
        maybe(Kind::Target, asked.target.as_mut(), visit);
    }
    maybe(Kind::Target, view.target.as_mut(), visit);
    maybe(Kind::Host, view.host.as_mut(), visit);
    for hop in &mut view.hops {
        self::hop(hop, visit);
    }
    if let Some(session) = &mut view.session {
        maybe(
            Kind::Field("Sec-WebSocket-Protocol"),
            session.subprotocol.as_mut(),
            visit,
        );
        for extension in &mut session.extensions {
            visit(Kind::Field("Sec-WebSocket-Extensions"), extension);
        }
        if let Some(close) = &mut session.close {
            visit(Kind::Reason, &mut close.reason);
        }
    }
    for attempt in &mut view.attempts {
        visit(Kind::Line, &mut attempt.outcome);
    }
    for event in &mut view.timeline {
        visit(Kind::Line, &mut event.what);
    }
}

fn hop(hop: &mut HopView, visit: &mut Visitor<'_>) {
    if let Some(request) = &mut hop.request {
        visit(Kind::Line, &mut request.method);
        visit(Kind::Target, &mut request.target);
        maybe(Kind::Host, request.host.as_mut(), visit);
        maybe(Kind::Field("Upgrade"), request.upgrade.as_mut(), visit);
        maybe(
            Kind::Field("Connection"),
            request.connection.as_mut(),
            visit,
        );
        maybe(
            Kind::Field("Sec-WebSocket-Key"),
            request.key.as_mut(),
            visit,
        );
        maybe(
            Kind::Field("Sec-WebSocket-Version"),
            request.ws_version.as_mut(),
            visit,
        );
        maybe(Kind::Field("Origin"), request.origin.as_mut(), visit);
        for protocol in &mut request.subprotocols {
            visit(Kind::Field("Sec-WebSocket-Protocol"), protocol);
        }
        for extension in &mut request.extensions {
            visit(Kind::Field("Sec-WebSocket-Extensions"), extension);
        }
        fields(&mut request.headers, visit);
    }
    if let Some(response) = &mut hop.response {
        visit(Kind::Line, &mut response.reason);
        maybe(Kind::Reason, response.said.as_mut(), visit);
        maybe(Kind::Field("Upgrade"), response.upgrade.as_mut(), visit);
        maybe(
            Kind::Field("Connection"),
            response.connection.as_mut(),
            visit,
        );
        maybe(
            Kind::Field("Sec-WebSocket-Accept"),
            response.accept.as_mut(),
            visit,
        );
        maybe(
            Kind::Field("Sec-WebSocket-Protocol"),
            response.subprotocol.as_mut(),
            visit,
        );
        for extension in &mut response.extensions {
            visit(Kind::Field("Sec-WebSocket-Extensions"), extension);
        }
        maybe(Kind::Field("Server"), response.server.as_mut(), visit);
        fields(&mut response.headers, visit);
    }
    for change in &mut hop.changes {
        let kind = match change.header {
            "target" => Kind::Target,
            "Host" => Kind::Host,
            "method" | "HTTP version" => Kind::Line,
            name => Kind::Field(name),
        };
        maybe(kind, change.before.as_mut(), visit);
        maybe(kind, change.after.as_mut(), visit);
    }
    for note in &mut hop.notes {
        visit(Kind::Line, note);
    }
}

fn fields(fields: &mut Headers, visit: &mut Visitor<'_>) {
    fields.edit(|name, value| {
        visit(Kind::Field(name), value);
        visit(Kind::Line, name);
    });
}

/// The texts of a connection.
pub(super) fn connection(view: &mut ConnectionView, visit: &mut Visitor<'_>) {
    visit(Kind::Endpoint, &mut view.client);
    visit(Kind::Endpoint, &mut view.server);
    maybe(Kind::Host, view.client_name.as_mut(), visit);
    maybe(Kind::Host, view.server_name.as_mut(), visit);
    if let Some(tls) = &mut view.tls {
        maybe(Kind::Host, tls.sni.as_mut(), visit);
        for protocol in tls.alpn_offered.iter_mut().chain(tls.alpn.as_mut()) {
            visit(Kind::Line, protocol);
        }
    }
}

/// The texts of a finding.
pub(super) fn finding(view: &mut FindingView, visit: &mut Visitor<'_>) {
    visit(Kind::Line, &mut view.title);
    visit(Kind::Line, &mut view.detail);
    for (kind, text) in [
        (Kind::Line, &mut view.cause),
        (Kind::Line, &mut view.fix),
        (Kind::Block, &mut view.nginx_snippet),
        (Kind::Block, &mut view.nginx_log),
    ] {
        own(kind, text, visit);
    }
    evidence(&mut view.evidence, visit);
}

/// The texts of a limit.
pub(super) fn limit(view: &mut LimitView, visit: &mut Visitor<'_>) {
    visit(Kind::Line, &mut view.detail);
    evidence(&mut view.evidence, visit);
}

fn evidence(views: &mut [EvidenceView], visit: &mut Visitor<'_>) {
    for view in views {
        visit(Kind::Line, &mut view.shows);
    }
}
