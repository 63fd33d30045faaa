//! Judges a connection by its first bytes: HTTP, TLS, a session under way, or none of our business.

use std::borrow::Cow;
use std::mem::take;

use crate::capture::FrameRef;
use crate::hop::{Protocol, ProxyHeader, Relayed};
use crate::http::{self, CgiFound, CgiReader, CgiRequest, Probe};
use crate::tcp::{Chunk, Direction, Gap};
use crate::websocket::{Depth, Session};

/// Segments of a connection whose start was not captured that are probed for the start of something we know, before
/// it is given up: a response body of a few hundred kilobytes may be under way when the capture begins.
const MIDSTREAM_PROBES: u16 = 256;

/// Bytes held until the first bytes of a connection can be judged: a PROXY protocol v2 header with all its TLVs seldom
/// exceeds this, and nothing else needs more than a few.
const PREFIX_MAX: usize = 1024;

/// Waiting for bytes that say what this is.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    /// Bytes of the client that were too few to judge.
    prefix: Vec<u8>,
    /// Reads them where they begin a request in a protocol of application servers.
    cgi: Option<Box<CgiReader>>,
    /// What the server said before the client said anything.
    greeting: Option<Greeting>,
    pub(super) proxy_header: Option<ProxyHeader>,
    /// Segments of a connection from mid-stream that began nothing we know.
    probes: u16,
    /// Reads these segments as WebSocket frames, to see whether that makes sense.
    session: Option<Box<Midstream>>,
}

/// A session that was up when the capture began, if it is one.
#[derive(Debug)]
pub(super) struct Midstream {
    pub(super) session: Session,
    /// Its segments from the first one on.
    pub(super) relayed: Relayed,
}

/// A server's bytes from before its client's first ones: inside TLS, where nginx sends its HTTP/2 settings at once.
#[derive(Debug)]
pub(super) struct Greeting {
    data: Vec<u8>,
    position: u64,
    frame: FrameRef,
}

impl Greeting {
    /// It as it came.
    pub(super) fn chunk(&self) -> Chunk<'_> {
        Chunk {
            direction: Direction::ToClient,
            position: self.position,
            data: &self.data,
            frame: self.frame,
        }
    }
}

/// What the first bytes say.
pub(super) enum Decision {
    Wait,
    Ignore(Protocol),
    /// HTTP, TLS or HTTP/2: read `held` first (bytes kept from before), then the chunk from `skip` on.
    Read {
        protocol: Protocol,
        held: Vec<u8>,
        skip: usize,
    },
    /// A session that was up when the capture began; it has read the chunk already.
    WebSocket(Box<Midstream>),
    /// A request for a WebSocket in a protocol of application servers, read already.
    Cgi(Box<CgiRequest>),
    /// A request in one of those protocols that is too long to wait for its end.
    CgiTooLong,
}

impl Undecided {
    /// Judges the next bytes; `midstream` when the start of the connection was not captured.
    pub(super) fn judge(&mut self, midstream: bool, chunk: &Chunk<'_>) -> Decision {
        let from_client = chunk.direction == Direction::ToServer;
        if from_client && self.cgi.is_some() {
            return self.cgi(midstream, chunk);
        }
        let held = if from_client {
            take(&mut self.prefix)
        } else {
            Vec::new()
        };
        let joined = concat([&held, chunk.data]);
        let protocol = match http::probe(&joined) {
            Probe::ProxyHeader(_) if from_client && self.proxy_header.is_none() => {
                return self.proxy_header(held.len(), &joined, chunk);
            }
            Probe::Cgi if from_client => {
                self.cgi = CgiReader::new(&joined).map(Box::new);
                let joined = Chunk {
                    data: &joined,
                    ..*chunk
                };
                return self.cgi(midstream, &joined);
            }
            Probe::NeedMore if from_client => return self.wait(joined.into_owned()),
            probe => protocol(probe),
        };
        if protocol == Protocol::Other && midstream {
            return self.search(&Chunk {
                data: &joined,
                ..*chunk
            });
        }
        drop(joined);
        match protocol {
            // A server's answer that comes byte by byte: the HTTP reader waits better than we could.
            Protocol::None => Decision::Read {
                protocol: Protocol::Http,
                held,
                skip: 0,
            },
            Protocol::Http | Protocol::Tls | Protocol::Http2 => Decision::Read {
                protocol,
                held,
                skip: 0,
            },
            other => Decision::Ignore(other),
        }
    }

    /// Goes on with a request in a protocol of application servers.
    fn cgi(&mut self, midstream: bool, chunk: &Chunk<'_>) -> Decision {
        let reader = self.cgi.as_deref_mut();
        match reader.map_or(CgiFound::Other, |reader| {
            reader.bytes(chunk.data, chunk.frame)
        }) {
            CgiFound::WebSocket(request) => Decision::Cgi(request),
            CgiFound::NeedMore => Decision::Wait,
            // What began in the middle only looked like a request.
            CgiFound::Other | CgiFound::TooLong if midstream => {
                self.cgi = None;
                self.search(chunk)
            }
            CgiFound::TooLong => Decision::CgiTooLong,
            CgiFound::Other => Decision::Ignore(Protocol::Other),
        }
    }

    /// Judges the next bytes inside TLS: what a server says first tells less than what its client says then.
    pub(super) fn judge_inside(&mut self, chunk: &Chunk<'_>) -> Decision {
        if chunk.direction == Direction::ToServer || is_http(chunk.data) {
            return self.judge(false, chunk);
        }
        let greeting = self.greeting.get_or_insert_with(|| Greeting {
            data: Vec::new(),
            position: chunk.position,
            frame: chunk.frame,
        });
        let end = greeting.position.saturating_add(greeting.data.len() as u64);
        let follows = end == chunk.position;
        if !follows || greeting.data.len() + chunk.data.len() > PREFIX_MAX {
            return Decision::Ignore(Protocol::Other);
        }
        greeting.data.extend_from_slice(chunk.data);
        Decision::Wait
    }

    /// What the server said first, to be read when it is known how.
    pub(super) fn take_greeting(&mut self) -> Option<Greeting> {
        self.greeting.take()
    }

    /// Bytes from the middle of something: WebSocket frames, perhaps, or what stands before the next HTTP head.
    fn search(&mut self, chunk: &Chunk<'_>) -> Decision {
        let found = self.session.get_or_insert_with(|| {
            Box::new(Midstream {
                session: Session::midstream(chunk.frame, Depth::BOUNDED),
                relayed: Relayed::default(),
            })
        });
        found.relayed.note(chunk);
        found.session.bytes(chunk);
        if found.session.is_convincing() {
            return self
                .session
                .take()
                .map_or(Decision::Wait, Decision::WebSocket);
        }
        self.probes += 1;
        if self.probes < MIDSTREAM_PROBES {
            Decision::Wait
        } else {
            Decision::Ignore(Protocol::Other)
        }
    }

    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        let session = self.session.as_ref();
        let cgi = self.cgi.as_ref();
        let greeting = self.greeting.as_ref();
        self.prefix.capacity()
            + cgi.map_or(0, |reader| size_of::<CgiReader>() + reader.held())
            + greeting.map_or(0, |greeting| greeting.data.capacity())
            + session.map_or(0, |found| {
                size_of::<Session>() + found.session.held() + found.relayed.held()
            })
    }

    pub(super) fn gap(&mut self, gap: &Gap) {
        self.prefix.clear();
        self.cgi = None;
        if let Some(found) = &mut self.session {
            found.relayed.stop();
            found.session.gap(gap);
        }
    }

    fn wait(&mut self, prefix: Vec<u8>) -> Decision {
        if prefix.len() > PREFIX_MAX {
            return Decision::Ignore(Protocol::Other);
        }
        self.prefix = prefix;
        Decision::Wait
    }

    /// A PROXY protocol header stands before the first request: what follows it decides.
    fn proxy_header(&mut self, held: usize, joined: &[u8], chunk: &Chunk<'_>) -> Decision {
        match http::proxy_header(joined) {
            http::ProxyHeader::NeedMore => self.wait(joined.to_vec()),
            http::ProxyHeader::No => Decision::Ignore(Protocol::Other),
            http::ProxyHeader::Complete {
                len,
                version,
                source,
            } => {
                let source = source.map(|source| source.to_string().into_boxed_str());
                self.proxy_header = Some(ProxyHeader {
                    frame: chunk.frame,
                    version,
                    source,
                });
                let skip = len.saturating_sub(held);
                let rest = joined.get(len..).unwrap_or_default();
                match protocol(http::probe(rest)) {
                    Protocol::None => self.wait(rest.to_vec()),
                    protocol @ (Protocol::Http | Protocol::Tls | Protocol::Http2) => {
                        Decision::Read {
                            protocol,
                            held: Vec::new(),
                            skip,
                        }
                    }
                    other => Decision::Ignore(other),
                }
            }
        }
    }
}

/// What is read first once it was judged: the bytes held from before, then the chunk from `skip` on.
pub(super) fn first_pieces<'a>(
    held: &'a [u8],
    chunk: &Chunk<'a>,
    skip: usize,
) -> impl Iterator<Item = Chunk<'a>> {
    let before = Chunk {
        data: held,
        position: chunk.position.saturating_sub(held.len() as u64),
        ..*chunk
    };
    let rest = Chunk {
        data: chunk.data.get(skip..).unwrap_or_default(),
        position: chunk.position.saturating_add(skip as u64),
        ..*chunk
    };
    let pieces = [before, rest].into_iter();
    pieces.filter(|piece| !piece.data.is_empty())
}

/// Whether these bytes begin an HTTP response.
fn is_http(bytes: &[u8]) -> bool {
    matches!(http::probe(bytes), Probe::Response | Probe::NeedMore)
}

/// The protocol that a probe names.
const fn protocol(probe: Probe) -> Protocol {
    match probe {
        Probe::Request | Probe::Response => Protocol::Http,
        Probe::Http2Preface => Protocol::Http2,
        Probe::Tls => Protocol::Tls,
        Probe::NeedMore => Protocol::None,
        Probe::ProxyHeader(_) | Probe::Cgi | Probe::No => Protocol::Other,
    }
}

/// Joins two slices without copying when one is empty.
fn concat(parts: [&[u8]; 2]) -> Cow<'_, [u8]> {
    match parts {
        [[], whole] | [whole, []] => Cow::Borrowed(whole),
        both => Cow::Owned(both.concat()),
    }
}
