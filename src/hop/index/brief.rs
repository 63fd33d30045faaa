//! What the index keeps of each exchange: enough to rule out most of those near it.

use super::super::asked::Asked;
use super::super::attempts;
use super::super::known::Known;
use super::super::node::{Node, View};
use super::census::Counted;
use crate::capture::Timestamp;
use crate::tcp::Connection;

/// When an exchange no longer waited for its answer.
pub(super) type Over = Option<Timestamp>;

/// What tells most exchanges that are near in time, and no more, from those that may belong together.
#[derive(Debug, Clone, Copy)]
pub(in crate::hop) struct Brief {
    pub(super) over: Over,
    pub(super) view: View,
    /// Hash of the key as sent.
    pub(super) key: Option<u64>,
    /// The request may name its client with the port: such a name counts for more than any address.
    pub(super) may_name_port: bool,
    /// The request was seen, and its key is no sample.
    pub(super) is_own: bool,
    /// It was answered, and the answer may say that a backend could not be reached.
    pub(super) may_have_failed: bool,
    /// What it is to the only one that shares a link with it.
    pub(super) partner: Option<Partner>,
}

/// What an exchange is to another one that shares a link with it and nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partner {
    /// It forwards the other one, which was there before it.
    Forwards,
    /// The other one forwards it. A further hop of it would share the link as well.
    Forwarded,
}

impl Brief {
    /// Of a request on an open connection.
    pub(in crate::hop) fn open(connection: &Connection, asked: &Asked) -> Self {
        Self {
            over: None,
            view: View {
                client: connection.client,
                server: connection.server,
            },
            key: asked.key_number(),
            may_name_port: asked.may_name_port,
            is_own: asked.key.is_some_and(|key| !key.is_sample),
            may_have_failed: false,
            partner: None,
        }
    }

    /// As one that may be a hop before others.
    pub(super) const fn as_outer(&self) -> Counted {
        Counted {
            keyless: self.key.is_none(),
            naming: false,
            address: self.view.server.octets(),
        }
    }

    /// As one that may be a hop behind others than the one that it is known to forward.
    pub(super) fn as_inner(&self) -> Option<Counted> {
        (!self.forwards()).then(|| Counted {
            keyless: self.key.is_none(),
            naming: self.may_name_port,
            address: self.view.client.octets(),
        })
    }

    /// Of an exchange that is known in full.
    pub(in crate::hop) fn of(node: &Node) -> Self {
        let connection = &node.record.connection;
        Self {
            over: node.over().map(|over| over.at),
            is_own: node.begin.is_some() && !node.asked.is_sample(),
            may_have_failed: attempts::is_failed_connect(node),
            ..Self::open(connection, &node.asked)
        }
    }

    pub(super) fn forwards(&self) -> bool {
        self.partner == Some(Partner::Forwards)
    }

    /// Whether it was still waiting at a time.
    pub(super) fn waits_at(&self, at: Timestamp) -> bool {
        self.over.is_none_or(|over| over > at)
    }

    /// Whether both are attempts at one listener, which are never hops of one another; but a proxy may connect to
    /// itself.
    pub(super) fn is_sibling(&self, other: &Self) -> bool {
        let local = |brief: &Self| brief.view.client.is_at(brief.view.server);
        self.view.server == other.view.server && !local(self) && !local(other)
    }

    /// Whether the other one may be a hop behind this one although they share no link. Two keys that differ take the
    /// proxy's address, or the client's with its port, as a witness.
    pub(super) fn may_precede(&self, inner: &Self, known: &Known) -> bool {
        let rekeyed = self.key.is_some() && inner.key.is_some() && self.key != inner.key;
        let from = inner.view.client;
        let proxy = self.view.server;
        !rekeyed || inner.may_name_port || from.is_at(proxy) || known.is_back(proxy, from.ip())
    }
}
