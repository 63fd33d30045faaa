//! A handshake as columns, which all forms draw side by side: what stands in front of it inside TLS, its hops, then the
//! connections that carried no request.

use super::view::{
    AttemptView, ConnectionView, FrontView, HandshakeView, HopView, Report, RequestView,
    ResponseView,
};
use super::words::{self, Frames};
use crate::capture::FrameRef;
use crate::tcp::ConnectionId;

/// A connection of a handshake.
pub(super) struct Column<'a> {
    /// The connection.
    pub(super) id: ConnectionId,
    /// Its facts, where they are listed.
    pub(super) connection: Option<&'a ConnectionView>,
    /// What it connects.
    role: &'a str,
    /// Its session was up, whoever answered.
    up_unanswered: bool,
    carried: Carried<'a>,
}

/// What a connection of a handshake carried.
enum Carried<'a> {
    /// The handshake, inside TLS that nobody opened.
    Sealed(&'a FrontView),
    /// The handshake.
    Hop(&'a HopView),
    /// No request of HTTP: it was tried for the handshake.
    Tried(&'a AttemptView),
}

/// What a column shows as its request.
pub(super) enum Asked<'a> {
    Request(&'a RequestView),
    /// The record that carried it, by the frame that completed it.
    Sealed(FrameRef),
    /// Something that is no fault, in words.
    Unseen(&'static str),
    /// It cannot have been there.
    Never(&'static str),
}

/// What a column shows as its answer.
pub(super) enum Answered<'a> {
    Response(&'a ResponseView),
    /// The record that carried it or its beginning, by the frame that completed it.
    Sealed(FrameRef),
    /// There was one, or may have been, and it was not captured.
    Unseen(&'static str),
    /// None: what there was instead.
    None(&'a str),
}

impl<'a> Column<'a> {
    /// The columns of a handshake.
    pub(super) fn all(report: &'a Report, handshake: &'a HandshakeView) -> Vec<Self> {
        let up_unanswered =
            handshake.session.is_some() && handshake.hops.iter().all(|hop| hop.response.is_none());
        let column = |id, role, carried| Self {
            id,
            connection: report.connection(id),
            role,
            up_unanswered,
            carried,
        };
        let front = handshake
            .front
            .iter()
            .map(|front| column(front.connection, FrontView::ROLE, Carried::Sealed(front)));
        let hops = handshake
            .hops
            .iter()
            .map(|hop| column(hop.connection, hop.role, Carried::Hop(hop)));
        let attempts = handshake.attempts.iter().map(|attempt| {
            let carried = Carried::Tried(attempt);
            column(attempt.connection, "proxy-backend", carried)
        });
        front.chain(hops).chain(attempts).collect()
    }

    /// The hop, if it was seen in clear.
    pub(super) const fn hop(&self) -> Option<&'a HopView> {
        match self.carried {
            Carried::Hop(hop) => Some(hop),
            Carried::Sealed(_) | Carried::Tried(_) => None,
        }
    }

    /// What it connects, in words.
    pub(super) fn ends(&self) -> String {
        let (from, to) = words::ends(self.role);
        format!("{from} → {to}")
    }

    /// Its request, or why there is none.
    pub(super) fn asked(&self) -> Asked<'a> {
        let protocol = self.connection.map(|connection| connection.protocol);
        match self.carried {
            Carried::Sealed(front) => front
                .request
                .as_ref()
                .map_or(Asked::Unseen("before the capture"), |record| {
                    Asked::Sealed(record.at_frame)
                }),
            Carried::Hop(hop) => match &hop.request {
                Some(request) => Asked::Request(request),
                None => Asked::Unseen("not in the capture as a whole"),
            },
            Carried::Tried(AttemptView {
                spoke: Some(spoke), ..
            }) => Asked::Unseen(spoke),
            Carried::Tried(_) if protocol == Some("tls") => Asked::Unseen("none seen inside TLS"),
            Carried::Tried(_) => Asked::Never("never sent"),
        }
    }

    /// Its answer, or what there was instead.
    pub(super) fn answered(&self) -> Answered<'a> {
        const NONE: Answered<'_> = Answered::None("none seen");
        const UNSEEN: Answered<'_> = Answered::Unseen("not in the capture");
        // No session is up without its 101, and of a server without a frame nothing is known.
        let silent = |connection: &ConnectionView| connection.to_client.frames == 0;
        let captured = !self.up_unanswered && !self.connection.is_some_and(silent);
        let none = if captured { NONE } else { UNSEEN };
        match self.carried {
            Carried::Sealed(front) => front
                .answer
                .as_ref()
                .map_or(none, |record| Answered::Sealed(record.at_frame)),
            Carried::Hop(hop) => hop.response.as_ref().map_or(none, Answered::Response),
            Carried::Tried(attempt) => Answered::None(&attempt.outcome),
        }
    }

    /// Whether the proxy gave it up for another one.
    pub(super) fn given_up(&self) -> bool {
        self.hop().is_some_and(|hop| hop.retried)
    }

    /// How a connection that nobody opened was found to be the one, and how sure that is; empty for all others.
    pub(super) fn joined(&self) -> String {
        match self.carried {
            Carried::Sealed(front) => words::joined(front),
            Carried::Hop(_) | Carried::Tried(_) => String::new(),
        }
    }

    /// How it ended, and where: `FIN by backend`, `#28 +4.9 ms`.
    pub(super) fn ended(&self, frames: &Frames<'_>) -> Option<(String, Option<String>)> {
        self.connection
            .map(|connection| words::ended(connection, self.role, frames))
    }

    /// What a row about a request field shows.
    pub(super) fn field(&self, name: &str) -> Field {
        let Some((hop, request)) = self
            .hop()
            .and_then(|hop| Some((hop, hop.request.as_ref()?)))
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
