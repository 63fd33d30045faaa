//! Opens the records of a connection with the secrets of a key log.
//!
//! ```text
//!                    keys at hand  .-> Opening: a lane each way --> clear bytes, gaps, alerts, ALPN
//!   fragments --> Unprotected ----<         ^ keys come: all that is held, in order
//!                    keys may come  `-> Waiting ---> too much held, or the end: Over
//! ```
//!
//! - TLS 1.3 and 1.2, with AES-GCM, ChaCha20-Poly1305 and AES-CBC; whatever else is [`Sealed::Unsupported`].
//! - What holes cost is counted in records, so that clear bytes keep their places (see `lane`).
//! - A connection without keys costs nothing when none are expected, and a bounded amount when some are.

mod cbc;
mod early;
mod epochs;
mod gathering;
mod lane;
mod record_key;
mod schedule;
mod secrets;
mod suite;
#[cfg(test)]
mod tests;
mod waiting;

pub(super) use secrets::Secrets;

use std::fmt;

use epochs::{Epochs, Stage};
use lane::{End, Lane, Output};
use suite::{Suite, Version};
use waiting::Waiting;

use super::Sealed;
use super::key_log::Label;
use super::records::{Fragment, Missing, Part, kind};
use super::sight::Context;
use crate::capture::FrameRef;
use crate::tcp::Direction;

/// Opens one connection.
#[derive(Debug)]
pub(super) enum Decryption {
    /// Nothing was encrypted so far.
    Unprotected(Unseen),
    Waiting(Box<Waiting>),
    Opening(Box<Opening>),
    /// Nothing more will come out.
    Over(Sealed),
}

/// What is missing in front of the first protected record: to the server, to the client.
type Unseen = [Option<Missing>; 2];

/// A connection with its keys.
pub(super) struct Opening {
    to_server: Lane,
    to_client: Lane,
    /// Where the first clear bytes came out.
    first: Option<FrameRef>,
}

/// What can be done with the keys that there are.
enum Armed {
    Now(Box<Opening>),
    NotYet,
    Never(Sealed),
}

impl Default for Decryption {
    fn default() -> Self {
        Self::Unprotected([None; 2])
    }
}

impl Decryption {
    /// Takes a part of a record.
    pub(super) fn fragment(
        &mut self,
        direction: Direction,
        fragment: &Fragment<'_>,
        context: &mut Context<'_>,
    ) {
        match self {
            Self::Over(_) => {}
            Self::Opening(opening) => opening.fragment(direction, fragment, context),
            Self::Waiting(_) if is_nameless(direction, fragment.header.kind, context) => {
                *self = Self::Over(Sealed::NoKeys);
            }
            Self::Waiting(waiting) => {
                if !waiting.hold(direction, fragment) {
                    self.release(context, Sealed::TooMuch);
                    self.fragment(direction, fragment, context);
                }
            }
            Self::Unprotected(unseen) => {
                let Part::Start(missing) = fragment.part else {
                    return;
                };
                let unseen = *unseen;
                let kind = fragment.header.kind;
                if matches!(kind, kind::CHANGE_CIPHER_SPEC | kind::APPLICATION_DATA) {
                    *self = if is_nameless(direction, kind, context) {
                        Self::Over(Sealed::NoKeys)
                    } else {
                        Self::begin(unseen, context)
                    };
                    self.fragment(direction, fragment, context);
                } else if missing.is_some() {
                    let [to_server, to_client] = unseen;
                    *self = Self::Unprotected(match direction {
                        Direction::ToServer => [Missing::join(to_server, missing), to_client],
                        Direction::ToClient => [to_server, Missing::join(to_client, missing)],
                    });
                }
            }
        }
    }

    /// The first protected record begins.
    fn begin(unseen: Unseen, context: &Context<'_>) -> Self {
        match arm(context, unseen, false) {
            Armed::Now(opening) => Self::Opening(opening),
            Armed::Never(sealed) => Self::Over(sealed),
            Armed::NotYet if !context.keys.is_expected() => Self::Over(Sealed::NoKeys),
            Armed::NotYet => Self::Waiting(Box::new(Waiting::new(unseen, known(context)))),
        }
    }

    /// Looks whether keys came for what is held.
    pub(super) fn look(&mut self, context: &mut Context<'_>) {
        if let Self::Waiting(waiting) = self
            && waiting.is_news(known(context))
        {
            match arm(context, waiting.unseen(), false) {
                Armed::Now(opening) => *self = opening.replay(waiting, context),
                Armed::NotYet => {}
                Armed::Never(sealed) => *self = Self::Over(sealed),
            }
        }
    }

    /// A direction is at its end: tells that there was more of it, where that is so.
    pub(super) fn ended(&mut self, direction: Direction, context: &mut Context<'_>) {
        if let Self::Opening(opening) = self {
            opening.with(direction, context, Lane::finish);
        }
    }

    /// Nothing more comes: gives what is held, if there is any key for it.
    pub(super) fn late(&mut self, context: &mut Context<'_>) {
        let keyed = context.secrets().is_some();
        self.release(context, Sealed::NoKeys);
        match self {
            Self::Opening(opening) => {
                for direction in [Direction::ToServer, Direction::ToClient] {
                    opening.with(direction, context, Lane::finish);
                }
            }
            Self::Unprotected(_) if keyed => *self = Self::Over(Sealed::Unproven),
            Self::Over(Sealed::TooMuch) if !keyed => *self = Self::Over(Sealed::NoKeys),
            _ => {}
        }
    }

    /// Waits no longer.
    fn release(&mut self, context: &mut Context<'_>, otherwise: Sealed) {
        let Self::Waiting(waiting) = self else {
            return;
        };
        *self = match arm(context, waiting.unseen(), true) {
            Armed::Now(opening) => opening.replay(waiting, context),
            Armed::Never(sealed) => Self::Over(sealed),
            Armed::NotYet => Self::Over(match (context.secrets(), waiting.first()) {
                // The server's hello was not seen, or the keys are those of another version.
                (Some(_), Some(frame)) => Sealed::Lost { first: None, frame },
                _ => otherwise,
            }),
        };
    }

    /// Whether more bytes may lead to more in clear.
    pub(super) fn is_reading(&self) -> bool {
        match self {
            Self::Unprotected(_) | Self::Over(_) => false,
            Self::Waiting(_) => true,
            Self::Opening(opening) => opening.lanes().any(|lane| lane.end().is_none()),
        }
    }

    /// Whether records are opened, or were.
    pub(super) const fn is_opening(&self) -> bool {
        matches!(self, Self::Opening(_))
    }

    /// Whether bytes are held back until keys come.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }

    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Unprotected(_) | Self::Over(_) => 0,
            Self::Waiting(waiting) => size_of::<Waiting>() + waiting.held(),
            Self::Opening(opening) => {
                size_of::<Opening>() + opening.lanes().map(Lane::held).sum::<usize>()
            }
        }
    }

    /// How far the connection was opened.
    pub(super) fn sealed(&self) -> Sealed {
        match self {
            Self::Unprotected(_) | Self::Waiting(_) => Sealed::NoKeys,
            Self::Over(sealed) => *sealed,
            Self::Opening(opening) => opening.sealed(),
        }
    }
}

impl Opening {
    fn fragment(
        &mut self,
        direction: Direction,
        fragment: &Fragment<'_>,
        context: &mut Context<'_>,
    ) {
        self.with(direction, context, |lane, out| lane.fragment(fragment, out));
    }

    /// Does something with a direction, and tells the other one what that said.
    fn with(
        &mut self,
        direction: Direction,
        context: &mut Context<'_>,
        act: impl FnOnce(&mut Lane, &mut Output<'_>),
    ) {
        let mut early_taken = None;
        let mut out = Output {
            opened: context.opened,
            facts: context.facts,
            first: &mut self.first,
            early_taken: &mut early_taken,
        };
        let mark = out.opened.mark();
        let (lane, other) = match direction {
            Direction::ToServer => (&mut self.to_server, &mut self.to_client),
            Direction::ToClient => (&mut self.to_client, &mut self.to_server),
        };
        act(lane, &mut out);
        // What is missing the other way came before this: an answer is not without a question.
        if other.is_unresolved()
            && out.opened.has_bytes_since(mark)
            && let Some(gap) = other.tell_missing()
        {
            out.opened.gap_at(mark, gap);
        }
        if let Some(taken) = *out.early_taken {
            other.decide_early(taken, &mut out);
        }
    }

    fn replay(mut self: Box<Self>, waiting: &Waiting, context: &mut Context<'_>) -> Decryption {
        for (direction, fragment) in waiting.replay() {
            self.fragment(direction, &fragment, context);
        }
        Decryption::Opening(self)
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        [&self.to_server, &self.to_client].into_iter()
    }

    fn sealed(&self) -> Sealed {
        let first = self.first;
        let mut ends = self.lanes().filter_map(Lane::end);
        let mut strangers = self.lanes().filter_map(Lane::first_strange);
        let proven = self.lanes().any(Lane::is_proven);
        match (ends.next(), strangers.next(), first) {
            (_, Some(frame), _) if !proven => Sealed::Unfit { frame },
            (Some(End::Lost(frame) | End::Unfit(frame)), ..) => Sealed::Lost { first, frame },
            (None, _, Some(first)) => Sealed::Open { first },
            (None, _, None) => Sealed::Unproven,
        }
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opening").field(&self.sealed()).finish()
    }
}

impl<'a> Context<'a> {
    /// The secrets of the session, if any are there.
    fn secrets(&self) -> Option<&'a Secrets> {
        self.keys.secrets(self.facts.client_random.as_ref()?)
    }
}

/// Whether the session will never have a name to look for: behind protected bytes of the client there is no hello to come.
fn is_nameless(direction: Direction, kind: u8, context: &Context<'_>) -> bool {
    direction == Direction::ToServer
        && kind == kind::APPLICATION_DATA
        && context.facts.client_random.is_none()
}

/// What decides whether it is worth looking again: the key log's generation, and which hellos were seen.
fn known(context: &Context<'_>) -> waiting::Known {
    let hellos = [
        context.facts.client_random.is_some(),
        context.choice.is_some(),
    ];
    (context.keys.generation(), hellos)
}

/// Looks what can be opened. `forced`: with what secrets there are; else with those of both directions.
fn arm(context: &Context<'_>, unseen: Unseen, forced: bool) -> Armed {
    let Some(choice) = context.choice else {
        return Armed::NotYet;
    };
    let version = Version::of(choice.version).filter(|_| !choice.compressed);
    let suite = version.and_then(|version| Some((version, Suite::of(version, choice.cipher)?)));
    let (Some((version, suite)), Some(secrets)) = (suite, context.secrets()) else {
        return match (suite, context.secrets()) {
            (Some(_), _) => Armed::NotYet,
            (None, Some(_)) => Armed::Never(Sealed::Unsupported),
            (None, None) => Armed::Never(Sealed::NoKeys),
        };
    };
    let epochs = match version {
        Version::Tls12 => secrets.of(Label::Master).and_then(|master| {
            let client_random = context.facts.client_random.as_ref()?;
            let keys = schedule::session_keys(suite, master, client_random, &choice.random)?;
            let [client, server] =
                keys.map(|keys| Epochs::tls12(suite, &keys, choice.encrypt_then_mac));
            client.zip(server)
        }),
        Version::Tls13 => {
            let client = [
                (Stage::Early, secrets.of(Label::ClientEarly)),
                (Stage::Handshake, secrets.of(Label::ClientHandshake)),
                (Stage::Application, secrets.of(Label::ClientTraffic)),
            ];
            let server = [
                (Stage::Handshake, secrets.of(Label::ServerHandshake)),
                (Stage::Application, secrets.of(Label::ServerTraffic)),
            ];
            let any = client
                .iter()
                .chain(&server)
                .any(|(_, secret)| secret.is_some());
            let all = client[2].1.is_some() && server[1].1.is_some();
            (all || (forced && any))
                .then(|| (Epochs::tls13(suite, client), Epochs::tls13(suite, server)))
        }
    };
    let [to_server, to_client] = unseen;
    match epochs {
        Some((client, server)) => Armed::Now(Box::new(Opening {
            to_server: Lane::new(Direction::ToServer, client, to_server),
            to_client: Lane::new(Direction::ToClient, server, to_client),
            first: None,
        })),
        None => Armed::NotYet,
    }
}
