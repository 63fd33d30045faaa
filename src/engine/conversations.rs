//! Between the connection table and the stages above it: one `Talk` per connection, one `Record` when it closes.

use std::collections::BTreeSet;

use crate::capture::Timestamp;
use crate::hop::{Book, Clocks, OpenConnections, Protocol, Record, Relayed};
use crate::tcp::{
    Chunk, Connection, ConnectionId, Direction, Gap, Handler, Interest, StreamEnd, Table,
};
use crate::tls::Sizes;

use super::followed::Scratch;
use super::talk::Talk;

/// Follows what all connections say.
#[derive(Debug)]
pub(super) struct Conversations {
    pub(super) book: Book,
    /// Records of connections that left the table, until the engine has filed them.
    pub(super) closed: Vec<Record>,
    /// Attempts that are over on connections that stay.
    pub(super) chapters: Vec<Record>,
    pub(super) scratch: Scratch,
    /// Connections that hold bytes back until keys come.
    sealed: BTreeSet<ConnectionId>,
    /// What happened since last asked; nothing is noted before somebody asks.
    pub(super) news: Option<News>,
}

/// Open connections on which something happened.
#[derive(Debug, Default)]
pub(super) struct News {
    /// With an attempt at a handshake, on which something was decided.
    pub(super) decided: BTreeSet<ConnectionId>,
    /// Others, of which one side ended.
    pub(super) ended: BTreeSet<ConnectionId>,
}

impl Conversations {
    pub(super) fn new(clocks: Clocks, held_bytes: usize) -> Self {
        // By another clock, TLS in front may be seen later than what is behind.
        let mut scratch = Scratch::default();
        scratch.meets_sealed = clocks == Clocks::MayDiffer;
        Self {
            scratch,
            book: Book::new(clocks).with_room(held_bytes),
            closed: Vec::new(),
            chapters: Vec::new(),
            sealed: BTreeSet::new(),
            news: None,
        }
    }

    /// The connections that wait for keys: there are new ones.
    pub(super) fn take_sealed(&mut self) -> BTreeSet<ConnectionId> {
        std::mem::take(&mut self.sealed)
    }

    /// Reads what new keys open.
    pub(super) fn look_for_keys(&mut self, connection: &Connection, talk: &mut Talk) {
        talk.look_for_keys(&mut self.scratch);
        self.announce(connection, talk);
    }

    #[inline(never)]
    fn announce(&mut self, connection: &Connection, talk: &mut Talk) {
        if std::mem::take(&mut self.scratch.decided) && talk.has_attempt() {
            if let Some(news) = &mut self.news {
                news.decided.insert(connection.id);
            }
            self.chapters.extend(talk.chapter(connection));
        }
        if self.scratch.take_holds_back() {
            self.sealed.insert(connection.id);
        }
        if self.scratch.take_is_sealed() {
            self.book.sealed(connection);
        }
        if self.scratch.take_is_late() {
            self.book.late(connection.id);
        }
        if let Talk::Followed(followed) = talk {
            for exchange in self.scratch.attempts.drain(..) {
                self.book.asked_by(connection.client.ip());
                if let Some(head) = followed.asked(exchange) {
                    let introduced = followed.is_introduced();
                    self.book.attempt(connection, exchange, head, introduced);
                }
            }
        }
        for (exchange, frame) in self.scratch.answers.drain(..) {
            self.book.answered(connection.id, exchange, frame.at);
        }
    }
}

impl Handler for Conversations {
    type State = Talk;

    fn opened(&mut self, _: &Connection) -> Talk {
        Talk::new()
    }

    #[inline]
    fn bytes(&mut self, connection: &Connection, talk: &mut Talk, chunk: Chunk<'_>) -> Interest {
        let interest = talk.bytes(connection, chunk, &mut self.scratch);
        if self.scratch.has_news() {
            self.announce(connection, talk);
        }
        interest
    }

    fn gap(&mut self, connection: &Connection, talk: &mut Talk, gap: Gap) -> Interest {
        let interest = talk.gap(&gap, &mut self.scratch);
        self.announce(connection, talk);
        interest
    }

    fn ended(&mut self, connection: &Connection, talk: &mut Talk, end: StreamEnd) {
        talk.ended(end, &mut self.scratch);
        self.scratch.decided = true;
        self.announce(connection, talk);
        if let Some(news) = self.news.as_mut().filter(|_| !talk.has_attempt()) {
            news.ended.insert(connection.id);
        }
    }

    fn touch(talk: &Talk, direction: Direction) -> usize {
        talk.touch(direction)
    }

    fn closed(&mut self, connection: Connection, talk: Option<Talk>) {
        let Some(mut talk) = talk else {
            self.closed.push(Record::bare(connection, Protocol::None));
            return;
        };
        let id = connection.id;
        talk.cut_off(&connection, &mut self.scratch);
        self.announce(&connection, &mut talk);
        self.sealed.remove(&id);
        self.closed.push(talk.into_record(connection));
        if let Some(news) = &mut self.news {
            // It may have to wait for other hops before it is reported for good.
            if news.decided.remove(&id) {
                self.book.leaves_untold(id);
            }
            news.ended.remove(&id);
        }
    }
}

/// The connections still in the table, as the pairing stage may look at them.
pub(super) struct Open<'a>(pub(super) &'a Table<Conversations>);

impl OpenConnections for Open<'_> {
    fn snapshot(&self, id: ConnectionId) -> Option<Record> {
        let (connection, talk) = self.0.get(id)?;
        Some(talk.record(connection.clone()))
    }

    fn sizes(&self, id: ConnectionId) -> Option<&Sizes> {
        self.0.get(id)?.1.sizes()
    }

    fn relayed(&self, id: ConnectionId) -> Option<&Relayed> {
        self.0.get(id)?.1.relayed()
    }

    fn without_payload(&self, from: Timestamp, to: Timestamp) -> Vec<Record> {
        let openings = self.0.openings(from, to).into_iter();
        openings
            .map(|connection| Record::bare(connection, Protocol::None))
            .collect()
    }
}
