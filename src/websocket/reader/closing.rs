//! What a Close frame says, and what is wrong with it (RFC 6455 5.5.1, 7.4).

use super::Reader;
use crate::capture::FrameRef;
use crate::websocket::header::Header;
use crate::websocket::ledger::Ledger;
use crate::websocket::{CloseFrame, Rule};

impl Reader {
    /// The Close frame at hand is complete.
    pub(super) fn end_close(&mut self, header: &Header, frame: FrameRef, ledger: &mut Ledger) {
        self.closed = true;
        let by = self.direction.sender();
        let (code, reason) = match self.control.split_first_chunk::<2>() {
            Some((code, reason)) => (Some(u16::from_be_bytes(*code)), reason),
            None => (None, [].as_slice()),
        };
        let cut = (self.control.len() as u64) < header.len;
        if self.trial.is_none() {
            self.close_faults(header, code, reason, frame, ledger);
        }
        let mut text = String::from_utf8_lossy(reason).into_owned();
        if cut && !text.is_empty() {
            text.push('…');
        }
        ledger.close(CloseFrame {
            by,
            code,
            reason: text.into(),
            cut,
            frame,
        });
    }

    fn close_faults(
        &self,
        header: &Header,
        code: Option<u16>,
        reason: &[u8],
        frame: FrameRef,
        ledger: &mut Ledger,
    ) {
        let by = self.direction.sender();
        if self.control.len() == 1 && header.len == 1 {
            ledger.fault(Rule::ClosePayloadTooShort, by, frame, 1);
        }
        let Some(code) = code else { return };
        if !may_be_sent(code) {
            ledger.fault(Rule::CloseCode, by, frame, code.into());
        }
        // A reason that is not here in full cannot be judged.
        let is_whole = self.control.len() as u64 == header.len;
        if is_whole && std::str::from_utf8(reason).is_err() {
            ledger.fault(Rule::ReasonNotUtf8, by, frame, code.into());
        }
    }
}

/// Whether a close code may be sent (RFC 6455 7.4, and the codes that IANA registered since).
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
