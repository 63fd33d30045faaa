//! Connections, hops and sessions with nothing special about them: tests, of later stages as well, say what differs.

use std::sync::Arc;

use super::{AcceptCheck, BackendSight, Exchange, Handshake, Hop, Protocol, Record, Role};
use crate::capture::FrameRef;
use crate::decode::Endpoint;
use crate::tcp::{Connection, ConnectionId, Interfaces, Opening, RolesFrom, StreamFacts};
use crate::websocket::{Carried, SessionFacts, Timer};

/// A connection that opened with this frame, and has a few frames each way.
pub(crate) fn connection(
    id: u32,
    client: Endpoint,
    server: Endpoint,
    first: FrameRef,
) -> Connection {
    let busy = StreamFacts {
        frames: 3,
        ..StreamFacts::default()
    };
    Connection {
        id: ConnectionId(id.into()),
        client,
        server,
        roles_from: RolesFrom::Syn,
        opening: Opening::Complete,
        first,
        last: first,
        syn: Some(first),
        syns: 1,
        syn_ack: Some(first),
        rtt_nanos: None,
        to_server: busy,
        to_client: busy,
        ended: None,
        unreachable: None,
        captures: 1 << first.capture().0,
        interfaces: Interfaces::default(),
        duplicates: 0,
        evicted: false,
    }
}

/// What is known of a connection that carried these exchanges and no others.
pub(crate) fn record(
    connection: Connection,
    protocol: Protocol,
    exchanges: Vec<Exchange>,
) -> Record {
    Record {
        exchange_count: exchanges.len() as u32,
        exchanges,
        ..Record::bare(connection, protocol)
    }
}

/// The first exchange of a connection as a hop by itself.
pub(crate) fn hop(record: Arc<Record>, role: Role, accept: AcceptCheck) -> Hop {
    Hop {
        record,
        place: 0,
        role,
        paired_by: None,
        accept,
        accept_expected: None,
        changes: Vec::new(),
        parent: None,
        retried: false,
        copies: Vec::new(),
    }
}

/// A handshake of these hops, over and settled.
pub(crate) fn handshake(hops: Vec<Hop>, backend: BackendSight) -> Handshake {
    Handshake {
        hops,
        front: None,
        attempts: Vec::new(),
        subrequests: Vec::new(),
        backend,
        ambiguous: false,
        unread: Vec::new(),
        session: None,
        clock_offsets: Vec::new(),
        settled: true,
    }
}

/// A session in which nothing was said.
pub(crate) fn session(established: FrameRef) -> SessionFacts {
    SessionFacts {
        established,
        to_server: Carried::default(),
        to_client: Carried::default(),
        closes: Vec::new(),
        faults: Vec::new(),
        cut_mid_frame: None,
        deflate: false,
        inflation_stopped: None,
        lost_sync: None,
        longest_silence: None,
        latest_silence: None,
        timer: Timer::started(established),
        mqtt: None,
        fingerprint: None,
    }
}
