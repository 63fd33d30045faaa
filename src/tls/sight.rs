//! The machine that watches one TLS connection from outside until it has said all that it says in clear.

use super::hello::{Choice, read_client_hello, read_server_hello};
use super::messages::{self, Message, Messages};
use super::open::Decryption;
use super::records::{Part, Records, kind};
use super::sizes::{Sizes, Watch};
use super::{KeyLog, Opened, TlsFacts};
use crate::tcp::{Chunk, Direction, Gap, Interest, Side};

/// How many bytes of a connection are read while its handshake goes on: certificate chains have some 10 KiB.
const MAX_READ: u64 = 256 * 1024;

/// Watches one connection. Any segmentation gives the same facts, but for the frames they name.
#[derive(Debug)]
pub struct Sight {
    to_server: Lane,
    to_client: Lane,
    facts: TlsFacts,
    choice: Option<Choice>,
    decryption: Decryption,
    watch: Watch,
    read: u64,
}

/// What opening records needs and tells.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) choice: Option<&'a Choice>,
    pub(super) keys: &'a KeyLog,
    pub(super) facts: &'a mut TlsFacts,
    pub(super) opened: &'a mut Opened,
}

/// One direction.
#[derive(Debug)]
struct Lane {
    records: Records,
    messages: Messages,
    /// Handshake records are encrypted from here on, or bytes of them are missing.
    opaque: bool,
    /// The body of the alert record at hand.
    alert: [u8; 2],
    alert_len: usize,
}

impl Lane {
    fn new() -> Self {
        Self {
            records: Records::new(),
            messages: Messages::default(),
            opaque: false,
            alert: [0; 2],
            alert_len: 0,
        }
    }
}

impl Default for Sight {
    fn default() -> Self {
        Self::new()
    }
}

impl Sight {
    /// For a connection of which at least one side begins with a TLS record.
    pub fn new() -> Self {
        Self {
            to_server: Lane::new(),
            to_client: Lane::new(),
            facts: TlsFacts::default(),
            choice: None,
            decryption: Decryption::default(),
            watch: Watch::default(),
            read: 0,
        }
    }

    /// For one of which the beginning was not captured.
    pub fn midstream() -> Self {
        Self {
            watch: Watch::Midstream,
            ..Self::new()
        }
    }

    /// Takes the next bytes of a stream; says whether more can be learned. What came out in clear is added to `opened`,
    /// here as in the other calls.
    pub fn bytes(&mut self, chunk: &Chunk<'_>, keys: &KeyLog, opened: &mut Opened) -> Interest {
        self.read = self.read.saturating_add(chunk.data.len() as u64);
        let lane = match chunk.direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        let Lane {
            records,
            messages,
            opaque,
            alert,
            alert_len,
        } = lane;
        let Self {
            facts,
            choice,
            decryption,
            watch,
            ..
        } = self;
        let from = chunk.direction.sender();
        records.feed(chunk.data, chunk.frame, &mut |fragment| {
            match (fragment.header.kind, fragment.part) {
                (kind::HANDSHAKE, Part::Bytes(data)) if !*opaque => {
                    messages.feed(data, fragment.frame, &mut |message| {
                        read_message(from, message, facts, choice);
                    });
                }
                // RFC 8446 4.1.4, D.4: around a HelloRetryRequest the record says nothing.
                (kind::CHANGE_CIPHER_SPEC, Part::Start(_))
                    if facts.hello_retry_request.is_none() =>
                {
                    *opaque = true;
                }
                (kind::ALERT, Part::Start(_)) => {
                    *alert_len = 0;
                    if fragment.header.len > 2 {
                        facts.sealed_alert.get_or_insert((from, fragment.frame));
                    }
                }
                (kind::ALERT, Part::Bytes(data)) => {
                    for &byte in data {
                        if let Some(slot) = alert.get_mut(*alert_len) {
                            *slot = byte;
                            *alert_len += 1;
                        }
                    }
                    // An alert in clear has two bytes; an encrypted one is longer (RFC 8446 6, RFC 5246 7.2).
                    if *alert_len == alert.len() && fragment.header.len == 2 {
                        facts.alert(from, *alert, fragment.frame);
                    }
                }
                (kind::APPLICATION_DATA, Part::Start(_)) => {
                    let (client, server) = &mut facts.application_data;
                    let first = match from {
                        Side::Client => client,
                        Side::Server => server,
                    };
                    first.get_or_insert(fragment.frame);
                    let len = fragment.header.len;
                    watch.begins(chunk.direction, len, fragment.frame, facts);
                }
                (kind::APPLICATION_DATA, Part::Bytes(_)) => {
                    watch.goes_on(chunk.direction, fragment.frame);
                }
                _ => {}
            }
            let mut context = Context {
                choice: choice.as_ref(),
                keys,
                facts,
                opened,
            };
            decryption.fragment(chunk.direction, fragment, &mut context);
        });
        self.look(keys, opened)
    }

    /// Takes a hole in a stream.
    pub fn gap(&mut self, gap: &Gap, keys: &KeyLog, opened: &mut Opened) -> Interest {
        self.read = self.read.saturating_add(gap.len);
        let lane = match gap.direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        lane.opaque = true;
        self.watch.give_up();
        let mut context = Context {
            choice: self.choice.as_ref(),
            keys,
            facts: &mut self.facts,
            opened,
        };
        let decryption = &mut self.decryption;
        lane.records.gap(gap, &mut |fragment| {
            decryption.fragment(gap.direction, fragment, &mut context);
        });
        self.look(keys, opened)
    }

    /// The connection ends: the last chance for keys that came meanwhile. Gives what was held for them.
    pub fn late(&mut self, keys: &KeyLog, opened: &mut Opened) {
        let (decryption, mut context) = self.split(keys, opened);
        decryption.late(&mut context);
    }

    /// A direction is at its end, by FIN or RST: tells what of it will not be opened any more.
    pub fn ended(&mut self, direction: Direction, keys: &KeyLog, opened: &mut Opened) {
        let (decryption, mut context) = self.split(keys, opened);
        decryption.ended(direction, &mut context);
    }

    /// Keys may have come since the last bytes: gives what was held for them.
    pub fn look(&mut self, keys: &KeyLog, opened: &mut Opened) -> Interest {
        let (decryption, mut context) = self.split(keys, opened);
        decryption.look(&mut context);
        if self.decryption.is_opening() {
            self.watch.give_up();
        }
        self.interest()
    }

    fn split<'a>(
        &'a mut self,
        keys: &'a KeyLog,
        opened: &'a mut Opened,
    ) -> (&'a mut Decryption, Context<'a>) {
        let context = Context {
            choice: self.choice.as_ref(),
            keys,
            facts: &mut self.facts,
            opened,
        };
        (&mut self.decryption, context)
    }

    fn interest(&self) -> Interest {
        let through = matches!(self.facts.application_data, (Some(_), Some(_)));
        let both_done = self.to_server.records.is_done() && self.to_client.records.is_done();
        if self.decryption.is_reading() {
            Interest::Bytes
        } else if (through && !self.watch.is_watching()) || both_done || self.read > MAX_READ {
            Interest::Counters
        } else {
            Interest::Bytes
        }
    }

    /// Whether the lengths of records are taken down.
    pub const fn is_watching(&self) -> bool {
        self.watch.is_watching()
    }

    /// Whether bytes are held back until keys come.
    pub fn is_waiting(&self) -> bool {
        self.decryption.is_waiting()
    }

    /// How long the first records are, where nobody opens them and they may be those of HTTP/1.
    pub fn sizes(&self) -> Option<&Sizes> {
        self.watch.sizes()
    }

    /// Bytes that it holds besides itself.
    pub fn held(&self) -> usize {
        let messages = self.to_server.messages.held() + self.to_client.messages.held();
        messages + self.decryption.held() + self.watch.held()
    }

    /// What is known so far.
    pub fn facts(&self) -> TlsFacts {
        let foreign = |lane: &Lane, other: &Lane, side: Side| {
            let (frame, excerpt) = lane.records.foreign().filter(|_| other.records.any())?;
            Some((side, frame, excerpt.into()))
        };
        TlsFacts {
            not_tls: foreign(&self.to_client, &self.to_server, Side::Server)
                .or_else(|| foreign(&self.to_server, &self.to_client, Side::Client)),
            sealed: self.decryption.sealed(),
            sizes: self.sizes().cloned().map(Box::new),
            ..self.facts.clone()
        }
    }
}

fn read_message(
    from: Side,
    message: &Message<'_>,
    facts: &mut TlsFacts,
    choice: &mut Option<Choice>,
) {
    match (from, message.kind) {
        // The one behind a HelloRetryRequest repeats the first.
        (Side::Client, messages::kind::CLIENT_HELLO) if facts.client_hello.is_none() => {
            facts.client_hello = Some(message.frame);
            read_client_hello(message.body, facts);
        }
        (Side::Server, messages::kind::SERVER_HELLO) => {
            *choice = read_server_hello(message.body, message.frame, facts);
        }
        (Side::Server, messages::kind::CERTIFICATE_REQUEST) => {
            facts.certificate_requested.get_or_insert(false);
        }
        (Side::Client, messages::kind::CERTIFICATE) => {
            let is_empty = message.body.iter().all(|&byte| byte == 0);
            if let Some(sent) = &mut facts.certificate_requested {
                *sent |= !is_empty;
            }
        }
        _ => {}
    }
}
