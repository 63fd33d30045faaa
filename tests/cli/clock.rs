//! The clock of the capturing host is set while it captures: what waits goes on waiting, and the verdicts stay.

use std::fs;

use serde_json::Value;

use crate::pipeline::{Packet, packets, pcapng, read, watch};
use crate::samples::Sample;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

const NOTHING: [String; 0] = [];

/// All samples of one file that are read without `--port` and the like, one after the other, three minutes apart.
fn stories() -> Vec<Vec<Packet>> {
    let mut begin = None;
    let single = Sample::all()
        .into_iter()
        .filter(|sample| sample.files.len() == 1);
    single
        .map(|sample| {
            let mut story = packets(&fs::read(&sample.files[0]).unwrap());
            let first = story[0].at;
            let later = begin.map_or(0, |begin: i64| begin - first);
            for packet in &mut story {
                packet.at += later;
            }
            begin = story.iter().map(|packet| packet.at + 180 * SECOND).max();
            story
        })
        .collect()
}

/// Verdict, cause and hops of each handshake, by its place in the capture, and how many connections there are.
fn told(report: &Value) -> Vec<String> {
    let mut handshakes: Vec<(u64, String)> = report["handshakes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let frame = one["hops"][0]["request"]["frame"].as_u64();
            let hops = one["hops"].as_array().unwrap().len();
            let told = format!("#{frame:?} {} {} {hops}", one["verdict"], one["cause"]);
            (frame.unwrap_or_default(), told)
        })
        .collect();
    handshakes.sort();
    let mut told: Vec<String> = handshakes.into_iter().map(|(_, told)| told).collect();
    told.push(report["summary"]["connections"].to_string());
    told
}

/// What the second tells otherwise.
fn differences(usual: &[String], other: &[String]) -> Vec<String> {
    let gone = usual.iter().filter(|one| !other.contains(one));
    let new = other.iter().filter(|one| !usual.contains(one));
    gone.map(|one| format!("- {one}"))
        .chain(new.map(|one| format!("+ {one}")))
        .collect()
}

fn limits(report: &Value) -> Vec<&str> {
    let limits = report["limits"].as_array().unwrap();
    limits
        .iter()
        .filter(|limit| limit["kind"] == "clock")
        .map(|limit| limit["detail"].as_str().unwrap())
        .collect()
}

fn set(packets: &[Packet], from: usize, by: i64) -> Vec<Packet> {
    let mut packets = packets.to_vec();
    for packet in &mut packets[from..] {
        packet.at += by;
    }
    packets
}

#[test]
fn between_two_stories_a_clock_that_is_set_changes_no_verdict() {
    let stories = stories();
    let all: Vec<Packet> = stories.concat();
    let usual = told(&read(&[&pcapng(&all)]).report);
    let half: usize = stories[..stories.len() / 2].iter().map(Vec::len).sum();
    for by in [-HOUR, -DAY, HOUR, DAY] {
        let changed = set(&all, half, by);
        let report = read(&[&pcapng(&changed)]).report;
        assert_eq!(
            differences(&usual, &told(&report)),
            NOTHING,
            "a file, by {by} ns"
        );
        assert_eq!(limits(&report).len(), usize::from(by < 0), "by {by} ns");
        let report = watch(&all, &changed);
        assert_eq!(
            differences(&usual, &told(&report)),
            NOTHING,
            "live, by {by} ns"
        );
    }
}

#[test]
fn within_a_story_it_neither_ends_a_session_nor_splits_it() {
    for name in [
        "healthy.pcapng",
        "closed-with-error.pcapng",
        "upgrade-not-forwarded.pcapng",
    ] {
        let story = crate::pipeline::packets_of(name);
        // The usual traffic of a proxy goes on: a clock is not set in silence.
        let others = stories()
            .into_iter()
            .filter(|other| other[0].data != story[0].data);
        let mut more = others.collect::<Vec<_>>().concat();
        let later = story[story.len() - 1].at + SECOND - more[0].at;
        for packet in &mut more {
            packet.at += later;
        }
        let mut all = story.clone();
        all.extend(more);
        let report = read(&[&pcapng(&all)]).report;
        let usual = told(&report);
        // What is on its way between the hops at that very moment may lose its other hop: milliseconds.
        let frame = |head: &str| report["handshakes"][0]["hops"][0][head]["frame"].as_u64();
        let on_its_way = frame("request").unwrap()..frame("response").unwrap();
        for from in 1..story.len() {
            if on_its_way.contains(&(from as u64)) {
                continue;
            }
            for by in [-HOUR, DAY] {
                let changed = set(&all, from, by);
                let report = watch(&all, &changed);
                assert_eq!(
                    differences(&usual, &told(&report)),
                    NOTHING,
                    "{name}, frame {from}, live, by {by} ns"
                );
                if by < 0 {
                    let report = read(&[&pcapng(&changed)]).report;
                    assert_eq!(
                        differences(&usual, &told(&report)),
                        NOTHING,
                        "{name}, frame {from}, by {by} ns"
                    );
                }
            }
        }
    }
}
