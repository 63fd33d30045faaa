//! What following a connection's HTTP/1 messages tells the stages above.

use super::{RequestHead, ResponseHead};
use crate::capture::FrameRef;
use crate::tcp::{Direction, GapCause};

/// One thing that happened on a connection that speaks HTTP/1. `exchange` counts its requests from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpEvent {
    /// A complete request head.
    Request {
        /// Which exchange.
        exchange: u32,
        /// The head.
        head: RequestHead,
    },
    /// A 1xx answer other than 101.
    Interim {
        /// Which exchange.
        exchange: u32,
        /// The head.
        head: ResponseHead,
    },
    /// The final answer, 101 included. An answer whose request was not captured has an exchange of its own.
    Response {
        /// Which exchange.
        exchange: u32,
        /// The head.
        head: ResponseHead,
    },
    /// The beginning of the body of an answer to a handshake attempt, at most `BODY_EXCERPT` bytes, once.
    Body {
        /// Which exchange.
        exchange: u32,
        /// The bytes.
        excerpt: Box<[u8]>,
    },
    /// Bytes where a head should begin that are none, at most `RAW_EXCERPT` of them; that direction is not read on.
    NotHttp {
        /// Which way.
        direction: Direction,
        /// Where.
        frame: FrameRef,
        /// How they begin.
        excerpt: Box<[u8]>,
    },
    /// A head began and the stream ended (or a limit or hole came) before its blank line.
    PartialHead {
        /// Which way.
        direction: Direction,
        /// The exchange that it would have been part of.
        exchange: u32,
        /// Where it began.
        first: FrameRef,
        /// Where it broke off.
        last: FrameRef,
        /// The bytes of it that were there, at most `MAX_HEAD`.
        bytes: Box<[u8]>,
        /// Why it is not complete.
        why: PartialWhy,
    },
    /// The streams carry something else from here on: WebSocket after a 101, or a tunnel after CONNECT.
    Switched {
        /// The exchange that did it.
        exchange: u32,
        /// Whether to WebSocket.
        websocket: bool,
    },
}

/// Why a head is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartialWhy {
    /// FIN or RST came first.
    StreamEnded,
    /// The capture ended first.
    CaptureEnded,
    /// Bytes of it are not in the capture.
    Gap(GapCause),
    /// It is larger than `MAX_HEAD`.
    TooLarge,
}
