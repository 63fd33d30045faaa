//! What happened on the wire for one handshake, in the order of time.
//!
//! Times of several captures are compared after their clocks were evened out; an event stays with the frame that shows it.

use super::heads::owned;
use super::names::confidence;
use crate::capture::FrameRef;
use crate::hop::{Confidence, Front, Handshake};
use crate::http::RequestHead;
use crate::report::view::EventView;
use crate::report::words::{close_code, how_sure};
use crate::tcp::{Connection, Direction};
use crate::websocket::SessionFacts;

/// What happened on the wire, in the order of (corrected) time.
pub(super) fn timeline(handshake: &Handshake) -> Vec<EventView> {
    let mut events = Vec::new();
    if let Some(front) = &handshake.front {
        sealed_events(front, &mut events);
    }
    for attempt in &handshake.attempts {
        lifecycle(&attempt.record.connection, &mut events);
    }
    for hop in handshake.hops.iter().chain(&handshake.subrequests) {
        let connection = &hop.record.connection;
        lifecycle(connection, &mut events);
        let exchange = hop.exchange();
        let mut push = |frame: FrameRef, way: Direction, what: String| {
            events.push(EventView {
                frame,
                connection: connection.id,
                to_server: way == Direction::ToServer,
                what,
            });
        };
        if let Some(request) = &exchange.request {
            push(
                request.span.first,
                Direction::ToServer,
                request_event(request),
            );
        }
        for answer in exchange.interim.iter().chain(&exchange.response) {
            push(
                answer.span.first,
                Direction::ToClient,
                format!("{} {}", answer.status, answer.reason()),
            );
        }
        if let Some(facts) = &exchange.session {
            session_events(facts, &mut push);
        }
    }
    events.sort_by_key(|event| (handshake.time(event.frame), event.frame));
    events.dedup();
    events
}

fn request_event(request: &RequestHead) -> String {
    let upgrade = owned(&request.fields, "upgrade").map_or_else(
        || "no Upgrade".to_owned(),
        |value| format!("Upgrade: {value}"),
    );
    format!(
        "{} {} HTTP/{}, {upgrade}",
        request.method(),
        request.target(),
        request.version()
    )
}

fn session_events(facts: &SessionFacts, push: &mut impl FnMut(FrameRef, Direction, String)) {
    for (way, carried) in [
        (Direction::ToServer, &facts.to_server),
        (Direction::ToClient, &facts.to_client),
    ] {
        if let Some(first) = carried.first {
            push(first, way, "first ws frame".to_owned());
        }
        if let Some(last) = carried.last.filter(|&last| Some(last) != carried.first) {
            push(last, way, "last ws frame".to_owned());
        }
    }
    for close in &facts.closes {
        let code = close_code(close.code, close.cut);
        push(close.frame, close.by.sends(), format!("Close {code}"));
    }
}

/// What shows of a connection that nobody opened: the records that must have carried request and answer.
fn sealed_events(front: &Front, events: &mut Vec<EventView>) {
    let connection = &front.record.connection;
    lifecycle(connection, events);
    let sure = match front.confidence {
        Confidence::Certain => String::new(),
        unsure => format!(" ({})", how_sure(confidence(unsure))),
    };
    let records = [
        (front.request, Direction::ToServer, "request"),
        (front.answer, Direction::ToClient, "answer"),
    ];
    for (record, way, what) in records {
        events.extend(record.map(|frame| EventView {
            frame,
            connection: connection.id,
            to_server: way == Direction::ToServer,
            what: format!("{what} inside TLS{sure}"),
        }));
    }
}

/// SYN, SYN-ACK and the end of a connection.
fn lifecycle(connection: &Connection, events: &mut Vec<EventView>) {
    let mut push = |frame: Option<FrameRef>, way: Direction, what: &str| {
        if let Some(frame) = frame {
            events.push(EventView {
                frame,
                connection: connection.id,
                to_server: way == Direction::ToServer,
                what: what.to_owned(),
            });
        }
    };
    push(connection.syn, Direction::ToServer, "SYN");
    push(connection.syn_ack, Direction::ToClient, "SYN-ACK");
    for way in [Direction::ToServer, Direction::ToClient] {
        let stream = connection.stream(way);
        push(stream.fin, way, "FIN");
        push(stream.rst, way, "RST");
    }
}
