//! What followed a 101, from the hop that saw most of it.
//!
//! Times are those of the capture with the first hop; ends come from the diagnosis where it knows more than one hop shows.

use super::heads::{list, owned};
use super::names::{ending, party, side};
use super::{id, milliseconds};
use crate::capture::FrameRef;
use crate::diagnosis::Diagnosis;
use crate::hop::{Handshake, Session};
use crate::report::moments::moments;
use crate::report::view::{CarriedView, CloseView, FramesView, PingsView, SessionView};
use crate::tcp::Direction;
use crate::websocket::Carried;

pub(super) fn session(
    handshake: &Handshake,
    diagnosis: &Diagnosis,
    session: &Session,
    start: FrameRef,
) -> Option<SessionView> {
    let hop = handshake.hops.get(session.hop)?;
    let facts = hop.session()?;
    let answer = hop.exchange().response.as_ref();
    // As the hop that saw most of it has it, if it has it.
    let first = handshake.first_close().map(|(_, close)| close);
    let close = first.map(|first| facts.close_by(first.by).unwrap_or(first));
    let cuts: Vec<_> = handshake
        .hops
        .iter()
        .filter_map(|hop| Some((hop.session()?.cut_mid_frame?.0, id(&hop.record))))
        .collect();
    Some(SessionView {
        established_at: session.established.at,
        subprotocol: answer.and_then(|head| owned(&head.fields, "sec-websocket-protocol")),
        extensions: answer
            .map(|head| list(&head.fields, "sec-websocket-extensions"))
            .unwrap_or_default(),
        to_server: carried(&facts.to_server),
        to_client: carried(&facts.to_client),
        close: close.map(|close| CloseView {
            by: handshake.closed_by().map(side),
            sender: side(close.by),
            code: close.code,
            cut: close.cut,
            reason: close.reason.to_string(),
            answered: handshake.close_answered(close.by),
        }),
        cut_mid_frame: cuts.first().map(|(way, _)| match way {
            Direction::ToServer => "to_server",
            Direction::ToClient => "to_client",
        }),
        cut_on: cuts.iter().map(|(_, connection)| *connection).collect(),
        idle_before_end_ms: session.idle_before_end_nanos.map(milliseconds),
        ended_by: diagnosis.ended_by.map(party),
        ended_how: session.ended.map(|end| ending(end.how)),
        ended_at: session.ended.map(|end| end.frame.at),
        lasted_ms: session.lasted_nanos.map(milliseconds),
        timeline: moments(handshake, start),
        established: session.established,
        last_data: session.last_data,
        ended: session.ended.map(|end| end.frame),
        close_frame: close.map(|close| close.frame),
        outstanding: session.outstanding,
    })
}

pub(super) fn carried(carried: &Carried) -> CarriedView {
    let frames = &carried.frames;
    CarriedView {
        frames: FramesView {
            text: frames.text,
            binary: frames.binary,
            continuation: frames.continuation,
            ping: frames.ping,
            pong: frames.pong,
            close: frames.close,
        },
        messages: carried.messages,
        payload_bytes: carried.payload_bytes,
        pings: carried.last_ping.map(|_| PingsView {
            answered: carried.pongs_matched,
            interval_min_ms: carried
                .ping_interval_nanos
                .map(|(shortest, _)| milliseconds(shortest)),
            interval_max_ms: carried
                .ping_interval_nanos
                .map(|(_, longest)| milliseconds(longest)),
            round_trip_max_ms: carried.ping_rtt_max_nanos.map(milliseconds),
        }),
    }
}
