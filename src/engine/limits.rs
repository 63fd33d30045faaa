//! What could not be seen or was given up, as the report's footer names it.

use super::clock::{Disorder, SetBack};
use super::totals::TlsTotals;
use crate::capture::{CaptureError, CaptureInfo, FrameNo, FrameRef, Problem};
use crate::decode::{DecodeStats, supports};
use crate::diagnosis::{Evidence, Limit};
use crate::hop::{Protocol, Record};
use crate::http::{CGI_REQUEST_MAX, MAX_HEAD};
use crate::tcp::{Direction, LimitHit, LimitKind, Stats, StreamFacts};
use crate::tls::{Sealed, cipher_name, version_name};
use crate::websocket::Depth;

/// The kind of limit that is about keys of TLS sessions.
const TLS_KEYS: &str = "tls-keys";

/// Frames that captures lost, and those that were not looked into.
pub(super) fn of_captures(captures: &[CaptureInfo]) -> Vec<Limit> {
    let mut limits = Vec::new();
    for info in captures {
        // Without its folders, which the report shows once.
        let name = info.path.rsplit('/').next().unwrap_or(&info.path);
        if let (Some(dropped @ 1..), Some(at)) = (info.dropped, info.last_at) {
            let packets = if dropped == 1 { "packet" } else { "packets" };
            limits.push(Limit {
                kind: "drops",
                connection: None,
                detail: format!(
                    "{name}: the kernel or an interface lost {dropped} {packets} while capturing"
                ),
                evidence: vec![Evidence {
                    frame: FrameRef::new(at, info.id, FrameNo(info.frames)),
                    shows: "the end of this capture, which counts its losses".to_owned(),
                }],
            });
        }
        for &link in info.link_types.iter().filter(|&&link| !supports(link)) {
            let problem = Problem::UnsupportedLink {
                number: link.0,
                name: link.name(),
            };
            limits.push(Limit {
                kind: "link-type",
                connection: None,
                detail: CaptureError::new(name, problem).to_string(),
                evidence: Vec::new(),
            });
        }
    }
    limits
}

/// Handshakes that were paired too early.
pub(super) fn of_hurry(times: u64) -> Option<Limit> {
    (times > 0).then(|| Limit {
        kind: "memory",
        connection: None,
        detail: format!(
            "{times} times handshakes were paired before all of their hops had closed: more waited than memory allows"
        ),
        evidence: Vec::new(),
    })
}

/// Frames that are not in the order of their times, where that may have torn connections apart.
pub(super) fn of_disorder(disorder: Disorder) -> Option<Limit> {
    (disorder.overtaken > 0).then(|| Limit {
        kind: "order",
        connection: None,
        detail: format!(
            "frames are not in the order of their times ({} too late, by up to {:.3} ms): of connections whose two \
             directions are mixed up like that, parts may seem to be missing; `reordercap IN OUT` puts them in order",
            disorder.frames,
            disorder.nanos as f64 / 1e6
        ),
        evidence: vec![Evidence {
            frame: disorder.first,
            shows: "the first frame behind a later one".to_owned(),
        }],
    })
}

/// Times that go back.
pub(super) fn of_clock(set_back: SetBack) -> Limit {
    let SetBack {
        first,
        nanos,
        times,
    } = set_back;
    let more = match times {
        1 => String::new(),
        more => format!(", {} more times later", more - 1),
    };
    Limit {
        kind: "clock",
        connection: None,
        detail: format!(
            "times go back by {:.1} s{more}: the clock was set, or a timestamp is damaged, and durations across that are wrong",
            nanos as f64 / 1e9
        ),
        evidence: vec![Evidence {
            frame: first,
            shows: "the first frame with an earlier time".to_owned(),
        }],
    }
}

/// The limits met in a run, by stage.
pub(super) fn collect(decode: DecodeStats, tcp: &Stats) -> Vec<Limit> {
    let datagrams = [
        (
            decode.datagrams_incomplete,
            "IP datagrams stayed incomplete: fragments are not in the capture",
        ),
        (
            decode.datagrams_given_up,
            "IP datagrams were given up, the oldest first: more fragments waited than --memory allows",
        ),
        (
            decode.datagrams_contradicted,
            "IP datagrams were dropped: their fragments contradict each other",
        ),
        (
            decode.datagrams_malformed,
            "IP datagrams were dropped: a fragment breaks the rules of IP",
        ),
        (
            decode.fragments_cut,
            "IP fragments were cut off by the snaplen",
        ),
    ];
    let fragments = datagrams
        .into_iter()
        .filter(|&(count, _)| count > 0)
        .map(|(count, what)| Limit {
            kind: "fragments",
            connection: None,
            detail: format!("{count} {what}"),
            evidence: Vec::new(),
        });
    fragments
        .chain(tcp.limits.iter().map(table_limit))
        .collect()
}

fn table_limit(hit: &LimitHit) -> Limit {
    let times = hit.times;
    let (kind, detail) = match hit.kind {
        LimitKind::StreamBytes => (
            "memory",
            format!(
                "{times} times a stream held more out-of-order bytes than its share: a hole before them was given up"
            ),
        ),
        LimitKind::TotalBytes => (
            "memory",
            format!(
                "{times} times all streams together held more out-of-order bytes than allowed: holes were given up"
            ),
        ),
        LimitKind::Connections => (
            "connections",
            format!(
                "{times} times there were more connections than allowed: the longest idle ones were closed early"
            ),
        ),
        LimitKind::StateBytes => (
            "memory",
            format!(
                "{times} times heads on their way and messages being looked into took more memory than allowed: the \
                 longest idle of the largest were closed early"
            ),
        ),
        LimitKind::Embryos => (
            "connections",
            format!(
                "{times} times there were more half-open connections than allowed: the oldest were forgotten"
            ),
        ),
    };
    let shows = "here for the first time; --memory moves the limit".to_owned();
    Limit {
        kind,
        connection: Some(hit.connection),
        detail,
        evidence: vec![Evidence {
            frame: hit.first,
            shows,
        }],
    }
}

/// A head on a connection that was not read to its end. Whether it is about WebSocket may stand in the rest.
pub(super) fn of_head(record: &Record) -> Option<Limit> {
    let (direction, frame) = record.oversized_head?;
    if record.protocol == Protocol::Cgi {
        return Some(Limit {
            kind: "head",
            connection: Some(record.connection.id),
            detail: format!(
                "the variables of a request in FastCGI, uwsgi or SCGI are longer than {} kB: the rest of them was not read",
                CGI_REQUEST_MAX / 1000
            ),
            evidence: vec![Evidence {
                frame,
                shows: "what was read of the request ends".to_owned(),
            }],
        });
    }
    let what = match direction {
        Direction::ToServer => "request",
        Direction::ToClient => "answer",
    };
    Some(Limit {
        kind: "head",
        connection: Some(record.connection.id),
        detail: format!(
            "a {what} head is longer than {} kB: the rest of it was not read",
            MAX_HEAD / 1000
        ),
        evidence: vec![Evidence {
            frame,
            shows: format!("the {what} begins"),
        }],
    })
}

/// Compressed messages of a session that were not inflated to their end.
pub(super) fn of_inflation(record: &Record) -> Option<Limit> {
    let mut sessions = record
        .exchanges
        .iter()
        .filter_map(|exchange| exchange.session.as_ref());
    let (direction, frame) = sessions.find_map(|session| session.inflation_stopped)?;
    let who = match direction {
        Direction::ToServer => "client",
        Direction::ToClient => "server",
    };
    let Depth {
        bytes,
        messages,
        inflated,
    } = Depth::BOUNDED;
    Some(Limit {
        kind: "inflation",
        connection: Some(record.connection.id),
        detail: format!(
            "of the compressed messages from the {who} only the first were looked into ({messages} messages, {} KiB, {} MiB inflated at most), the others counted",
            bytes >> 10,
            inflated >> 20
        ),
        evidence: vec![Evidence {
            frame,
            shows: "from here on they are only counted".to_owned(),
        }],
    })
}

/// A TLS session of which keys are at hand and not all could be decrypted.
pub(super) fn of_tls(record: &Record) -> Option<Limit> {
    let tls = record.tls.as_deref()?;
    let (detail, frame) = match tls.sealed {
        Sealed::NoKeys | Sealed::Unproven | Sealed::Open { .. } => return None,
        Sealed::Unsupported if !cfg!(feature = "decrypt") => (
            "its keys are at hand, but this hop101 was built without decryption".to_owned(),
            None,
        ),
        Sealed::Unsupported => {
            let version = tls.version.and_then(version_name).unwrap_or("its version");
            let cipher = tls.cipher.and_then(cipher_name).unwrap_or("its cipher");
            (
                format!(
                    "its keys are at hand, but {version} with {cipher} cannot be decrypted here"
                ),
                None,
            )
        }
        Sealed::Unfit { frame } | Sealed::Lost { first: None, frame } => (
            "keys are named for this TLS session, and nothing said in it can be decrypted with them"
                .to_owned(),
            Some((frame, "this record is not opened by them")),
        ),
        Sealed::Lost { frame, .. } => (
            "it was decrypted in part only: for some records there is no secret, or bytes of them are missing or wrong"
                .to_owned(),
            Some((frame, "not decrypted from here on")),
        ),
        Sealed::TooMuch => (
            "its keys were not known before too much of it had passed to be kept".to_owned(),
            None,
        ),
    };
    Some(Limit {
        kind: TLS_KEYS,
        connection: Some(record.connection.id),
        detail,
        evidence: frame
            .map(|(frame, shows)| Evidence {
                frame,
                shows: shows.to_owned(),
            })
            .into_iter()
            .collect(),
    })
}

/// Keys that are of no use: most likely those of another capture.
pub(super) fn of_keys(sessions: usize, tls: &TlsTotals) -> Option<Limit> {
    if sessions == 0 || tls.keyed > 0 {
        return None;
    }
    let of = |count: u64, one: &str, many: &str| {
        format!("{count} {}", if count == 1 { one } else { many })
    };
    let keys = of(sessions as u64, "TLS session", "TLS sessions");
    let detail = if tls.begun == 0 {
        format!(
            "keys of {keys} are at hand, but no ClientHello, which names the keys of a session, is in the capture as a whole"
        )
    } else {
        let begun = of(tls.begun, "TLS connection", "TLS connections");
        format!(
            "keys of {keys} are at hand, and none opened the {begun} seen: they belong to others, were logged in part, or \
             stand behind the packets of a pipe, which is read once"
        )
    };
    Some(Limit {
        kind: TLS_KEYS,
        connection: None,
        detail,
        evidence: Vec::new(),
    })
}

/// What is counted of a stream.
type Count = fn(&StreamFacts) -> u64;

/// Bytes of a connection that matters which could not be read.
pub(super) fn of_record(record: &Record) -> Option<Limit> {
    if record.exchanges.is_empty() {
        return None;
    }
    let connection = &record.connection;
    let streams = [
        ("client", &connection.to_server),
        ("server", &connection.to_client),
    ];
    let lost = |count: Count| {
        let parts = streams
            .iter()
            .map(|(who, facts)| (who, count(facts)))
            .filter(|&(_, bytes)| bytes > 0);
        parts
            .map(|(who, bytes)| format!("{bytes} bytes from the {who}"))
            .collect::<Vec<_>>()
            .join(" and ")
    };
    let mut kind = "truncated";
    let mut details = Vec::new();
    let causes: [(Count, &str, &str); 4] = [
        (
            StreamFacts::not_captured_bytes,
            "gap",
            "are not in the capture",
        ),
        (
            |facts| facts.lost_bytes,
            "gap",
            "were lost on the wire and not sent again",
        ),
        (
            |facts| facts.given_up_bytes,
            "gap",
            "were no longer waited for, to stay within the memory",
        ),
        (
            |facts| facts.truncated_bytes,
            "truncated",
            "were cut off by the snaplen",
        ),
    ];
    for (count, of_kind, what) in causes.into_iter().rev() {
        let bytes = lost(count);
        if !bytes.is_empty() {
            kind = of_kind;
            details.insert(0, format!("{bytes} {what}"));
        }
    }
    if details.is_empty() {
        return None;
    }
    let detail = details.join(", ");
    Some(Limit {
        kind,
        connection: Some(connection.id),
        detail,
        evidence: Vec::new(),
    })
}
