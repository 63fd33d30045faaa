//! Requests and responses field by field, as they came.
//!
//! Values are never mended: what is folded or repeated is joined as RFC 9110 5.3 allows, the list of all fields has each as it was.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::http::{Fields, RequestHead, ResponseHead};
use crate::report::view::{Headers, RequestView, ResponseView};
use crate::websocket::Key;

pub(super) fn owned(fields: &Fields, name: &str) -> Option<String> {
    fields.combined(name).map(std::borrow::Cow::into_owned)
}

pub(super) fn list(fields: &Fields, name: &str) -> Vec<String> {
    let items = fields.list(name).map(std::borrow::Cow::into_owned);
    let mut items: Vec<String> = items.collect();
    items.shrink_to_fit();
    items
}

pub(super) fn request(head: &RequestHead) -> RequestView {
    let fields = &head.fields;
    let key = fields.first("sec-websocket-key");
    RequestView {
        at: head.span.first.at,
        frame: head.span.first.number().0,
        method: head.method().to_string(),
        target: head.target().to_string(),
        http_version: head.version(),
        host: fields.first("host").map(std::borrow::Cow::into_owned),
        upgrade: owned(fields, "upgrade"),
        connection: owned(fields, "connection"),
        // RFC 6455 4.1 step 7: 16 random bytes in base64.
        key_valid: key.as_deref().map(|key| {
            BASE64_STANDARD
                .decode(key)
                .is_ok_and(|bytes| bytes.len() == 16)
        }),
        key_is_sample: key
            .as_deref()
            .map(|key| Key::of(key.as_bytes()) == Key::Sample),
        key: key.map(std::borrow::Cow::into_owned),
        ws_version: owned(fields, "sec-websocket-version"),
        origin: owned(fields, "origin"),
        subprotocols: list(fields, "sec-websocket-protocol"),
        extensions: list(fields, "sec-websocket-extensions"),
        headers: Headers::new(fields.iter()),
        at_frame: head.span.first,
    }
}

pub(super) fn response(head: &ResponseHead, said: Option<String>) -> ResponseView {
    let fields = &head.fields;
    ResponseView {
        at: head.span.first.at,
        frame: head.span.first.number().0,
        status: head.status,
        reason: head.reason().to_string(),
        http_version: head.version(),
        upgrade: owned(fields, "upgrade"),
        connection: owned(fields, "connection"),
        accept: owned(fields, "sec-websocket-accept"),
        subprotocol: owned(fields, "sec-websocket-protocol"),
        extensions: list(fields, "sec-websocket-extensions"),
        server: owned(fields, "server"),
        said,
        headers: Headers::new(fields.iter()),
        at_frame: head.span.first,
    }
}
