//! A handshake as columns, which all forms draw side by side: its hops, then the connections that carried no request.

use super::view::{ConnectionView, HandshakeView, HopView, Report};
use super::words::{self, Frames};
use crate::tcp::ConnectionId;

/// A hop, or a connection that was tried for the handshake and carried no request.
pub(super) struct Column<'a> {
    /// The connection.
    pub(super) id: ConnectionId,
    /// Its facts, where they are listed.
    pub(super) connection: Option<&'a ConnectionView>,
    /// What it connects.
    pub(super) role: &'a str,
    /// The hop; `None` for a connection without a request.
    pub(super) hop: Option<&'a HopView>,
    /// What became of a connection without a request.
    pub(super) outcome: &'a str,
}

impl<'a> Column<'a> {
    /// The columns of a handshake.
    pub(super) fn all(report: &'a Report, handshake: &'a HandshakeView) -> Vec<Self> {
        let hops = handshake.hops.iter().map(|hop| Self {
            id: hop.connection,
            connection: report.connection(hop.connection),
            role: hop.role,
            hop: Some(hop),
            outcome: "",
        });
        let attempts = handshake.attempts.iter().map(|attempt| Self {
            id: attempt.connection,
            connection: report.connection(attempt.connection),
            role: "proxy-backend",
            hop: None,
            outcome: &attempt.outcome,
        });
        hops.chain(attempts).collect()
    }

    /// What it connects, in words.
    pub(super) fn ends(&self) -> String {
        let (from, to) = words::ends(self.role);
        format!("{from} → {to}")
    }

    /// Why there is no request: whether none can be in it, so that this is a fault, and in words.
    pub(super) fn unasked(&self) -> (bool, &'static str) {
        match self.connection.map(|connection| connection.protocol) {
            Some("tls") => (false, "none seen inside TLS"),
            _ => (true, "never sent"),
        }
    }

    /// Whether the proxy gave it up for another one.
    pub(super) fn given_up(&self) -> bool {
        self.hop.is_some_and(|hop| hop.retried)
    }

    /// How it ended, and where: `FIN by backend`, `#28 +4.9 ms`.
    pub(super) fn ended(&self, frames: &Frames<'_>) -> Option<(String, Option<String>)> {
        self.connection
            .map(|connection| words::ended(connection, self.role, frames))
    }

    /// What a row about a request field shows.
    pub(super) fn field(&self, name: &str) -> Field {
        let Some((hop, request)) = self.hop.and_then(|hop| Some((hop, hop.request.as_ref()?)))
        else {
            return Field::Nothing;
        };
        let change = hop.changes.iter().find(|change| change.header == name);
        match (
            change.map(|change| change.kind),
            words::header(request, name),
        ) {
            (Some("dropped"), _) => Field::Dropped,
            (Some("altered"), Some(value)) => Field::Altered(value),
            (Some("added"), Some(value)) => Field::Added(value),
            (_, Some(value)) if name == "Sec-WebSocket-Key" && request.key_valid == Some(false) => {
                Field::Invalid(value)
            }
            (_, Some(value)) => Field::Same(value),
            (_, None) if words::is_required(name) => Field::Missing,
            (_, None) => Field::Nothing,
        }
    }
}

/// What became of a request field on the way to a hop.
pub(super) enum Field {
    /// There is nothing to show.
    Nothing,
    /// As it was, or nothing to compare it with.
    Same(String),
    /// It was there before.
    Dropped,
    /// It had another value before.
    Altered(String),
    /// It was not there before.
    Added(String),
    /// It is not there, and a handshake cannot do without it.
    Missing,
    /// It has no valid value.
    Invalid(String),
}
