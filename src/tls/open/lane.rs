//! One direction of a connection that is opened.
//!
//! ```text
//!   fragments --> a record, whole --> the key and number that it authenticates with --> content --> clear bytes
//!                 or torn, or unseen                                                    messages, alerts
//! ```
//!
//! Invariants: nothing comes out of a record that does not authenticate; clear bytes and holes follow each other without
//! overlap; once a record cannot be accounted for, nothing more comes out.

use super::early::Early;
use super::epochs::{Epochs, Found, Stage};
use super::gathering::{Gathered, Gathering};
use super::record_key::Content;
use super::suite::Version;
use crate::capture::FrameRef;
use crate::tcp::{Direction, Gap, GapCause};
use crate::tls::hello::read_encrypted_extensions;
use crate::tls::messages::{self, Messages};
use crate::tls::records::{Fragment, Header, Missing, Part, kind};
use crate::tls::{Opened, TlsFacts};

/// How many records may be missing in front of one that is still recognised. A hole has a few segments, and a sender that
/// fills them with short records puts some tens into one.
const MAX_SKIP: u64 = 64;

/// Records in front of the first that a key fits: a handshake or early data of which the log has no secrets.
const MAX_STRANGE: u32 = 64;

/// The content of a Finished message in TLS 1.2 (RFC 5246 7.4.9), the first record of a direction.
const FINISHED_LEN: u64 = 16;

/// Reads one direction.
pub(super) struct Lane {
    direction: Direction,
    epochs: Epochs,
    gathering: Gathering,
    messages: Messages,
    /// The handshake's messages cannot be told apart any more: some of their bytes are missing.
    blind: bool,
    /// What is missing in front of the next record that is opened.
    missing: Option<Missing>,
    /// The part of it that nobody was told of.
    untold: Option<Missing>,
    /// Clear bytes that were said to be missing before it is known how many are.
    told: u64,
    /// A record was opened.
    proven: bool,
    /// Records that no key fitted, and the first of them.
    strange: u32,
    first_strange: Option<FrameRef>,
    /// TLS 1.2: the records are protected from here on.
    changed: bool,
    /// Clear bytes so far, holes included.
    position: u64,
    early: Early,
    end: Option<End>,
    /// Why something is missing from the end on.
    cause: GapCause,
}

/// Why nothing more comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// No key ever fitted.
    Unfit(FrameRef),
    /// A record could not be accounted for.
    Lost(FrameRef),
}

/// Where things go.
pub(super) struct Output<'a> {
    pub(super) opened: &'a mut Opened,
    pub(super) facts: &'a mut TlsFacts,
    /// Where the first clear bytes of the connection came out.
    pub(super) first: &'a mut Option<FrameRef>,
    /// What the server said about early data.
    pub(super) early_taken: &'a mut Option<bool>,
}

impl Lane {
    /// A direction with its keys; `missing` is what is missing in front of its first protected record.
    pub(super) fn new(direction: Direction, epochs: Epochs, missing: Option<Missing>) -> Self {
        Self {
            direction,
            epochs,
            gathering: Gathering::default(),
            messages: Messages::default(),
            blind: false,
            missing,
            untold: missing,
            told: 0,
            proven: false,
            strange: 0,
            first_strange: None,
            changed: false,
            position: 0,
            early: Early::Undecided(super::early::Held::default()),
            end: None,
            cause: GapCause::NotCaptured,
        }
    }

    pub(super) fn fragment(&mut self, fragment: &Fragment<'_>, out: &mut Output<'_>) {
        if self.end.is_some() {
            self.unread(fragment, out);
            return;
        }
        let frame = fragment.frame;
        let gathered = match fragment.part {
            Part::Start(missing) => {
                self.start(fragment, missing);
                None
            }
            Part::Behind(missing) => {
                self.untold = Missing::join(self.untold, Some(missing));
                None
            }
            Part::Bytes(data) => self.gathering.bytes(data, out.opened.spare()),
            Part::Hole(len, cause) => self.gathering.hole(len, cause, frame),
            Part::End => {
                self.lose(1, GapCause::NotCaptured, frame, out);
                None
            }
        };
        match gathered {
            None => {}
            Some(Gathered::Borrowed(header, body)) => self.record(header, body, frame, out),
            Some(Gathered::Owned(header, body)) => {
                self.record(header, &body, frame, out);
                out.opened.give_back(body);
            }
            Some(Gathered::Torn(header, cause, frame)) => self.torn(header, cause, frame, out),
        }
    }

    /// The direction is at its end: records that no key fitted so far will not be opened any more, and nothing comes that would
    /// tell how much is missing.
    pub(super) fn finish(&mut self, out: &mut Output<'_>) {
        if let (None, false, Some(first)) = (self.end, self.proven, self.first_strange) {
            self.lose(1, GapCause::NotCaptured, first, out);
            self.end = Some(End::Unfit(first));
        }
        if out.first.is_some()
            && let Some(gap) = self.tell_missing()
        {
            out.opened.gap(gap);
        }
    }

    /// A record begins.
    fn start(&mut self, fragment: &Fragment<'_>, missing: Option<Missing>) {
        self.missing = Missing::join(self.missing, missing);
        let header = fragment.header;
        let protected = match (self.epochs.version(), header.kind) {
            // RFC 8446 5.2; the ChangeCipherSpec of D.4 says nothing.
            (Version::Tls13, kind) => kind == kind::APPLICATION_DATA,
            (Version::Tls12, kind::CHANGE_CIPHER_SPEC) => {
                // A second one: new keys, which the log does not tell from the others (RFC 5246 7.1).
                self.end = self.changed.then_some(End::Lost(fragment.frame));
                self.changed = true;
                // RFC 5246 6.1: numbers begin here, whatever is missing before it.
                self.missing = None;
                self.untold = None;
                false
            }
            (Version::Tls12, kind) => {
                // Application data is never in clear: what changed the cipher was not seen.
                self.changed |= kind == kind::APPLICATION_DATA;
                self.changed
            }
        };
        if protected {
            self.gathering.start(header);
        }
    }

    /// A whole record.
    fn record(&mut self, header: Header, body: &[u8], frame: FrameRef, out: &mut Output<'_>) {
        let reach = if self.missing.is_some() { MAX_SKIP } else { 0 };
        let found = self.epochs.find(reach, |key, number| {
            let open = |body: &mut [u8]| key.open(number, header, body);
            out.opened.attempt(body, open)
        });
        let Some(found) = found else {
            self.strange(header, frame, out);
            return;
        };
        self.proven = true;
        self.move_on(&found, out);
        if self.end.is_none() {
            self.content(&found.content, frame, out);
        }
    }

    /// No key fits a record.
    fn strange(&mut self, header: Header, frame: FrameRef, out: &mut Output<'_>) {
        let first = *self.first_strange.get_or_insert(frame);
        self.strange += 1;
        let patience = match self.epochs.version() {
            Version::Tls13 if !self.proven && self.epochs.stage().is_some() => MAX_STRANGE,
            _ => 0,
        };
        if self.strange <= patience {
            return;
        }
        let cause = self
            .missing
            .map_or(GapCause::NotCaptured, |hole| hole.cause);
        self.lose(self.about(header), cause, frame, out);
        if !self.proven && self.missing.is_none() {
            self.end = Some(End::Unfit(first));
        }
    }

    /// A record was opened: makes its epoch and number the current ones, and accounts for what is missing before it.
    fn move_on(&mut self, found: &Found, out: &mut Output<'_>) {
        let before = self.epochs.stage();
        self.epochs.advance(found.place);
        let fresh = self.epochs.is_fresh();
        self.epochs.count(found.skipped + 1);
        let stage = self.epochs.stage();
        let missing = self.missing.take();
        self.untold = None;
        let told = std::mem::take(&mut self.told);
        if found.place > 0 || missing.is_some() {
            self.messages = Messages::default();
            // Where application data is, messages are whole records again; in a handshake they go on in the middle.
            self.blind = missing.is_some() && stage != Some(Stage::Application);
        }
        if before == Some(Stage::Early) {
            if missing.is_some() && (found.skipped > 0 || found.place > 0) {
                self.early.tear();
            } else if found.place > 0 {
                // RFC 8446 4.5: who took it is told by EndOfEarlyData.
                self.decide_early(false, out);
            }
        }
        let Some(missing) = missing else { return };
        if stage != Some(Stage::Application) || found.skipped == 0 {
            return;
        }
        // RFC 5246 7.4.9: the first record of TLS 1.2 is the Finished message.
        let finished = fresh && self.epochs.version() == Version::Tls12;
        if finished && found.skipped == 1 {
            return;
        }
        let Missing { cause, frame, .. } = missing;
        let Some(expansion) = self.epochs.expansion() else {
            self.lose(1, cause, frame, out);
            return;
        };
        let overhead = found.skipped * (Header::LEN + expansion) as u64;
        let finished = if finished { FINISHED_LEN } else { 0 };
        let bytes = missing.bytes.saturating_sub(overhead + finished);
        self.hole(bytes.saturating_sub(told), cause, frame, out);
    }

    /// A record of which bytes are missing.
    fn torn(&mut self, header: Header, cause: GapCause, frame: FrameRef, out: &mut Output<'_>) {
        let tls13 = self.epochs.version() == Version::Tls13;
        let counted = self.missing.is_none()
            && (!tls13 || (self.proven && self.epochs.stage() == Some(Stage::Application)));
        if !counted {
            // Which epoch it belongs to is seen with the next one that is whole.
            let torn = Missing {
                bytes: (Header::LEN + usize::from(header.len)) as u64,
                cause,
                frame,
            };
            self.missing = Missing::join(self.missing, Some(torn));
            self.untold = Missing::join(self.untold, Some(torn));
            return;
        }
        self.epochs.count(1);
        self.messages = Messages::default();
        if header.kind != kind::APPLICATION_DATA {
            return;
        }
        // With TLS 1.3 it may be a message or an alert: few are, and none of more than some bytes.
        let about = self.about(header);
        if self.epochs.expansion().is_some() {
            self.hole(about, cause, frame, out);
        } else {
            self.lose(about, cause, frame, out);
        }
    }

    /// How many clear bytes a record has; with CBC, at most.
    fn about(&self, header: Header) -> u64 {
        let expansion = self.epochs.expansion().unwrap_or_default();
        usize::from(header.len).saturating_sub(expansion) as u64
    }

    /// Nothing more can be opened: some bytes are missing, and all that follow will be.
    fn lose(&mut self, bytes: u64, cause: GapCause, frame: FrameRef, out: &mut Output<'_>) {
        self.end = Some(End::Lost(frame));
        self.cause = cause;
        self.miss(bytes, frame, out);
    }

    /// A part of a record that cannot be opened any more.
    fn unread(&mut self, fragment: &Fragment<'_>, out: &mut Output<'_>) {
        let header = fragment.header;
        if matches!(fragment.part, Part::Start(_)) && header.kind == kind::APPLICATION_DATA {
            self.miss(self.about(header), fragment.frame, out);
        }
    }

    /// Clear bytes will never come out: who reads the other direction has to know that there was something, if any of that
    /// comes out.
    fn miss(&mut self, bytes: u64, frame: FrameRef, out: &mut Output<'_>) {
        if out.first.is_some() {
            self.hole(bytes, self.cause, frame, out);
        } else if self.untold.is_none() {
            self.untold = Some(Missing {
                bytes: u64::MAX,
                cause: self.cause,
                frame,
            });
        }
    }

    /// Whether bytes are missing that nobody was told of.
    pub(super) const fn is_unresolved(&self) -> bool {
        self.untold.is_some()
    }

    /// Tells that bytes are missing, before it is known how many: one. The others follow when it is.
    pub(super) fn tell_missing(&mut self) -> Option<Gap> {
        let Missing {
            bytes,
            cause,
            frame,
        } = self.untold.take()?;
        let least = Header::LEN + self.epochs.expansion().unwrap_or_default();
        if bytes <= least as u64 {
            return None;
        }
        self.told += 1;
        Some(self.gap(1, cause, frame))
    }

    /// What a record held.
    fn content(&mut self, content: &Content, frame: FrameRef, out: &mut Output<'_>) {
        let range = content.range.clone();
        match content.kind {
            kind::APPLICATION_DATA if !range.is_empty() => {
                if self.epochs.stage() == Some(Stage::Early) {
                    let held = self.early.hold(out.opened.staged(range.clone()), frame);
                    if self.early.is_full() {
                        self.decide_early(true, out);
                    }
                    if held || self.early.is_refused() {
                        return;
                    }
                }
                out.first.get_or_insert(frame);
                let len = range.len() as u64;
                out.opened.keep(self.direction, self.position, range, frame);
                self.position += len;
            }
            kind::ALERT => {
                if let Ok(alert) = out.opened.staged(range).try_into() {
                    out.facts.alert(self.direction.sender(), alert, frame);
                }
            }
            kind::HANDSHAKE if self.epochs.version() == Version::Tls13 => {
                self.handshake(content, frame, out);
            }
            _ => {}
        }
    }

    /// Messages of the handshake, and those behind it (RFC 8446 4).
    fn handshake(&mut self, content: &Content, frame: FrameRef, out: &mut Output<'_>) {
        if self.blind {
            return;
        }
        let stage = self.epochs.stage();
        let (mut passed, mut updated, mut early_ended) = (false, false, false);
        let Output {
            opened,
            facts,
            early_taken,
            ..
        } = out;
        let bytes = opened.staged(content.range.clone());
        self.messages
            .feed(bytes, frame, &mut |message| match (message.kind, stage) {
                (messages::kind::ENCRYPTED_EXTENSIONS, Some(Stage::Handshake)) => {
                    **early_taken = Some(read_encrypted_extensions(message.body, facts));
                }
                (messages::kind::FINISHED, Some(Stage::Handshake)) => passed = true,
                (messages::kind::END_OF_EARLY_DATA, Some(Stage::Early)) => early_ended = true,
                (messages::kind::KEY_UPDATE, Some(Stage::Application)) => updated = true,
                _ => {}
            });
        if early_ended {
            self.decide_early(true, out);
        }
        if passed || early_ended {
            self.epochs.advance(1);
        }
        if updated {
            self.epochs.update();
        }
    }

    /// Whether the server takes early data is known.
    pub(super) fn decide_early(&mut self, taken: bool, out: &mut Output<'_>) {
        let Some(held) = self.early.decide(taken) else {
            return;
        };
        for (content, frame) in held.records() {
            if held.is_torn() {
                self.lose(content.len() as u64, GapCause::NotCaptured, frame, out);
                return;
            }
            out.first.get_or_insert(frame);
            out.opened
                .copy(self.direction, self.position, content, frame);
            self.position += content.len() as u64;
        }
    }

    /// Clear bytes are missing.
    fn hole(&mut self, len: u64, cause: GapCause, frame: FrameRef, out: &mut Output<'_>) {
        if len > 0 {
            out.opened.gap(self.gap(len, cause, frame));
        }
    }

    fn gap(&mut self, len: u64, cause: GapCause, frame: FrameRef) -> Gap {
        let position = self.position;
        self.position = position.saturating_add(len);
        Gap {
            direction: self.direction,
            position,
            len,
            cause,
            frame,
        }
    }

    pub(super) const fn end(&self) -> Option<End> {
        self.end
    }

    pub(super) const fn is_proven(&self) -> bool {
        self.proven
    }

    /// The first record that no key fitted.
    pub(super) const fn first_strange(&self) -> Option<FrameRef> {
        self.first_strange
    }

    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        self.epochs.held() + self.gathering.held() + self.messages.held() + self.early.held()
    }
}
