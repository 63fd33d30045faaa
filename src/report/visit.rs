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

/// The texts of one kind at a place that has none, one or many.
fn each<'t>(
    kind: Kind<'_>,
    texts: impl IntoIterator<Item = &'t mut String>,
    visit: &mut Visitor<'_>,
) {
    for text in texts {
        visit(kind, text);
    }
}

/// The values of a header field.
fn values<'t>(
    field: &str,
    texts: impl IntoIterator<Item = &'t mut String>,
    visit: &mut Visitor<'_>,
) {
    each(Kind::Field(field), texts, visit);
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
    each(Kind::Line, &mut capture.damage, visit);
    each(Kind::Line, &mut capture.comments, visit);
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
        each(Kind::Target, &mut asked.target, visit);
    }
    each(Kind::Target, &mut view.target, visit);
    each(Kind::Host, &mut view.host, visit);
    for hop in &mut view.hops {
        self::hop(hop, visit);
    }
    if let Some(session) = &mut view.session {
        values("Sec-WebSocket-Protocol", &mut session.subprotocol, visit);
        values("Sec-WebSocket-Extensions", &mut session.extensions, visit);
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
        each(Kind::Host, &mut request.host, visit);
        values("Upgrade", &mut request.upgrade, visit);
        values("Connection", &mut request.connection, visit);
        values("Sec-WebSocket-Key", &mut request.key, visit);
        values("Sec-WebSocket-Version", &mut request.ws_version, visit);
        values("Origin", &mut request.origin, visit);
        values("Sec-WebSocket-Protocol", &mut request.subprotocols, visit);
        values("Sec-WebSocket-Extensions", &mut request.extensions, visit);
        fields(&mut request.headers, visit);
    }
    if let Some(response) = &mut hop.response {
        visit(Kind::Line, &mut response.reason);
        each(Kind::Reason, &mut response.said, visit);
        values("Upgrade", &mut response.upgrade, visit);
        values("Connection", &mut response.connection, visit);
        values("Sec-WebSocket-Accept", &mut response.accept, visit);
        values("Sec-WebSocket-Protocol", &mut response.subprotocol, visit);
        values("Sec-WebSocket-Extensions", &mut response.extensions, visit);
        values("Server", &mut response.server, visit);
        fields(&mut response.headers, visit);
    }
    for change in &mut hop.changes {
        let kind = match change.header {
            "target" => Kind::Target,
            "Host" => Kind::Host,
            "method" | "HTTP version" => Kind::Line,
            name => Kind::Field(name),
        };
        each(kind, &mut change.before, visit);
        each(kind, &mut change.after, visit);
    }
    each(Kind::Line, &mut hop.notes, visit);
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
    each(Kind::Host, &mut view.client_name, visit);
    each(Kind::Host, &mut view.server_name, visit);
    if let Some(tls) = &mut view.tls {
        each(Kind::Host, &mut tls.sni, visit);
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
