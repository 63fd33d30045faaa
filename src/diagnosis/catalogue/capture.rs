//! What the capture itself lacks: never a fault of the handshake.

use super::{Entry, Told};
use crate::diagnosis::{Code, Severity};

pub(super) static BACKEND_HOP_NOT_SEEN: Entry = Entry {
    code: Code::BackendHopNotSeen,
    title: "The backend hop cannot be seen",
    severity: Severity::Info,
    meaning: "The capture holds no connection from the proxy to a backend, so nothing certain can be said about what was forwarded.",
    client_hop: "Complete.",
    backend_hop: "Not in the capture.",
    why: "Another interface, host or network namespace, a unix socket, or a capture filter.",
    fix: "Capture on the proxy host with `-i any` and without a port filter; for a unix socket, let proxy_pass use a TCP port for the test.",
    template: "",
    log: "",
    source: "hop101: a hop that was not captured cannot be judged",
};

pub(super) static CLIENT_HOP_NOT_SEEN: Entry = Entry {
    code: Code::ClientHopNotSeen,
    title: "The client hop cannot be seen",
    severity: Severity::Info,
    meaning: "The capture holds only the proxy's side to the backend: what the client sent and got is inferred.",
    client_hop: "Not in the capture, or encrypted.",
    backend_hop: "Complete.",
    why: "Another interface or host, a capture filter, or TLS towards the client.",
    fix: "Capture the client's side as well. Where it is TLS, read it with the keys of its sessions (`--keylog FILE`; browsers, curl and node write them to SSLKEYLOGFILE); else the proxy's log tells what the client sent.",
    template: "",
    log: "",
    source: "hop101: a hop that was not captured cannot be judged",
};

pub(super) static PAIRING_AMBIGUOUS: Entry = Entry {
    code: Code::PairingAmbiguous,
    title: "Which hops belong together is not certain",
    severity: Severity::Info,
    meaning: "Several exchanges fit equally well, for example because clients repeat the sample key of RFC 6455.",
    client_hop: "A key that other attempts use as well.",
    backend_hop: "The same.",
    why: "Test tools and recipes send a fixed key.",
    fix: "Use clients that make a new key for every connection, or make one attempt at a time.",
    template: "",
    log: "",
    source: "RFC 6455 4.1",
};

pub(super) static CAPTURE_MID_STREAM: Entry = Entry {
    code: Code::CaptureMidStream,
    title: "The capture began after the handshake",
    severity: Severity::Info,
    meaning: "The connection was already up, so its opening cannot be judged.",
    client_hop: "No SYN, no request.",
    backend_hop: "The same.",
    why: "The capture was started too late.",
    fix: "Start the capture first, then let the client connect.",
    template: "",
    log: "",
    source: "RFC 9293 3.5",
};

pub(super) static CAPTURE_ONE_SIDED: Entry = Entry {
    code: Code::CaptureOneSided,
    title: "Only one direction of the connection was captured",
    severity: Severity::Warning,
    meaning: "What the other side said is not known.",
    client_hop: "Frames in one direction only.",
    backend_hop: "The same.",
    why: "An asymmetric route or mirror port, or a filter on one direction.",
    fix: "Capture where both directions pass, for example on the proxy host.",
    template: "",
    log: "",
    source: "RFC 9293 3.4",
};

pub(super) static CAPTURE_TRUNCATED: Entry = Entry {
    code: Code::CaptureTruncated,
    title: "Frames were cut short when they were captured",
    severity: Severity::Warning,
    meaning: "Bytes behind the cut are unknown; a field there is not missing.",
    client_hop: "Frames shorter than on the wire.",
    backend_hop: "The same.",
    why: "A snap length (`-s`) smaller than the packets.",
    fix: "Capture with `-s 0`.",
    template: "",
    log: "",
    source: "pcap: snaplen",
};

pub(super) static CAPTURE_GAP: Entry = Entry {
    code: Code::CaptureGap,
    title: "Bytes of the handshake are not in the capture",
    severity: Severity::Warning,
    meaning: "The receiver acknowledged bytes that the capture lacks: what they said is unknown.",
    client_hop: "A hole in the sequence numbers that was acknowledged.",
    backend_hop: "The same.",
    why: "The capturing host lost packets (too small a buffer, a busy disk, `-U` with bursts).",
    fix: "Capture with a larger buffer (`-B`) on a fast disk, and let the filter keep both ports.",
    template: "",
    log: "",
    source: "RFC 9293 3.4",
};

pub(super) static CAPTURE_DROPS: Entry = Entry {
    code: Code::CaptureDrops,
    title: "The capture lost packets",
    severity: Severity::Warning,
    meaning: "The capturing kernel or interface says that it dropped packets.",
    client_hop: "Possibly holes.",
    backend_hop: "Possibly holes.",
    why: "Too small a buffer or too slow a reader.",
    fix: "Capture with a larger buffer (`-B 65536`) and a filter.",
    template: "",
    log: "",
    source: "pcapng 4.6: isb_ifdrop, isb_osdrop",
};

pub(super) static CAPTURE_DUPLICATES: Entry = Entry {
    code: Code::CaptureDuplicates,
    title: "The capture holds frames twice",
    severity: Severity::Info,
    meaning: "The same packet was captured at several places; each counts once.",
    client_hop: "Equal frames.",
    backend_hop: "Equal frames.",
    why: "`-i any` on a host with bridges or containers, or a mirror port that copies both ways.",
    fix: "Nothing to do; capturing on one interface gives smaller files.",
    template: "",
    log: "",
    source: "hop101: frames and times of several vantage points",
};

pub(super) static CLOCK_OFFSET: Entry = Entry {
    code: Code::ClockOffset,
    title: "The clocks of the captures differ",
    severity: Severity::Info,
    meaning: "Times of one capture are shifted to fit the other: each answer must lie after its request on every hop.",
    client_hop: "Times as captured.",
    backend_hop: "Times as captured, compared after the shift.",
    why: "Two hosts without a common clock.",
    fix: "Synchronise the clocks (NTP, chrony) for times that can be compared directly.",
    template: "",
    log: "",
    source: "hop101: frames and times of several vantage points",
};

/// The texts for bytes that were captured and not decrypted.
pub(in crate::diagnosis) const UNDECRYPTED: Told = Told {
    why: "For some records of its TLS there is no secret in the key log, or they are not whole in the capture.",
    fix: "Give the whole key log, with the secrets of both sides, and a capture without losses.",
    template: "",
    log: "",
};
