//! The attempts on connections that are still open.

use foldhash::HashMap;
use smallvec::SmallVec;

use super::asked::{Asked, Link};
use super::node::{Node, Slot};
use crate::capture::Timestamp;
use crate::tcp::ConnectionId;

/// An attempt whose connection may still say more.
#[derive(Debug)]
pub(super) struct Open {
    /// When it began.
    pub(super) at: Timestamp,
    /// What its request says.
    pub(super) asked: Asked,
    /// As seen when last asked for, and when.
    pub(super) seen: Option<Box<(Timestamp, Node)>>,
    /// It was previewed with its answer.
    pub(super) told: bool,
}

impl Open {
    /// The link of its key.
    pub(super) fn link(&self) -> Option<Link> {
        self.asked.key.map(|key| key.link)
    }
}

/// The attempts of one connection, by their numbers on it.
pub(super) type Attempts = SmallVec<[(u32, Open); 1]>;

/// Attempts by connection: nearly all connections carry one.
#[derive(Debug, Default)]
pub(super) struct OpenAttempts {
    by_connection: HashMap<ConnectionId, Attempts>,
    count: usize,
}

impl OpenAttempts {
    /// One more; what was there under its name is replaced.
    pub(super) fn insert(&mut self, slot: Slot, open: Open) {
        let attempts = self.by_connection.entry(slot.connection).or_default();
        let before = attempts.iter_mut().find(|(at, _)| *at == slot.exchange);
        if let Some((_, before)) = before {
            *before = open;
        } else {
            attempts.push((slot.exchange, open));
            self.count += 1;
        }
    }

    /// One of them.
    pub(super) fn get(&self, slot: Slot) -> Option<&Open> {
        let mut attempts = self.by_connection.get(&slot.connection)?.iter();
        let (_, open) = attempts.find(|(at, _)| *at == slot.exchange)?;
        Some(open)
    }

    /// One of them, to be changed.
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Open> {
        let mut attempts = self.by_connection.get_mut(&slot.connection)?.iter_mut();
        let (_, open) = attempts.find(|(at, _)| *at == slot.exchange)?;
        Some(open)
    }

    /// Whether this one is open.
    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.get(slot).is_some()
    }

    /// One is open no more.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Open> {
        let attempts = self.by_connection.get_mut(&slot.connection)?;
        let place = attempts.iter().position(|(at, _)| *at == slot.exchange)?;
        let (_, open) = attempts.remove(place);
        if attempts.is_empty() {
            self.by_connection.remove(&slot.connection);
        }
        self.count -= 1;
        Some(open)
    }

    /// All of a connection are open no more.
    pub(super) fn take(&mut self, connection: ConnectionId) -> Attempts {
        let attempts = self.by_connection.remove(&connection).unwrap_or_default();
        self.count -= attempts.len();
        attempts
    }

    /// Those on a connection, in order.
    pub(super) fn on(&self, connection: ConnectionId) -> SmallVec<[Slot; 1]> {
        let attempts = self.by_connection.get(&connection).into_iter().flatten();
        let mut slots: SmallVec<[Slot; 1]> = attempts
            .map(|&(exchange, _)| Slot {
                connection,
                exchange,
            })
            .collect();
        slots.sort_unstable();
        slots
    }

    /// The connections that carry any, in no order.
    pub(super) fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.by_connection.keys().copied()
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.count
    }
}
