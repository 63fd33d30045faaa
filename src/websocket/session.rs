//! What follows a 101 on one connection: both directions, and the facts drawn from them.

use std::mem::take;

use smallvec::SmallVec;

use super::content::{Compression, Depth};
use super::ledger::{Ledger, fnv1a};
use super::mqtt::Mqtt;
use super::quiet::Quiet;
use super::reader::Reader;
use super::{CloseFrame, DeflateParams, Extensions, FrameFault, SessionFacts};
use crate::capture::FrameRef;
use crate::http::Fields;
use crate::tcp::{Chunk, Direction, EndingHow, Gap, StreamEnd};

/// The client's first bytes that a session is known by on every hop: a whole small frame with its random mask, or
/// the mask and the beginning of a larger one. A fixed number, so that a hop that was cut earlier still matches.
const FINGERPRINT: usize = 16;

/// Fewer do where they are all that the client sent: an empty frame with its mask.
const FINGERPRINT_LEAST: usize = 6;

/// Follows the WebSocket frames of one connection. Any segmentation gives the same facts, but for the frames they name.
///
/// What every segment touches lies in front.
#[derive(Debug)]
#[repr(C)]
pub struct Session {
    /// The client's first bytes, as carried.
    start: SmallVec<[u8; FINGERPRINT]>,
    start_lost: bool,
    /// Where in the session these bytes are is not known.
    start_anywhere: bool,
    deflate: bool,
    /// The 101 was not seen.
    noticed: bool,
    quiet: Quiet,
    to_server: Reader,
    to_client: Reader,
    ledger: Ledger,
    cut: Option<(Direction, FrameRef, u64)>,
    /// The frame with the 101, or where the session was noticed.
    established: FrameRef,
}

impl Session {
    /// Behind a 101 that was seen. `deflate`: what its Sec-WebSocket-Extensions agreed on.
    pub fn new(established: FrameRef, deflate: Option<DeflateParams>, depth: Depth) -> Self {
        let compression = |no_context_takeover, window_bits| match deflate {
            Some(_) => Compression::Deflate {
                no_context_takeover,
                window_bits,
            },
            None => Compression::Off,
        };
        let params = deflate.unwrap_or_default();
        let of_client = compression(
            params.client_no_context_takeover,
            params.client_max_window_bits,
        );
        let of_server = compression(
            params.server_no_context_takeover,
            params.server_max_window_bits,
        );
        Self::with(
            established,
            deflate.is_some(),
            Reader::new(Direction::ToServer, depth, of_client),
            Reader::new(Direction::ToClient, depth, of_server),
        )
    }

    /// Behind a 101 that was seen, by what its fields agreed on. An extension that is not known here may use the
    /// reserved bits in its own way (RFC 6455 9), so that RSV1 is no fault then.
    pub fn behind(established: FrameRef, answer: &Fields, depth: Depth) -> Self {
        let deflate = DeflateParams::agreed(answer);
        if deflate.is_none() && !Extensions::chosen(answer).list.is_empty() {
            let reader = |direction| Reader::new(direction, depth, Compression::Unknown);
            return Self::with(
                established,
                false,
                reader(Direction::ToServer),
                reader(Direction::ToClient),
            );
        }
        let session = Self::new(established, deflate, depth);
        let chosen = answer.first("sec-websocket-protocol");
        if chosen.is_some_and(|name| Mqtt::is_named(name.trim())) {
            return session.carrying_mqtt();
        }
        session
    }

    fn carrying_mqtt(mut self) -> Self {
        self.to_server = self.to_server.following_packets();
        self.to_client = self.to_client.following_packets();
        self
    }

    /// The request before the 101 ended at this frame. nginx sets its timer when it has sent a request on, and an answer that comes
    /// soon leaves it as it is.
    #[must_use]
    pub fn asked(mut self, request: FrameRef) -> Self {
        self.quiet = Quiet::asked(request, self.established);
        self
    }

    /// The request before the 101 was not seen, and so it is not known which of the client's bytes come first: its
    /// frames must be found.
    #[must_use]
    pub fn request_unseen(mut self) -> Self {
        self.start_anywhere = true;
        self.to_server = self.to_server.searching();
        self
    }

    /// Behind a 101 that is in a hole or on the side that was not captured: the client's frames begin with its next
    /// byte, where the server's begin must be found.
    pub fn answer_unseen(first: FrameRef, depth: Depth) -> Self {
        let reader = |direction| Reader::new(direction, depth, Compression::Unknown);
        Self {
            noticed: true,
            ..Self::with(
                first,
                false,
                reader(Direction::ToServer),
                reader(Direction::ToClient).searching(),
            )
        }
    }

    /// For a session that was up when the capture began: frames are read from the first segment on that plausibly
    /// begins with one. Whether it is a session at all, [`Self::is_convincing`] tells.
    pub fn midstream(first: FrameRef, depth: Depth) -> Self {
        let reader = |direction| Reader::new(direction, depth, Compression::Unknown).searching();
        Self {
            start_anywhere: true,
            ..Self::with(
                first,
                false,
                reader(Direction::ToServer),
                reader(Direction::ToClient),
            )
        }
    }

    fn with(established: FrameRef, deflate: bool, to_server: Reader, to_client: Reader) -> Self {
        Self {
            established,
            noticed: false,
            deflate,
            to_server,
            to_client,
            ledger: Ledger::default(),
            quiet: Quiet::since(established),
            cut: None,
            start: SmallVec::new(),
            start_lost: false,
            start_anywhere: false,
        }
    }

    /// Takes the next bytes of a stream.
    #[expect(
        clippy::inline_always,
        reason = "per segment: most of them are payload to skip, without another call"
    )]
    #[inline(always)]
    pub fn bytes(&mut self, chunk: &Chunk<'_>) {
        let reader = match chunk.direction {
            Direction::ToServer => {
                let room = FINGERPRINT - self.start.len();
                if room > 0 && !self.start_lost {
                    let fresh = chunk.data.get(..room).unwrap_or(chunk.data);
                    self.start.extend_from_slice(fresh);
                }
                &mut self.to_server
            }
            Direction::ToClient => &mut self.to_client,
        };
        self.quiet.data(chunk.frame);
        reader.bytes(chunk.data, chunk.frame, &mut self.ledger);
    }

    /// Of [`Self::held`], the bytes that messages may make it hold; nothing where none are compressed.
    pub fn inflating(&self) -> usize {
        if self.deflate { self.held() } else { 0 }
    }

    /// Looks at what the next bytes of a direction need, so that it comes from memory.
    pub fn touch(&self, direction: Direction) -> usize {
        let reader = match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        };
        reader.touch() ^ self.quiet.touch()
    }

    /// Takes a hole in a stream.
    pub fn gap(&mut self, gap: &Gap) {
        let reader = match gap.direction {
            Direction::ToServer => {
                self.start_lost |= self.start.len() < FINGERPRINT;
                &mut self.to_server
            }
            Direction::ToClient => &mut self.to_client,
        };
        reader.gap(gap.len, gap.frame, &mut self.ledger);
    }

    /// A stream is at its end. An RST ends both.
    pub fn ended(&mut self, end: &StreamEnd) {
        self.end(end.direction, end.frame);
        if end.how == EndingHow::Rst {
            self.end(end.direction.reverse(), end.frame);
        }
    }

    fn end(&mut self, direction: Direction, frame: FrameRef) {
        let reader = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        reader.ended(frame, &mut self.ledger);
        if let Some(left) = reader.cut() {
            self.cut = self.cut.or(Some((direction, frame, left)));
        }
    }

    /// Whether frames were found without doubt, so that a connection seen from mid-stream is a session: several in
    /// one direction, or some in both.
    pub fn is_convincing(&self) -> bool {
        let frames = |reader: &Reader| {
            if reader.lost() {
                return 0;
            }
            let counts = reader.carried().frames;
            counts.text
                + counts.binary
                + counts.continuation
                + counts.ping
                + counts.pong
                + counts.close
        };
        let (client, server) = (frames(&self.to_server), frames(&self.to_client));
        client >= 2 || server >= 3 || (client >= 1 && server >= 1)
    }

    /// All that inflating gave of a direction.
    #[cfg(test)]
    pub(super) fn inflated(&self, direction: Direction) -> &[u8] {
        match direction {
            Direction::ToServer => self.to_server.inflated(),
            Direction::ToClient => self.to_client.inflated(),
        }
    }

    /// Bytes that it holds besides itself.
    pub fn held(&self) -> usize {
        self.to_server.held() + self.to_client.held()
    }

    /// What is known so far.
    pub fn facts(&self) -> SessionFacts {
        self.facts_with(self.ledger.closes.clone(), self.ledger.faults.clone())
    }

    /// What is known in the end; the session is of no use any more.
    pub fn take_facts(&mut self) -> SessionFacts {
        let (closes, faults) = (take(&mut self.ledger.closes), take(&mut self.ledger.faults));
        self.facts_with(closes, faults)
    }

    /// The last packets, where both directions could be followed.
    fn mqtt(&self) -> Option<Box<Mqtt>> {
        let (to_server, to_client) = (self.to_server.packets()?, self.to_client.packets()?);
        Some(Box::new(Mqtt {
            to_server: to_server.last(),
            to_client: to_client.last(),
        }))
    }

    fn facts_with(&self, closes: Vec<CloseFrame>, faults: Vec<FrameFault>) -> SessionFacts {
        let carried =
            |direction, reader: &Reader| self.ledger.complete(direction, reader.carried());
        let lost_sync = if self.to_server.lost() {
            Some(Direction::ToServer)
        } else {
            self.to_client.lost().then_some(Direction::ToClient)
        };
        let to_server = carried(Direction::ToServer, &self.to_server);
        let to_client = carried(Direction::ToClient, &self.to_client);
        // It was up when it carried data, though that was noticed later.
        let first = [to_server.first, to_client.first].into_iter().flatten();
        let first = first.filter(|_| self.noticed).min();
        SessionFacts {
            established: first.map_or(self.established, |first| first.min(self.established)),
            to_server,
            to_client,
            closes,
            faults,
            cut_mid_frame: self.cut,
            deflate: self.deflate,
            inflation_stopped: self
                .to_server
                .inflation_stopped()
                .or_else(|| self.to_client.inflation_stopped()),
            lost_sync,
            longest_silence: self.quiet.longest,
            latest_silence: self.quiet.latest,
            timer: self.quiet.timer,
            mqtt: self.mqtt(),
            fingerprint: self.fingerprint(),
        }
    }

    /// Masked the same every time, the same payload is the same bytes at many places of a session: from the middle of it,
    /// they tell neither which session it is nor on which hop they came first. Without its handshake a session that hardly
    /// says anything is still known by all that it said.
    fn fingerprint(&self) -> Option<u64> {
        let at_many_places = self.start_anywhere && self.to_server.mask_repeats();
        let (len, whole) = (self.start.len(), self.start_anywhere && !self.start_lost);
        let is_enough = len == FINGERPRINT
            || whole && len >= FINGERPRINT_LEAST && self.to_server.masks_with_a_key();
        (is_enough && !at_many_places).then(|| fnv1a(&self.start))
    }
}
