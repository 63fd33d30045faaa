//! What tshark counts in the same, all samples after each other.

use super::links::LINKS;
use super::order::{doubled, swapped};
use super::*;
use crate::pipeline::keys;
use crate::support::have;

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
    let log = folder.path().join("keys.log");
    fs::write(&log, keys()).unwrap();
    let with_keys = format!("tls.keylog_file:{}", log.display());
    let output = Command::new("tshark")
        .args(["-n", "-o", "tcp.reassemble_out_of_order:TRUE"])
        .args(["-o", &with_keys])
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

/// Samples of which the two programs count different things, for reasons that `tshark.rs` gives; and one whose backend
/// speaks TLS at a port that tshark is told is HTTP.
const COUNTED_OTHERWISE: [&str; 3] = [
    "healthy-auth-request.pcapng",
    "truncated.pcapng",
    "wss-both-hops.pcapng",
];

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
    variants.push(("gzip".to_owned(), gzip(&file)));
    for (name, file) in variants {
        let got = by_report(&report(std::slice::from_ref(&file)));
        assert!(got.iter().all(|&count| count >= 50), "{name}: {got:?}");
        wrong.same(&json!(got), &json!(by_tshark(&file)), &name);
    }
    for snaplen in [96, 200] {
        let file = pcapng(&cut_at(snaplen)(plain.clone()));
        let got = by_report(&report(std::slice::from_ref(&file)))[0];
        let what = format!("{snaplen} bytes");
        wrong.same(&json!(got), &json!(by_tshark(&file)[0]), &what);
    }
    wrong.none();
}
