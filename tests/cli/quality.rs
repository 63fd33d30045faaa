//! Any capture people really have: every sample wrapped anew must tell the same story, and a worse one no other story.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use hop101::capture::LinkType;
use serde_json::{Value, json};

use crate::pipeline::{Packet, packets, pcapng, read};
use crate::samples::Sample;
use crate::support::{have, root};

/// Ethernet addresses that mean nothing.
const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

/// The files of every sample.
fn samples() -> Vec<(String, Vec<Vec<u8>>)> {
    Sample::all()
        .iter()
        .map(|sample| {
            let files = &sample.files;
            let name = files[0].file_name().unwrap().to_str().unwrap().to_owned();
            (
                name,
                files.iter().map(|file| fs::read(file).unwrap()).collect(),
            )
        })
        .collect()
}

fn report(files: &[Vec<u8>]) -> Value {
    let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let outcome = read(&files);
    assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    outcome.report
}

/// Everything but what the wrapping is about: name, format, size, link type and interfaces of the files.
fn unwrapped(mut report: Value) -> Value {
    for capture in report["captures"].as_array_mut().unwrap() {
        for field in [
            "path",
            "format",
            "compression",
            "bytes",
            "link_types",
            "dropped",
        ] {
            capture[field] = Value::Null;
        }
    }
    for connection in report["connections"].as_array_mut().unwrap() {
        connection["interfaces"] = Value::Null;
    }
    report
}

/// Where two documents differ first.
fn difference(got: &Value, wanted: &Value, at: &str) -> Option<String> {
    match (got, wanted) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => a
            .iter()
            .find_map(|(key, value)| difference(value, &b[key], &format!("{at}.{key}"))),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(place, (a, b))| difference(a, b, &format!("{at}[{place}]"))),
        _ if got == wanted => None,
        _ => Some(format!("{at} is {got}, not {wanted}")),
    }
}

/// Collects what differs in a test, to be told at its end.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn same(&mut self, got: &Value, wanted: &Value, what: &str) {
        if let Some(difference) = difference(got, wanted, "report") {
            self.0.push(format!("{what}: {difference}"));
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

/// The story without frame numbers and times.
fn story(report: &Value) -> Value {
    let handshakes = report["handshakes"].as_array().unwrap();
    let told: Vec<Value> = handshakes
        .iter()
        .map(|handshake| {
            let hops = handshake["hops"].as_array().unwrap();
            let hops: Vec<Value> = hops
                .iter()
                .map(|hop| {
                    json!([
                        hop["role"],
                        hop["request"]["target"],
                        hop["request"]["key"],
                        hop["response"]["status"],
                        hop["accept"],
                        hop["changes"]
                    ])
                })
                .collect();
            let session = &handshake["session"];
            json!([
                handshake["verdict"],
                handshake["cause"],
                handshake["answered_by"],
                hops,
                session["close"],
                session["ended_by"],
                session["to_server"],
                session["to_client"]
            ])
        })
        .collect();
    json!({"connections": report["summary"]["connections"], "handshakes": told, "codes": codes(report, "info")})
}

/// Codes of findings worse than `above`.
fn codes(report: &Value, above: &str) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .filter(|one| one["severity"] != "info" && one["severity"] != above)
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}

/// The frame without its link layer: EtherType and what follows it.
fn network(packet: &Packet) -> (&[u8], &[u8]) {
    let (kind, header) = match packet.link {
        LinkType::ETHERNET => (12, 14),
        LinkType::LINUX_SLL => (14, 16),
        LinkType::LINUX_SLL2 => (0, 20),
        other => panic!("{other:?}"),
    };
    (&packet.data[kind..kind + 2], &packet.data[header..])
}

fn rewrapped(packet: &Packet, link: LinkType, header: &[&[u8]]) -> Packet {
    let (_, rest) = network(packet);
    let data = [&header.concat(), rest].concat();
    let cut = packet.wire_len - packet.data.len() as u32;
    Packet {
        at: packet.at,
        link,
        wire_len: data.len() as u32 + cut,
        data,
    }
}

/// A wrapping by its name.
type Wrapping = (&'static str, fn(&Packet) -> Packet);

/// The link layers into which every sample is put.
const LINKS: [Wrapping; 15] = [
    ("Ethernet", |packet| {
        rewrapped(packet, LinkType::ETHERNET, &[&ADDRESSES, network(packet).0])
    }),
    ("802.1Q", |packet| {
        rewrapped(
            packet,
            LinkType::ETHERNET,
            &[&ADDRESSES, &[0x81, 0, 0x20, 101], network(packet).0],
        )
    }),
    ("QinQ", |packet| {
        rewrapped(
            packet,
            LinkType::ETHERNET,
            &[
                &ADDRESSES,
                &[0x88, 0xa8, 0, 7, 0x81, 0, 0x20, 101],
                network(packet).0,
            ],
        )
    }),
    ("SLL", |packet| {
        rewrapped(
            packet,
            LinkType::LINUX_SLL,
            &[&[0, 0, 0, 1, 0, 6], &[0; 8], network(packet).0],
        )
    }),
    ("SLL2", |packet| {
        rewrapped(
            packet,
            LinkType::LINUX_SLL2,
            &[network(packet).0, &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6], &[0; 8]],
        )
    }),
    ("PPPoE", |packet| {
        let (kind, rest) = network(packet);
        let protocol = if kind == [8, 0] { [0, 0x21] } else { [0, 0x57] };
        let len = (rest.len() as u16 + 2).to_be_bytes();
        rewrapped(
            packet,
            LinkType::ETHERNET,
            &[&ADDRESSES, &[0x88, 0x64, 0x11, 0, 0, 9], &len, &protocol],
        )
    }),
    ("MPLS", |packet| {
        rewrapped(
            packet,
            LinkType::ETHERNET,
            &[&ADDRESSES, &[0x88, 0x47, 0, 1, 1, 64]],
        )
    }),
    ("VXLAN", |packet| {
        let (kind, rest) = network(packet);
        let udp = (rest.len() as u16 + 14 + 8 + 8).to_be_bytes();
        let ip = (rest.len() as u16 + 14 + 8 + 8 + 20).to_be_bytes();
        rewrapped(
            packet,
            LinkType::RAW,
            &[
                &[0x45, 0],
                &ip,
                &[0, 0, 0, 0, 64, 17, 0, 0, 203, 0, 113, 1, 203, 0, 113, 2],
                &[0xc0, 0, 0x12, 0xb5],
                &udp,
                &[0, 0],
                &[8, 0, 0, 0, 0, 0, 42, 0],
                &ADDRESSES,
                kind,
            ],
        )
    }),
    ("GENEVE", |packet| {
        let (kind, rest) = network(packet);
        // UDP, then GENEVE with an option of eight bytes.
        let udp = (rest.len() as u16 + 8 + 16 + 14).to_be_bytes();
        let geneve = [2, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 1, 0, 0, 0, 0];
        tunnelled(
            packet,
            17,
            &[
                &[0xc0, 0, 0x17, 0xc1],
                &udp,
                &[0, 0],
                &geneve,
                &ADDRESSES,
                kind,
            ],
        )
    }),
    ("GRE", |packet| {
        tunnelled(packet, 47, &[&[0x20, 0], network(packet).0, &[0, 0, 0, 9]])
    }),
    ("IP in IP", |packet| {
        tunnelled(packet, family(packet, 4, 41), &[])
    }),
    ("NULL", |packet| {
        let family = [0, 0, 0, family(packet, 2, 30)];
        rewrapped(packet, LinkType::NULL, &[&family])
    }),
    ("LOOP, other byte order", |packet| {
        let family = [family(packet, 2, 24), 0, 0, 0];
        rewrapped(packet, LinkType::LOOP, &[&family])
    }),
    ("raw IP", |packet| rewrapped(packet, LinkType::RAW, &[])),
    ("802.11", |packet| {
        let header = [
            0x88, 1, 0, 0, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6, 0, 0, 0, 0,
        ];
        let snap = [0xaa, 0xaa, 3, 0, 0, 0];
        rewrapped(
            packet,
            LinkType::IEEE802_11,
            &[&header, &snap, network(packet).0],
        )
    }),
];

/// What follows an outer IPv4 header of this protocol.
fn tunnelled(packet: &Packet, protocol: u8, header: &[&[u8]]) -> Packet {
    let header = header.concat();
    let length = (20 + header.len() + network(packet).1.len()) as u16;
    let [high, low] = length.to_be_bytes();
    let outer = [
        0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0, 203, 0, 113, 1, 203, 0, 113, 2,
    ];
    rewrapped(packet, LinkType::RAW, &[&outer, &header])
}

/// The version of IP, as different worlds number it.
fn family(packet: &Packet, v4: u8, v6: u8) -> u8 {
    if network(packet).0 == [8, 0] { v4 } else { v6 }
}

/// IP frames only: what a link layer is made for here.
fn is_ip(packet: &Packet) -> bool {
    matches!(network(packet).0, [0x08, 0x00] | [0x86, 0xdd])
}

#[test]
fn link_layers_and_tunnels_change_nothing() {
    let mut wrong = Differences::default();
    for (name, files) in samples() {
        let plain: Vec<Vec<Packet>> = files
            .iter()
            .map(|file| packets(file).into_iter().filter(is_ip).collect())
            .collect();
        let story_of = |wrap: fn(&Packet) -> Packet| {
            let files: Vec<Vec<u8>> = plain
                .iter()
                .map(|packets| pcapng(&packets.iter().map(wrap).collect::<Vec<_>>()))
                .collect();
            unwrapped(report(&files))
        };
        let wanted = story_of(Packet::clone);
        for (link, wrap) in LINKS {
            let got = story_of(wrap);
            wrong.same(&story(&got), &story(&wanted), &format!("{name} as {link}"));
            wrong.same(
                &got["connections"],
                &wanted["connections"],
                &format!("{name} as {link}"),
            );
        }
    }
    wrong.none();
}

#[test]
fn compression_and_containers_change_nothing() {
    use flate2::write::GzEncoder;
    let mut wrong = Differences::default();
    for (name, files) in samples() {
        let wanted = unwrapped(report(&files));
        let packed = |pack: &dyn Fn(&[u8]) -> Vec<u8>| {
            let files: Vec<Vec<u8>> = files.iter().map(|file| pack(file)).collect();
            unwrapped(report(&files))
        };
        let gzip = |bytes: &[u8]| {
            let mut out = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        };
        wrong.same(&packed(&gzip), &wanted, &format!("{name} in gzip"));
        // Two members, as `cat a.gz b.gz` and parallel compressors make.
        let members = |bytes: &[u8]| {
            let (a, b) = bytes.split_at(bytes.len() / 2);
            [gzip(a), gzip(b)].concat()
        };
        wrong.same(
            &packed(&members),
            &wanted,
            &format!("{name} in two gzip members"),
        );
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        wrong.same(&packed(&zstd), &wanted, &format!("{name} in zstd"));
        let lz4 = |bytes: &[u8]| {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        };
        wrong.same(&packed(&lz4), &wanted, &format!("{name} in lz4"));
        let xz = |bytes: &[u8]| {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 0);
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        };
        wrong.same(&packed(&xz), &wanted, &format!("{name} in xz"));
        let again = |bytes: &[u8]| pcapng(&packets(bytes));
        wrong.same(
            &packed(&again),
            &wanted,
            &format!("{name} in one interface of pcapng"),
        );
    }
    wrong.none();
}

/// Runs a tool of Wireshark's.
fn tool(program: &str, args: &[&str], files: &[&Path]) {
    let output = Command::new(program)
        .args(args)
        .args(files)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Each file through editcap.
fn editcap(files: &[Vec<u8>], args: &[&str]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    files
        .iter()
        .map(|file| {
            fs::write(&from, file).unwrap();
            tool("editcap", args, &[&from, &to]);
            fs::read(&to).unwrap()
        })
        .collect()
}

#[test]
fn editcap_variants_change_nothing() {
    if !have("editcap") {
        return;
    }
    let mut wrong = Differences::default();
    for (name, files) in samples() {
        let wanted = unwrapped(report(&files));
        for args in [&["-F", "nsecpcap"][..], &["-F", "pcapng"]] {
            wrong.same(
                &unwrapped(report(&editcap(&files, args))),
                &wanted,
                &format!("{name} by editcap {args:?}"),
            );
        }
        // Microseconds, and an hour later.
        for args in [&["-F", "pcap"][..], &["-t", "3600"]] {
            wrong.same(
                &story(&report(&editcap(&files, args))),
                &story(&wanted),
                &format!("{name} by editcap {args:?}"),
            );
        }
    }
    wrong.none();
}

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
    for (name, files) in samples() {
        let wanted = report(&files);
        for snaplen in [96, 200] {
            let cut: Vec<Vec<u8>> = files
                .iter()
                .map(|file| {
                    let mut packets = packets(file);
                    for packet in &mut packets {
                        packet.data.truncate(snaplen);
                    }
                    pcapng(&packets)
                })
                .collect();
            let got = report(&cut);
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

/// Findings that say the proxy ended a session of its own accord.
const BY_THE_PROXY: [&str; 4] = [
    "idle-timeout",
    "proxy-closed",
    "proxy-restarted",
    "proxy-crashed",
];

/// A name, and which frames are kept.
type Keep<'a> = (&'static str, &'a dyn Fn(&[String; 2]) -> bool);

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
        let views: [Keep<'_>; 4] = [
            ("the client hop alone", &|ends| is_outer(ends)),
            ("the backend hop alone", &|ends| !is_outer(ends)),
            ("the client hop one way", &|ends| {
                !is_outer(ends) || up(ends)
            }),
            ("the client hop the other way", &|ends| !up(ends)),
        ];
        for (view, keep) in views.iter().filter(|_| !client_hops.is_empty()) {
            let kept: Vec<Vec<u8>> = files
                .iter()
                .map(|file| {
                    let packets = packets(file).into_iter();
                    let packets =
                        packets.filter(|packet| ends(packet).is_none_or(|ends| keep(&ends)));
                    pcapng(&packets.collect::<Vec<_>>())
                })
                .collect();
            let got = report(&kept);
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

/// Every frame twice, as a capture on several interfaces or a mirror port has them.
fn doubled(packets: &[Packet]) -> Vec<Packet> {
    let both = packets.iter().flat_map(|packet| {
        let mut copy = packet.clone();
        copy.at += 4_000;
        [packet.clone(), copy]
    });
    both.collect()
}

/// Every capture of a case by itself.
fn cases() -> Vec<(String, Vec<Vec<u8>>)> {
    let mut found = Vec::new();
    for case in fs::read_dir(root().join("tests/cases")).unwrap() {
        let folder = case.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|kind| kind != "toml") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, vec![fs::read(&path).unwrap()]));
            }
        }
    }
    found.sort();
    assert!(found.len() > 30, "{} cases with captures", found.len());
    found
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
            let kept: Vec<Vec<u8>> = files
                .iter()
                .map(|file| {
                    let packets = packets(file).into_iter().filter(|packet| {
                        ends(packet)
                            .is_none_or(|[from, _]| clients.contains(from.as_str()) == to_server)
                    });
                    pcapng(&packets.collect::<Vec<_>>())
                })
                .collect();
            let got = report(&kept);
            let what = format!("{name}, only what goes to the server: {to_server}");
            wrong.same(&json!(invented(&got, &wanted)), &json!([]), &what);
        }
    }
    wrong.none();
}

#[test]
fn duplicates_are_counted_and_change_nothing() {
    let mut wrong = Differences::default();
    for (name, files) in samples() {
        let wanted = report(&files);
        let twice: Vec<Vec<u8>> = files
            .iter()
            .map(|file| pcapng(&doubled(&packets(file))))
            .collect();
        let got = report(&twice);
        wrong.same(
            &story(&got),
            &story(&wanted),
            &format!("{name} with every frame twice"),
        );
        let tcp: u64 = wanted["connections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                one["to_server"]["frames"].as_u64().unwrap()
                    + one["to_client"]["frames"].as_u64().unwrap()
            })
            .sum();
        let counted: u64 = got["captures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["duplicate_frames"].as_u64().unwrap())
            .sum();
        assert!(counted >= tcp, "{name}: {counted} of {tcp} copies counted");
    }
    wrong.none();
}

#[test]
fn the_same_file_twice_counts_once() {
    let mut wrong = Differences::default();
    for (name, files) in samples().into_iter().filter(|(_, files)| files.len() == 1) {
        let wanted = report(&files);
        let got = report(&[files[0].clone(), files[0].clone()]);
        wrong.same(
            &story(&got),
            &story(&wanted),
            &format!("{name} given twice"),
        );
        assert_eq!(
            got["captures"][0]["duplicate_frames"], wanted["captures"][0]["duplicate_frames"],
            "{name} given twice"
        );
        let copies = got["captures"][1]["duplicate_frames"].as_u64().unwrap();
        assert!(copies > 0, "{name} given twice");
    }
    wrong.none();
}

#[test]
fn a_rotated_set_reads_as_the_whole() {
    let mut wrong = Differences::default();
    for (name, files) in samples().into_iter().filter(|(_, files)| files.len() == 1) {
        let all = packets(&files[0]);
        let parts: Vec<Vec<u8>> = all.chunks(all.len().div_ceil(3)).map(pcapng).collect();
        let wanted = report(&files);
        wrong.same(
            &story(&report(&parts)),
            &story(&wanted),
            &format!("{name} in three files"),
        );
        let backwards: Vec<Vec<u8>> = parts.into_iter().rev().collect();
        wrong.same(
            &story(&report(&backwards)),
            &story(&wanted),
            &format!("{name} in three files named last first"),
        );
    }
    wrong.none();
}

/// Whether the order of two frames tells nothing: they are of one connection, none opens or resets it, and not both
/// end it.
fn may_swap(one: &Packet, next: &Packet) -> bool {
    let ends_and_flags = |packet: &Packet| {
        let (kind, ip) = network(packet);
        let (tcp, addresses) = match kind {
            [0x08, 0x00] => (ip.get(20..)?, ip.get(12..20)?),
            _ => (ip.get(40..)?, ip.get(8..40)?),
        };
        let half = addresses.len() / 2;
        let mut ends = [
            (addresses[..half].to_vec(), tcp[..2].to_vec()),
            (addresses[half..].to_vec(), tcp[2..4].to_vec()),
        ];
        ends.sort();
        Some((ends, tcp[13]))
    };
    match (ends_and_flags(one), ends_and_flags(next)) {
        (Some((a, f)), Some((b, g))) => a == b && (f | g) & 0x06 == 0 && f & g & 0x01 == 0,
        _ => false,
    }
}

/// Neighbours swapped: receive queues hand over the frames of a burst in any order.
fn swapped(mut packets: Vec<Packet>) -> Vec<Packet> {
    let mut at = 0;
    while at + 1 < packets.len() {
        let (one, next) = (&packets[at], &packets[at + 1]);
        if next.at - one.at < 50_000 && may_swap(one, next) {
            let times = (one.at, next.at);
            packets.swap(at, at + 1);
            (packets[at].at, packets[at + 1].at) = times;
            at += 1;
        }
        at += 1;
    }
    packets
}

#[test]
fn neighbours_out_of_order_change_nothing() {
    let mut wrong = Differences::default();
    for (name, files) in samples() {
        let wanted = report(&files);
        let swapped: Vec<Vec<u8>> = files
            .iter()
            .map(|file| pcapng(&swapped(packets(file))))
            .collect();
        wrong.same(
            &story(&report(&swapped)),
            &story(&wanted),
            &format!("{name} with neighbours swapped"),
        );
    }
    wrong.none();
}

/// Frames in turn in two files, and these merged by mergecap.
fn merged(packets: &[Packet]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let files = ["even", "odd", "both"].map(|name| folder.path().join(name));
    for (from, file) in files[..2].iter().enumerate() {
        let half: Vec<Packet> = packets.iter().skip(from).step_by(2).cloned().collect();
        fs::write(file, pcapng(&half)).unwrap();
    }
    let both = files[2].to_str().unwrap();
    tool("mergecap", &["-w", both], &[&files[0], &files[1]]);
    fs::read(both).unwrap()
}

/// What tshark makes of a capture: TCP streams, opening requests by key, 101s.
fn by_tshark(file: &[u8]) -> [usize; 3] {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture.pcapng");
    fs::write(&path, file).unwrap();
    let output = Command::new("tshark")
        .args(["-n", "-o", "tcp.reassemble_out_of_order:TRUE"])
        .args([
            "-d",
            "tcp.port==8080,http",
            "-T",
            "fields",
            "-E",
            "separator=\t",
        ])
        .args([
            "-e",
            "tcp.stream",
            "-e",
            "http.sec_websocket_key",
            "-e",
            "http.response.code",
        ])
        .arg("-r")
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let streams: BTreeSet<&str> = rows
        .iter()
        .map(|row| row[0])
        .filter(|one| !one.is_empty())
        .collect();
    [
        streams.len(),
        rows.iter().filter(|row| !row[1].is_empty()).count(),
        rows.iter().filter(|row| row[2] == "101").count(),
    ]
}

/// The same of a report.
fn by_report(report: &Value) -> [usize; 3] {
    let handshakes = report["handshakes"].as_array().unwrap();
    let hops = || {
        handshakes
            .iter()
            .flat_map(|one| one["hops"].as_array().unwrap())
    };
    let connections = report["summary"]["connections"].as_u64().unwrap();
    [
        usize::try_from(connections).unwrap(),
        hops()
            .filter(|hop| !hop["request"]["key"].is_null())
            .count(),
        hops()
            .filter(|hop| hop["response"]["status"] == 101)
            .count(),
    ]
}

/// Samples of which the two programs count different things, for reasons that `tshark.rs` gives.
const COUNTED_OTHERWISE: [&str; 2] = ["healthy-auth-request.pcapng", "truncated.pcapng"];

#[test]
fn tshark_counts_the_same_in_all_samples_wrapped_anew() {
    if !["tshark", "editcap", "mergecap"].into_iter().all(have) {
        return;
    }
    // All samples one after the other, a minute apart: as the ports come again, they are new connections.
    let mut all: Vec<Packet> = Vec::new();
    let single = samples()
        .into_iter()
        .filter(|(name, files)| files.len() == 1 && !COUNTED_OTHERWISE.contains(&name.as_str()));
    for (_, files) in single {
        let mut packets: Vec<Packet> = packets(&files[0]).into_iter().filter(is_ip).collect();
        let (Some(last), Some(first)) = (all.last(), packets.first()) else {
            all = packets;
            continue;
        };
        let later = last.at + 60_000_000_000 - first.at;
        for packet in &mut packets {
            packet.at += later;
        }
        all.append(&mut packets);
    }
    let wrapped = |wrap: fn(&Packet) -> Packet| all.iter().map(wrap).collect::<Vec<_>>();
    let mut wrong = Differences::default();
    let mut variants: Vec<(String, Vec<u8>)> = LINKS
        .iter()
        .filter(|(link, _)| ["802.1Q", "SLL2", "VXLAN", "GRE"].contains(link))
        .map(|(link, wrap)| ((*link).to_owned(), pcapng(&wrapped(*wrap))))
        .collect();
    let plain = wrapped(LINKS[0].1);
    variants.push(("frames twice".to_owned(), pcapng(&doubled(&plain))));
    variants.push((
        "neighbours swapped".to_owned(),
        pcapng(&swapped(all.clone())),
    ));
    let file = pcapng(&plain);
    for args in [&["-F", "nsecpcap"][..], &["-F", "pcap"], &["-t", "-3600"]] {
        let changed = editcap(std::slice::from_ref(&file), args).remove(0);
        variants.push((format!("editcap {args:?}"), changed));
    }
    variants.push(("mergecap".to_owned(), merged(&plain)));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&file).unwrap();
    variants.push(("gzip".to_owned(), packed.finish().unwrap()));
    for (name, file) in variants {
        let got = by_report(&report(std::slice::from_ref(&file)));
        assert!(got.iter().all(|&count| count >= 50), "{name}: {got:?}");
        wrong.same(&json!(got), &json!(by_tshark(&file)), &name);
    }
    for snaplen in [96, 200] {
        let mut cut = wrapped(LINKS[0].1);
        for packet in &mut cut {
            packet.data.truncate(snaplen);
        }
        let file = pcapng(&cut);
        let got = by_report(&report(std::slice::from_ref(&file)))[0];
        let what = format!("{snaplen} bytes");
        wrong.same(&json!(got), &json!(by_tshark(&file)[0]), &what);
    }
    wrong.none();
}
