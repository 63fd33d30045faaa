//! WebSocket handshakes over HTTP/2, which nginx refuses, and ports that take nothing but HTTP/2.

use super::Code;
use super::draft::Draft;
use super::text::short;
use crate::hop::Record;
use crate::http2::{Answer, WebSocketRequest};

/// What tells HTTP/2 in a place of HTTP/1.
pub(super) const BEGINS_WITH_SETTINGS: &str = "What came back begins with a SETTINGS frame, as a server of HTTP/2 does (RFC 9113 3.4): it takes nothing else on this port.";

/// What is wrong with the first handshake that was refused on an HTTP/2 connection.
pub(super) fn of_connection(record: &Record) -> Option<Draft> {
    let http2 = record.http2.as_deref()?;
    let (request, frame, answer) = http2.requests.iter().find_map(|request| {
        let (frame, answer) = request.answer?;
        matches!(answer, Answer::Status(400..) | Answer::Reset(_))
            .then_some((request, frame, answer))
    })?;
    let connection = &record.connection;
    let so = match answer {
        Answer::Status(status) => format!("was answered {status}"),
        Answer::Reset(code) => format!("was reset with error {code}"),
    };
    let (code, shows) = if request.extended {
        (
            Code::Http2WebsocketRefused,
            format!("CONNECT {} with :protocol websocket", short(&request.path)),
        )
    } else if request.connection.is_some() || request.upgrade.is_some() {
        (Code::Http2ConnectionHeader, classic(request))
    } else {
        return None;
    };
    let what = if request.extended {
        "extended CONNECT"
    } else {
        "request with fields of HTTP/1.1"
    };
    let draft = Draft::new(code)
        .on(record)
        .title(format!(
            "The {what} of {} to {} over HTTP/2 {so}",
            connection.client.ip(),
            connection.server
        ))
        .saw(request.frame, shows)
        .saw(frame, format!("stream {} {so}", request.stream));
    Some(if request.extended && http2.connect_protocol {
        draft.detail("The server offers extended CONNECT (SETTINGS_ENABLE_CONNECT_PROTOCOL), so it is this request that it refuses.")
    } else {
        draft
    })
}

fn classic(request: &WebSocketRequest) -> String {
    let fields = [
        ("connection", &request.connection),
        ("upgrade", &request.upgrade),
    ];
    let fields = fields
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}: {}", short(value.as_deref()?))));
    let list: Vec<_> = fields.collect();
    format!(
        "request for {} with {}",
        short(&request.path),
        list.join(", ")
    )
}
