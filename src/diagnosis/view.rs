//! What rules ask of one hop, request or connection: the marks that proxies leave, whether an upgrade is asked for in full,
//! and who ended it.

use super::text::contains;
use crate::hop::{Hop, Record, is_nginx_name};
use crate::http::{Fields, PartialWhy, RequestHead};
use crate::tcp::{Direction, Ending, GapCause, Side};

/// What rules ask of a hop.
pub(super) trait HopView {
    /// The status of its final answer.
    fn status(&self) -> Option<u16>;
    /// Whether an answer seen here is nginx's own or passed through it. `behind` is the hop behind it.
    fn answered_by_nginx(&self, behind: Option<&Hop>) -> bool;
    /// Whether the answer's body is one of nginx's own pages.
    fn has_nginx_page(&self) -> bool;
    /// Whether the request looks as nginx writes requests to backends: by its older defaults, or with the usual
    /// configuration, which puts the fields of proxy_set_header before Host and the client's own behind it.
    fn has_nginx_signature(&self) -> bool;
    /// Whether the request has passed a proxy: forwarding fields, or the way nginx writes requests.
    fn has_proxy_marks(&self) -> bool;
    /// Whether it has fields that only proxies write.
    fn has_forwarding_fields(&self) -> bool;
    /// Whether the request says that it came through another proxy or balancer before.
    fn has_device_in_front(&self) -> bool;
}

impl HopView for Hop {
    fn status(&self) -> Option<u16> {
        let exchange = self.exchange();
        let ordinary = || {
            exchange
                .ordinary
                .as_ref()?
                .response
                .map(|(_, status)| status)
        };
        exchange
            .response
            .as_ref()
            .map(|head| head.status)
            .or_else(ordinary)
    }

    fn answered_by_nginx(&self, behind: Option<&Hop>) -> bool {
        let exchange = self.exchange();
        let Some(server) = exchange
            .response
            .as_ref()
            .and_then(|head| head.fields.first("server"))
        else {
            return self.has_nginx_page();
        };
        // nginx puts its own Server into answers that it passes on; another proxy may pass an nginx backend's.
        let same_behind = behind
            .and_then(|hop| hop.exchange().response.as_ref())
            .and_then(|head| head.fields.first("server"))
            .is_some_and(|other| other == server);
        is_nginx_name(&server) && !same_behind
    }

    fn has_nginx_page(&self) -> bool {
        self.exchange().body.as_deref().is_some_and(|body| {
            contains(body, "<center>nginx") || contains(body, "<center>openresty")
        })
    }

    fn has_nginx_signature(&self) -> bool {
        self.exchange().request.as_ref().is_some_and(|head| {
            let connection = head.fields.combined("connection").unwrap_or_default();
            let defaults = head.minor_version == 0 && connection == "close";
            (defaults && head.fields.count("sec-websocket-key") > 0)
                || (connection == "upgrade" && is_set_before_host(&head.fields))
        })
    }

    fn has_proxy_marks(&self) -> bool {
        self.has_nginx_signature()
            || self.has_forwarding_fields()
            || self.exchange().request.as_ref().is_some_and(|head| {
                head.fields.count("sec-websocket-key") > 0 && head.fields.count("connection") == 0
            })
    }

    fn has_forwarding_fields(&self) -> bool {
        const FORWARDING: &[&str] = &[
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-real-ip",
            "forwarded",
            "via",
        ];
        self.exchange()
            .request
            .as_ref()
            .is_some_and(|head| FORWARDING.iter().any(|name| head.fields.count(name) > 0))
    }

    fn has_device_in_front(&self) -> bool {
        const SIGNS: &[&str] = &[
            "x-forwarded-for",
            "forwarded",
            "via",
            "cf-ray",
            "x-amzn-trace-id",
            "x-real-ip",
        ];
        self.exchange()
            .request
            .as_ref()
            .is_some_and(|head| SIGNS.iter().any(|name| head.fields.count(name) > 0))
    }
}

/// Connection before Host, and the client's own fields behind it.
fn is_set_before_host(fields: &Fields) -> bool {
    let own = fields
        .position("sec-websocket-key")
        .or(fields.position("user-agent"));
    match (fields.position("connection"), fields.position("host")) {
        (Some(connection), Some(host)) => connection < host && own.is_none_or(|own| host < own),
        _ => false,
    }
}

/// What rules ask of a request that may be for a WebSocket (RFC 6455 4.1, RFC 9110 7.8).
pub(super) trait RequestView {
    /// Whether Upgrade asks for a WebSocket.
    fn asks_websocket(&self) -> bool;
    /// Whether Connection names Upgrade, without which no server must act on it.
    fn names_upgrade(&self) -> bool;
    /// Whether both fields ask for the upgrade.
    fn has_both_fields(&self) -> bool;
    /// Whether it asks for the upgrade in full: both fields, in a version of HTTP that has upgrades.
    fn is_whole_upgrade(&self) -> bool;
}

impl RequestView for RequestHead {
    fn asks_websocket(&self) -> bool {
        self.fields.has_token("upgrade", "websocket")
    }

    fn names_upgrade(&self) -> bool {
        self.fields.has_token("connection", "upgrade")
    }

    fn has_both_fields(&self) -> bool {
        self.asks_websocket() && self.names_upgrade()
    }

    fn is_whole_upgrade(&self) -> bool {
        self.has_both_fields() && self.minor_version > 0
    }
}

/// What rules ask of a connection.
pub(super) trait RecordView {
    /// The first FIN or RST of a side.
    fn end_by(&self, side: Side) -> Option<Ending>;
    /// Whether the server never said anything.
    fn server_is_mute(&self) -> bool;
    /// Whether both sides agreed on HTTP/2 (ALPN).
    fn agreed_on_h2(&self) -> bool;
}

impl RecordView for Record {
    fn end_by(&self, side: Side) -> Option<Ending> {
        self.connection.ended.filter(|ending| ending.by == side)
    }

    fn server_is_mute(&self) -> bool {
        self.said_bytes(Direction::ToClient) == 0
    }

    fn agreed_on_h2(&self) -> bool {
        let tls = self.tls.as_deref();
        tls.and_then(|tls| tls.alpn.as_deref()) == Some("h2")
    }
}

/// Why a head is incomplete, in words; `None` where the sender is to blame.
pub(super) fn hole(why: PartialWhy) -> Option<&'static str> {
    match why {
        PartialWhy::StreamEnded | PartialWhy::TooLarge => None,
        PartialWhy::CaptureEnded => Some("the capture ended first"),
        PartialWhy::Gap(GapCause::Truncated) => Some("the frame was cut short by the capture"),
        PartialWhy::Gap(GapCause::NotCaptured) => Some("bytes of it are not in the capture"),
        PartialWhy::Gap(GapCause::Lost) => Some("bytes of it were lost on the wire"),
        PartialWhy::Gap(GapCause::Evicted) => Some("bytes of it exceeded the memory limits"),
    }
}
