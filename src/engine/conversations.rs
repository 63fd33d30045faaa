//! Between the connection table and the stages above it: one `Talk` per connection, one `Record` when it closes.

use crate::hop::{Book, Clocks, OpenConnections, Protocol, Record};
use crate::tcp::{Chunk, Connection, ConnectionId, Gap, Handler, Interest, StreamEnd, Table};

use super::talk::{Scratch, Talk, empty_record};

/// Follows what all connections say.
#[derive(Debug)]
pub(super) struct Conversations {
    pub(super) book: Book,
    /// Records of connections that left the table, until the engine has filed them.
    pub(super) closed: Vec<Record>,
    pub(super) scratch: Scratch,
}

impl Conversations {
    pub(super) fn new(clocks: Clocks) -> Self {
        Self {
            book: Book::new(clocks),
            closed: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    fn announce(&mut self, connection: &Connection) {
        for seen in self.scratch.attempts.drain(..) {
            self.book.attempt(
                connection.id,
                seen.exchange,
                seen.at.at,
                seen.key.as_deref(),
            );
        }
    }
}

impl Handler for Conversations {
    type State = Talk;

    fn opened(&mut self, _: &Connection) -> Talk {
        Talk::new()
    }

    fn bytes(&mut self, connection: &Connection, talk: &mut Talk, chunk: Chunk<'_>) -> Interest {
        let interest = talk.bytes(connection, chunk, &mut self.scratch);
        self.announce(connection);
        interest
    }

    fn gap(&mut self, connection: &Connection, talk: &mut Talk, gap: Gap) -> Interest {
        let interest = talk.gap(&gap, &mut self.scratch);
        self.announce(connection);
        interest
    }

    fn ended(&mut self, connection: &Connection, talk: &mut Talk, end: StreamEnd) {
        talk.ended(end, &mut self.scratch);
        self.scratch.decided = true;
        self.announce(connection);
    }

    fn closed(&mut self, connection: Connection, talk: Option<Talk>) {
        let record = match talk {
            Some(mut talk) => {
                talk.cut_off(&connection, &mut self.scratch);
                self.announce(&connection);
                talk.into_record(connection)
            }
            None => empty_record(connection, Protocol::None),
        };
        self.closed.push(record);
    }
}

/// The connections still in the table, as the pairing stage may look at them.
pub(super) struct Open<'a>(pub(super) &'a Table<Conversations>);

impl OpenConnections for Open<'_> {
    fn snapshot(&self, id: ConnectionId) -> Option<Record> {
        let (connection, talk) = self.0.get(id)?;
        Some(talk.record(connection.clone()))
    }
}
