//! Less of the same traffic: what is not captured makes nobody guilty.

use std::net::Ipv4Addr;

use super::*;

/// What names an answer or a silence that is plain to see, and takes the place of its reason where that is hidden.
const SYMPTOMS: [&str; 7] = [
    "answered-as-page",
    "bad-gateway",
    "bad-request",
    "gateway-timeout",
    "no-answer",
    "tls-to-plain-port",
    "upgrade-required",
];

/// Errors that a worse capture of the same has, that the good one has not, and that no frame of it shows.
fn invented(got: &Value, wanted: &Value) -> Vec<String> {
    let known = codes(wanted, "warning");
    let findings = got["findings"].as_array().unwrap();
    findings
        .iter()
        .filter(|one| one["severity"] == "error" && one["confidence"] == "certain")
        .filter(|one| {
            let code = one["code"].as_str().unwrap();
            let missing = code.ends_with("-missing") && is_missing(got, one);
            !(known.contains(code) || SYMPTOMS.contains(&code) || missing)
        })
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}

/// Whether a request that was seen as a whole lacks what a finding says is missing.
fn is_missing(report: &Value, finding: &Value) -> bool {
    let about = finding["connections"].as_array().unwrap();
    hops_of(report, finding).iter().any(|hop| {
        let request = &hop["request"];
        let connection = request["connection"].as_str().unwrap_or_default();
        about.contains(&hop["connection"])
            && !request.is_null()
            && (request["upgrade"].is_null() || !connection.eq_ignore_ascii_case("upgrade"))
    })
}

/// The hops of the handshake that a finding is about.
fn hops_of<'a>(report: &'a Value, finding: &Value) -> &'a [Value] {
    let handshakes = report["handshakes"].as_array().unwrap();
    let of = handshakes
        .iter()
        .find(|one| one["id"] == finding["handshake"]);
    of.map_or(&[], |one| one["hops"].as_array().unwrap())
}

#[test]
fn a_snaplen_invents_no_error() {
    let mut wrong = Differences::default();
    for (name, files) in samples().into_iter().chain(with_keys()) {
        let wanted = report(&files);
        for snaplen in [96, 200, 400] {
            let got = report(&each(&files, cut_at(snaplen)));
            let what = format!("{name} at {snaplen} bytes");
            wrong.same(&json!(invented(&got, &wanted)), &json!([]), &what);
            wrong.same(
                &got["summary"]["connections"],
                &wanted["summary"]["connections"],
                &what,
            );
            for finding in got["findings"].as_array().unwrap() {
                if finding["confidence"] == "certain" && finding["severity"] == "error" {
                    wrong.same(&unseen(&got, finding), &json!([]), &what);
                }
            }
        }
    }
    wrong.none();
}

/// Hops that a finding is about and whose heads were not seen whole.
fn unseen(report: &Value, finding: &Value) -> Value {
    let about = finding["connections"].as_array().unwrap();
    let hops = hops_of(report, finding);
    let unseen = hops
        .iter()
        .filter(|hop| about.contains(&hop["connection"]) && hop["request"].is_null())
        .map(|hop| hop["connection"].clone());
    unseen.collect()
}

/// Whether a frame carries the beginning of a head.
fn has_head(packet: &Packet) -> bool {
    let starts: [&[u8]; 2] = [b"GET /", b"HTTP/1.1 "];
    starts
        .iter()
        .any(|start| packet.data.windows(start.len()).any(|at| at == *start))
}

#[test]
fn a_head_that_was_not_captured_invents_no_error() {
    let mut wrong = Differences::default();
    for (name, files) in samples() {
        let wanted = report(&files);
        let all: Vec<Vec<Packet>> = files.iter().map(|file| packets(file)).collect();
        for (file, packets) in all.iter().enumerate() {
            let heads = packets
                .iter()
                .enumerate()
                .filter(|(_, packet)| has_head(packet));
            for (lost, _) in heads.take(4) {
                let mut all = all.clone();
                all[file].remove(lost);
                let files: Vec<Vec<u8>> = all.iter().map(|packets| pcapng(packets)).collect();
                let got = report(&files);
                let what = format!("{name} without frame {}", lost + 1);
                wrong.same(&json!(invented(&got, &wanted)), &json!([]), &what);
            }
        }
    }
    wrong.none();
}

/// Of a session inside TLS any frame may be missing: the records behind it are found again, or nothing is said of them.
#[test]
fn a_frame_of_records_that_was_not_captured_invents_no_error() {
    let mut wrong = Differences::default();
    let mut lost_frames = 0;
    for (name, files) in with_keys() {
        let wanted = report(&files);
        let all: Vec<Packet> = packets(&files[0]);
        for lost in 0..all.len() {
            if ends(&all[lost]).is_none_or(|ends| !ends.concat().contains(":443")) {
                continue;
            }
            lost_frames += 1;
            let mut rest = all.clone();
            rest.remove(lost);
            let got = report(&[pcapng(&rest)]);
            let what = format!("{name} without frame {}", lost + 1);
            wrong.same(&json!(invented(&got, &wanted)), &json!([]), &what);
        }
    }
    assert!(lost_frames > 1000, "{lost_frames}");
    wrong.none();
}

/// Findings that say the proxy ended a session of its own accord.
const BY_THE_PROXY: [&str; 4] = [
    "idle-timeout",
    "proxy-closed",
    "proxy-restarted",
    "proxy-crashed",
];

/// Which frames are kept, by their ends.
type Keep<'a> = &'a dyn Fn(&[String; 2]) -> bool;

/// The frames that are kept, and all that are no TCP.
fn only(mut packets: Vec<Packet>, keep: Keep<'_>) -> Vec<Packet> {
    packets.retain(|packet| ends(packet).is_none_or(|ends| keep(&ends)));
    packets
}

/// One hop, or one direction, does not show that the proxy ended a session, nor why.
#[test]
fn half_a_capture_accuses_no_proxy() {
    let mut wrong = Differences::default();
    for (name, files) in samples().into_iter().chain(cases()) {
        let wanted = report(&files);
        let known = codes(&wanted, "info");
        let client_hops: BTreeSet<[&str; 2]> = wanted["handshakes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|shake| shake["hops"].as_array().unwrap().len() > 1)
            .filter_map(|shake| {
                let all = wanted["connections"].as_array().unwrap();
                let outer = &shake["hops"][0]["connection"];
                let found = all.iter().find(|one| one["id"] == *outer)?;
                Some([found["client"].as_str()?, found["server"].as_str()?])
            })
            .collect();
        let is_outer = |[from, to]: &[String; 2]| {
            client_hops.contains(&[from.as_str(), to.as_str()])
                || client_hops.contains(&[to.as_str(), from.as_str()])
        };
        let up = |[from, to]: &[String; 2]| client_hops.contains(&[from.as_str(), to.as_str()]);
        let views: [(&str, Keep<'_>); 4] = [
            ("the client hop alone", &|ends| is_outer(ends)),
            ("the backend hop alone", &|ends| !is_outer(ends)),
            ("the client hop one way", &|ends| {
                !is_outer(ends) || up(ends)
            }),
            ("the client hop the other way", &|ends| !up(ends)),
        ];
        for (view, keep) in views.iter().filter(|_| !client_hops.is_empty()) {
            let got = report(&each(&files, |packets| only(packets, keep)));
            let accused: Vec<&Value> = got["findings"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|finding| {
                    let code = finding["code"].as_str().unwrap();
                    BY_THE_PROXY.contains(&code)
                        && !known.contains(code)
                        && finding["confidence"] != "guess"
                })
                .map(|finding| &finding["title"])
                .collect();
            wrong.same(&json!(accused), &json!([]), &format!("{name}, {view}"));
        }
    }
    wrong.none();
}

/// Both ends of a TCP frame as the report writes them, the sender first.
fn ends(packet: &Packet) -> Option<[String; 2]> {
    let (kind, ip) = network(packet);
    let port = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    if kind == [0x08, 0x00] {
        let tcp = ip.get(usize::from(ip[0] & 15) * 4..)?;
        let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&ip[at..at + 4]).unwrap());
        (ip[9] == 6).then(|| {
            [
                format!("{}:{}", address(12), port(tcp)),
                format!("{}:{}", address(16), port(&tcp[2..])),
            ]
        })
    } else {
        None
    }
}

#[test]
fn one_direction_alone_invents_no_error() {
    let mut wrong = Differences::default();
    let all = samples().into_iter().chain(cases());
    for (name, files) in all {
        let wanted = report(&files);
        let clients: BTreeSet<&str> = wanted["connections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["client"].as_str().unwrap())
            .collect();
        for to_server in [true, false] {
            let sent = |[from, _]: &[String; 2]| clients.contains(from.as_str()) == to_server;
            let got = report(&each(&files, |packets| only(packets, &sent)));
            let what = format!("{name}, only what goes to the server: {to_server}");
            wrong.same(&json!(invented(&got, &wanted)), &json!([]), &what);
        }
    }
    wrong.none();
}
