//! Holes, and the search for the next frame behind one: a guess is on trial until enough speaks for it.

use super::{Message, Reader, State};
use crate::capture::FrameRef;
use crate::websocket::ledger::Ledger;
use crate::websocket::trial::Trial;

impl Reader {
    /// Begins where no boundary is known.
    pub(in crate::websocket) fn searching(mut self) -> Self {
        self.search();
        self
    }

    /// Takes a hole.
    pub(in crate::websocket) fn gap(&mut self, len: u64, frame: FrameRef, ledger: &mut Ledger) {
        match self.state {
            State::Payload { header, left } if len <= left && !self.lost => {
                self.control_lost = true;
                if !header.is_control() {
                    self.content.lose();
                }
                self.advance(header, left - len, frame, ledger);
            }
            State::Deaf => {}
            _ => {
                if self.trial.is_some() {
                    self.fail_trial(ledger);
                }
                self.search();
            }
        }
    }

    fn search(&mut self) {
        self.state = State::Search;
        self.lost = true;
        self.partial_len = 0;
        self.message = Message::Unknown;
        self.content.lose();
        self.trial = None;
    }

    pub(super) fn begin_trial(&mut self) {
        self.trial = Some(Box::new(Trial::new(self.carried, self.closed)));
        self.state = State::Header;
        self.partial_len = 0;
        self.message = Message::Unknown;
    }

    pub(super) fn score(&mut self, points: u8) {
        let Some(trial) = &mut self.trial else { return };
        trial.points = trial.points.saturating_add(points);
        self.lost = !trial.is_believed();
        if trial.is_settled() {
            self.trial = None;
        }
    }

    pub(super) fn fail_trial(&mut self, ledger: &mut Ledger) {
        if let Some(trial) = self.trial.take() {
            self.carried = trial.carried;
            self.closed = trial.closed;
            if !trial.closed {
                let by = self.direction.sender();
                ledger.closes.retain(|close| close.by != by);
            }
        }
        self.search();
    }
}
