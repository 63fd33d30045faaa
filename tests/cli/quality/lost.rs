//! One frame less: a report may become weaker, never wrong.
//!
//! Captures lose frames. A report of what is left is *weaker* than that of the whole if
//!
//! - each finding worse than an observation has a code that the complete report has, no surer than there; or is a guess; or is
//!   about the capture; or names the status of an answer that is there ([`STATUS`]); or stands in [`INSTEAD`];
//! - verdict, who answered, who ended the session and who closed it are what they were, or unknown (null, `unclear`,
//!   `unknown`), or stand in [`OTHER_FACTS`].
//!
//! Everything else is an accusation that the lost frame makes. An entry of a table that nothing needs fails as well.

use std::cell::RefCell;

use super::*;

/// What a report may say instead of something else: the new code, the one of the complete report, how sure the new one may be
/// at most, and why it is true all the same.
pub(super) type Instead = (&'static str, &'static str, &'static str, &'static str);

/// All that may take the place of something else, beside [`STATUS`].
pub(super) const INSTEAD: &[Instead] = &[
    // Of two hops one is left, and what it shows is as wrong as before; who made it so is not known any more.
    (
        "accept-missing",
        "accept-not-returned",
        "certain",
        "the client's 101 has none",
    ),
    (
        "accept-mismatch",
        "key-rewritten",
        "likely",
        "the client's 101 does not fit its key",
    ),
    (
        "answer-upgrade-missing",
        "upgrade-not-returned",
        "certain",
        "the client's 101 has none",
    ),
    (
        "connection-missing",
        "connection-not-forwarded",
        "certain",
        "the first request left has none",
    ),
    (
        "connection-missing",
        "upgrade-added",
        "certain",
        "the client's request has none",
    ),
    (
        "key-missing",
        "key-not-forwarded",
        "likely",
        "the backend's request has none",
    ),
    (
        "subprotocol-not-chosen",
        "subprotocol-not-forwarded",
        "likely",
        "the client's 101 names none",
    ),
    (
        "upgrade-missing",
        "upgrade-added",
        "certain",
        "the client's request has none",
    ),
    (
        "upgrade-missing",
        "upgrade-not-forwarded",
        "certain",
        "the first request left has none",
    ),
    // The reason is lost, the event is there.
    (
        "backend-tls-rejected",
        "client-certificate-missing",
        "likely",
        "the backend ends TLS",
    ),
    (
        "client-certificate-missing",
        "client-certificate-missing",
        "certain",
        "true of the connection, in no handshake",
    ),
    (
        "closed-right-after-101",
        "key-rewritten",
        "certain",
        "of the backend hop alone: its client closes",
    ),
    (
        "proxy-protocol-unexpected",
        "proxy-protocol-to-backend",
        "likely",
        "the backend takes no such header",
    ),
    (
        "status-changed",
        "backend-header-too-big",
        "likely",
        "the hops have two statuses",
    ),
    (
        "tls-to-plain-port",
        "tls-to-plain-backend",
        "certain",
        "true of the connection, in no handshake",
    ),
    // Likely, and no more: the bytes left fit this as well.
    (
        "connection-not-forwarded",
        "upgrade-missing",
        "likely",
        "a proxy that adds none may have got none",
    ),
    (
        "upgrade-not-forwarded",
        "upgrade-missing",
        "likely",
        "a proxy that adds none may have got none",
    ),
    (
        "connection-vanished",
        "network-loss",
        "likely",
        "the only sign of life was the reset that is lost",
    ),
    (
        "silent-after-101",
        "interim-response",
        "likely",
        "the backend hop alone has a 101 and no frames",
    ),
    (
        "silent-after-101",
        "upgrade-added",
        "likely",
        "the backend hop alone has a 101 and no frames",
    ),
];

/// Codes that do no more than name a status. The answer is plain to see, its reason no more: allowed where the complete
/// report has an answer with this status on some hop.
const STATUS: &[(&str, u64)] = &[
    ("answered-as-page", 200),
    ("bad-request", 400),
    ("unauthorized", 401),
    ("forbidden", 403),
    ("not-found", 404),
    ("method-not-allowed", 405),
    ("upgrade-required", 426),
    ("server-error", 500),
    ("bad-gateway", 502),
    ("service-unavailable", 503),
    ("gateway-timeout", 504),
];

/// A fact of a handshake that may be another than in the complete report: which, its value there, its value now (a verdict with
/// its cause in parentheses, if it is just that one), whether only where one hop of several is left, why.
pub(super) type OtherFact = (&'static str, &'static str, &'static str, bool, &'static str);

/// All of them.
pub(super) const OTHER_FACTS: &[OtherFact] = &[
    (
        "verdict",
        "broken",
        "ok",
        false,
        "the sign of the bad end is lost, and it did come up",
    ),
    (
        "verdict",
        "failed",
        "ok",
        true,
        "the backend answered 101; what the client got is not seen",
    ),
    (
        "verdict",
        "failed",
        "broken",
        true,
        "the backend answered 101, and that hop ended badly",
    ),
    (
        "answered_by",
        "proxy",
        "backend",
        true,
        "what the backend's own hop carries is the backend's",
    ),
    (
        "answered_by",
        "null",
        "backend",
        true,
        "what the backend's own hop carries is the backend's",
    ),
    (
        "ended_by",
        "null",
        "proxy",
        false,
        "the complete report has no session that could end",
    ),
];

/// What is allowed in a test, and which of it was needed.
pub(super) struct Allowed {
    instead: Vec<Instead>,
    facts: Vec<OtherFact>,
    needed_instead: RefCell<BTreeSet<usize>>,
    needed_facts: RefCell<BTreeSet<usize>>,
}

impl Allowed {
    pub(super) fn new(instead: &[&[Instead]], facts: &[&[OtherFact]]) -> Self {
        Self {
            instead: instead.concat(),
            facts: facts.concat(),
            needed_instead: RefCell::default(),
            needed_facts: RefCell::default(),
        }
    }

    /// Those of a test's own entries, which come last, that nothing needed.
    pub(super) fn superfluous(&self, instead: &[Instead], facts: &[OtherFact]) -> Vec<String> {
        let (all, needed) = (&self.instead, self.needed_instead.borrow());
        let of_instead = (all.len() - instead.len()..all.len())
            .filter(|place| !needed.contains(place))
            .map(|place| format!("not needed: {:?}", all[place]));
        let (all, needed) = (&self.facts, self.needed_facts.borrow());
        let of_facts = (all.len() - facts.len()..all.len())
            .filter(|place| !needed.contains(place))
            .map(|place| format!("not needed: {:?}", all[place]));
        of_instead.chain(of_facts).collect()
    }

    /// What is wrong in a report of a part of what `wanted` is the report of.
    pub(super) fn wrong(&self, got: &Value, wanted: &Value) -> Vec<String> {
        let mut wrong = accusations(got, wanted, self);
        wrong.extend(other_facts(got, wanted, self));
        wrong
    }
}

fn rank(confidence: &Value) -> usize {
    let all = ["guess", "likely", "certain"];
    let place = all.iter().position(|&one| confidence == one);
    place.map_or(0, |place| place + 1)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}

/// Findings that accuse somebody whom the complete report does not accuse, or more surely than it does.
fn accusations(got: &Value, wanted: &Value, all: &Allowed) -> Vec<String> {
    let known = |code: &Value| {
        let same = list(wanted, "findings").iter();
        same.filter(|one| one["code"] == *code)
            .map(|one| rank(&one["confidence"]))
            .max()
    };
    let answered = |status: u64| {
        let hops = list(wanted, "handshakes")
            .iter()
            .flat_map(|one| list(one, "hops"));
        let mut statuses = hops.map(|hop| &hop["response"]["status"]);
        statuses.any(|one| *one == status)
    };
    let allowed = |finding: &Value| {
        let code = finding["code"].as_str().unwrap();
        let sure = rank(&finding["confidence"]);
        let about_capture = code.starts_with("capture-");
        let status = STATUS
            .iter()
            .any(|&(name, status)| name == code && answered(status));
        if finding["severity"] == "info"
            || finding["confidence"] == "guess"
            || about_capture
            || status
            || known(&finding["code"]) >= Some(sure)
        {
            return true;
        }
        let place = all.instead.iter().position(|&(name, of, at_most, _)| {
            name == code && known(&json!(of)).is_some() && sure <= rank(&json!(at_most))
        });
        all.needed_instead.borrow_mut().extend(place);
        place.is_some()
    };
    let new = list(got, "findings").iter().filter(|one| !allowed(one));
    new.map(|one| format!("{} ({}): {}", one["code"], one["confidence"], one["title"]))
        .collect()
}

/// The connections of a handshake's hops, by their ends.
fn hops<'a>(report: &'a Value, handshake: &'a Value) -> Vec<(&'a Value, &'a Value, &'a Value)> {
    let of = |id: &Value| {
        let all = list(report, "connections").iter();
        all.into_iter().find(|one| one["id"] == *id)
    };
    let hops = list(handshake, "hops").iter();
    hops.filter_map(|hop| {
        let connection = of(&hop["connection"])?;
        Some((
            &connection["client"],
            &connection["server"],
            &hop["exchange"],
        ))
    })
    .collect()
}

/// Facts of handshakes that are others than in the complete report. Not to know them any more is no other fact.
fn other_facts(got: &Value, wanted: &Value, all: &Allowed) -> Vec<String> {
    let facts = |one: &Value| {
        let session = &one["session"];
        [
            ("verdict", one["verdict"].clone()),
            ("answered_by", one["answered_by"].clone()),
            ("ended_by", session["ended_by"].clone()),
            ("close.by", session["close"]["by"].clone()),
            ("close.answered", session["close"]["answered"].clone()),
        ]
    };
    let mut others = Vec::new();
    for now in list(got, "handshakes") {
        let mine = hops(got, now);
        let before = list(wanted, "handshakes")
            .iter()
            .find(|one| hops(wanted, one).iter().any(|hop| mine.contains(hop)));
        let Some(before) = before else { continue };
        for ((what, is), (_, was)) in facts(now).into_iter().zip(facts(before)) {
            let unknown = is.is_null() || is == "unclear" || is == "unknown";
            let text = |value: &Value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            };
            let (was, is) = (text(&was), text(&is));
            if unknown || was == is {
                continue;
            }
            let alone = mine.len() == 1 && list(before, "hops").len() > 1;
            let fits = |entry: &str, value: &str, of: &Value| {
                let cause = text(&of["cause"]);
                entry == value || what == "verdict" && entry == format!("{value} ({cause})")
            };
            let place = all.facts.iter().position(|&(name, from, to, if_alone, _)| {
                let same = name == what && fits(from, &was, before) && fits(to, &is, now);
                same && (alone || !if_alone)
            });
            all.needed_facts.borrow_mut().extend(place);
            if place.is_none() {
                let (before, now) = (&before["headline"], &now["headline"]);
                others.push(format!("{what} {was} -> {is}: {before} -> {now}"));
            }
        }
    }
    others
}

/// Whether a frame carries more than an acknowledgement: bytes, SYN, FIN or RST.
pub(super) fn says_something(packet: &Packet) -> bool {
    let (kind, ip) = network(packet);
    let (tcp, end) = match kind {
        [0x08, 0x00] if ip[9] == 6 => {
            let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
            (usize::from(ip[0] & 15) * 4, total)
        }
        [0x86, 0xdd] if ip[6] == 6 => (40, ip.len()),
        _ => return false,
    };
    let Some(header) = ip.get(tcp..tcp + 20) else {
        return false;
    };
    header[13] & 0b111 != 0 || tcp + usize::from(header[12] >> 4) * 4 < end
}

/// Leaves out each frame that `lost` names, one at a time: what is wrong then, and how often it was tried.
fn without_each(
    name: &str,
    files: &[Vec<u8>],
    lost: impl Fn(&Packet) -> bool,
    allowed: &Allowed,
) -> (Vec<String>, usize) {
    let wanted = report(files);
    let all: Vec<Vec<Packet>> = files.iter().map(|file| packets(file)).collect();
    let mut wrong = Vec::new();
    let mut runs = 0;
    for (file, packets) in all.iter().enumerate() {
        for number in (0..packets.len()).filter(|&number| lost(&packets[number])) {
            let mut rest = all.clone();
            rest[file].remove(number);
            let rest: Vec<Vec<u8>> = rest.iter().map(|packets| pcapng(packets)).collect();
            let what = allowed.wrong(&report(&rest), &wanted).into_iter();
            wrong.extend(what.map(|what| format!("{name} without frame {}: {what}", number + 1)));
            runs += 1;
        }
    }
    (wrong, runs)
}

/// Cases longer than this take too long here; their kinds of traffic are in shorter ones as well.
const FRAMES_MAX: usize = 60;

/// The cases that are tried. Those inside TLS have a test of their own.
pub(super) fn short_cases() -> impl Iterator<Item = (String, Vec<Vec<u8>>)> {
    let short = |files: &[Vec<u8>]| packets(&files[0]).len() <= FRAMES_MAX;
    let cases = cases().into_iter();
    cases.filter(move |(name, files)| !name.contains("with-keys") && short(files))
}

/// Of samples any frame, of cases any that says something (bare acknowledgements are alike everywhere).
#[test]
fn a_lost_frame_makes_a_report_weaker_and_never_wrong() {
    let allowed = Allowed::new(&[INSTEAD], &[OTHER_FACTS]);
    let mut wrong = Vec::new();
    let mut runs = 0;
    for (name, files) in samples() {
        let (found, tried) = without_each(&name, &files, |_| true, &allowed);
        wrong.extend(found);
        runs += tried;
    }
    for (name, files) in short_cases() {
        let (found, tried) = without_each(&name, &files, says_something, &allowed);
        wrong.extend(found);
        runs += tried;
    }
    wrong.extend(allowed.superfluous(INSTEAD, OTHER_FACTS));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(runs > 2_000, "{runs}");
}
