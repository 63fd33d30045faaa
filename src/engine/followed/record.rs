//! Hands a followed connection over as records: at its end, for a preview, or a chapter at a time.
//!
//! Each exchange is handed over once as final; what a chapter leaves is as if the chapter had never been.

use std::mem::take;

use super::{Followed, Reader};
use crate::capture::FrameRef;
use crate::hop::{Exchange, OrdinaryExchange, Protocol, Record};
use crate::tcp::{Connection, Direction};
use crate::websocket::SessionFacts;

/// Answered attempts of an open connection that are kept before they are handed over as a chapter of its story: a connection
/// that a proxy uses again and again may carry attempts for weeks.
const CHAPTER: usize = 64;

/// Bytes of heads with which a chapter is over, however few attempts they are.
const CHAPTER_BYTES: usize = 256 << 10;

/// What a record takes over from a followed connection.
struct Parts {
    exchanges: Vec<Exchange>,
    ordinary: Vec<OrdinaryExchange>,
    not_http: Vec<(Direction, FrameRef, Box<[u8]>)>,
    /// The session, and whose exchange it belongs to.
    session: Option<(usize, SessionFacts)>,
}

impl Followed {
    /// The answered attempts, if they are many and more may follow: what is left is as if they had never been.
    pub(in crate::engine) fn chapter(&mut self, connection: &Connection) -> Option<Record> {
        let many = self.exchanges.len() >= CHAPTER
            || self.exchanges.len() > 1 && self.head_bytes() >= CHAPTER_BYTES;
        if !many || !matches!(self.reader, Reader::Http(_)) {
            return None;
        }
        // The last one may still get a body, or a session.
        let last = self.exchanges.len() - 1;
        let waits = |exchange: &Exchange| exchange.response.is_none();
        let answered = self
            .exchanges
            .iter()
            .position(waits)
            .unwrap_or(last)
            .min(last);
        if answered == 0 {
            return None;
        }
        let exchanges: Vec<Exchange> = self.exchanges.drain(..answered).collect();
        let parts = Parts {
            exchanges,
            ordinary: self.ordinary.clone(),
            not_http: self.not_http.clone(),
            session: None,
        };
        Some(self.assemble(connection.clone(), parts))
    }

    pub(super) fn head_bytes(&self) -> usize {
        let heads = |exchange: &Exchange| {
            let request = exchange
                .request
                .as_ref()
                .map(|head| head.fields.raw().len());
            let response = exchange
                .response
                .as_ref()
                .map(|head| head.fields.raw().len());
            request.unwrap_or_default() + response.unwrap_or_default()
        };
        self.exchanges.iter().map(heads).sum()
    }

    pub(in crate::engine) fn record(&self, connection: Connection) -> Record {
        let parts = Parts {
            exchanges: self.exchanges.clone(),
            ordinary: self.ordinary.clone(),
            not_http: self.not_http.clone(),
            session: match &self.reader {
                Reader::WebSocket { session, place } => Some((*place, session.facts())),
                _ => None,
            },
        };
        self.assemble(connection, parts)
    }

    pub(in crate::engine) fn into_record(mut self, connection: Connection) -> Record {
        let session = if let Reader::WebSocket { session, place } = &mut self.reader {
            Some((*place, session.take_facts()))
        } else {
            None
        };
        let parts = Parts {
            exchanges: take(&mut self.exchanges),
            ordinary: take(&mut self.ordinary),
            not_http: take(&mut self.not_http),
            session,
        };
        self.assemble(connection, parts)
    }

    fn assemble(&self, connection: Connection, parts: Parts) -> Record {
        let Parts {
            mut exchanges,
            ordinary,
            not_http,
            session,
        } = parts;
        let protocol = match &self.reader {
            Reader::Http(_) => Protocol::Http,
            Reader::WebSocket { .. } => Protocol::WebSocket,
            Reader::Tls(_) => Protocol::Tls,
            Reader::Http2(_) => Protocol::Http2,
            Reader::Cgi(_) => Protocol::Cgi,
            Reader::Done(protocol) => *protocol,
        };
        if let Some((place, facts)) = session
            && let Some(exchange) = exchanges.get_mut(place)
        {
            exchange.session = Some(Box::new(facts));
            exchange.relayed.clone_from(&self.relayed);
        }
        let tls = self.envelope.as_ref();
        let tls = tls.map(|envelope| Box::new(envelope.facts()));
        let http2 = match &self.reader {
            Reader::Http2(sight) => Some(Box::new(sight.facts().clone())),
            _ => None,
        };
        let cgi = match &self.reader {
            Reader::Cgi(request) => Some(request.clone()),
            _ => None,
        };
        Record {
            exchange_count: self.exchange_count,
            exchanges,
            ordinary,
            not_http,
            proxy_header: self.proxy_header.clone(),
            oversized_head: self.oversized_head,
            tls,
            http2,
            cgi,
            ..Record::bare(connection, protocol)
        }
    }
}
