//! Bytes where a frame should begin that no WebSocket endpoint wrote as a frame.

use super::{Message, Reader};
use crate::capture::FrameRef;
use crate::tcp::Direction;
use crate::websocket::Rule;
use crate::websocket::header::{Faults, is_text};
use crate::websocket::ledger::Ledger;

/// How a response begins (RFC 9112 4).
const HTTP: &[u8] = b"HTTP/1.";

/// A status line up to its status: `HTTP/1.1 500`.
const STATUS_LINE: usize = 12;

/// So many bytes tell of any header what it is.
pub(super) const JUDGED_BY: usize = STATUS_LINE;

impl Reader {
    /// How many bytes tell what a header with a fault is.
    pub(super) fn bytes_to_judge(&self, bytes: &[u8]) -> usize {
        if self.is_guessing() {
            0
        } else if self.direction == Direction::ToClient && begins_alike(bytes, HTTP) {
            STATUS_LINE
        } else if self.message == Message::First || is_text(bytes) {
            4
        } else {
            0
        }
    }

    /// Whether what begins here, and breaks a rule, is no frame; the fault is noted.
    ///
    /// What else follows a side's own Close frame is of no consequence: its peer discards it (RFC 6455 1.4), and web servers
    /// around an application write the response of a handler that returned.
    pub(super) fn is_foreign(
        &self,
        faults: Faults,
        start: &[u8],
        frame: FrameRef,
        ledger: &mut Ledger,
    ) -> bool {
        if self.is_guessing() {
            return false;
        }
        if self.closed {
            return true;
        }
        let by = self.direction.sender();
        if self.direction == Direction::ToClient && start.starts_with(HTTP) {
            ledger.fault(Rule::HttpResponse, by, frame, status(start));
            return true;
        }
        let is_foreign = if self.message == Message::First {
            faults.show_no_frame(start)
        } else {
            faults.show_text(start)
        };
        if is_foreign {
            ledger.fault(Rule::NotWebSocket, by, frame, first_two(start));
        }
        is_foreign
    }

    /// Whether it is not certain that a frame should begin here.
    fn is_guessing(&self) -> bool {
        self.message != Message::First && (self.lost || self.trial.is_some())
    }
}

/// Whether one of both begins with the other.
fn begins_alike(bytes: &[u8], text: &[u8]) -> bool {
    bytes.iter().zip(text).all(|(a, b)| a == b)
}

/// The status of a response, 0 if it is not there.
fn status(start: &[u8]) -> u64 {
    let digits = start.get(STATUS_LINE - 3..STATUS_LINE);
    digits
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u16>().ok())
        .map_or(0, u64::from)
}

/// The first two bytes, as the number that goes with what is no WebSocket.
fn first_two(start: &[u8]) -> u64 {
    start
        .first_chunk::<2>()
        .map_or(0, |two| u16::from_be_bytes(*two).into())
}
