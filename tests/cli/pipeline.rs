//! The whole pipeline inside the test: captures in memory become reports, without a process for each.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::OnceLock;

use hop101::capture::{CaptureId, CaptureInfo, Frame, FrameNo, FrameRef, Inputs, LinkType, Reader};
use hop101::capture::{Timestamp, Writer};
use hop101::engine::{Engine, Options, Selection};
use hop101::hop::Clocks;
use hop101::report::{Collector, Keep, Redact};
use serde_json::Value;

use crate::cases::Case;
use crate::samples::Sample;
use crate::support::sample;

/// A frame that owns its bytes, to be changed and written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) at: i64,
    pub(crate) link: LinkType,
    pub(crate) wire_len: u32,
    pub(crate) data: Vec<u8>,
}

impl Packet {
    /// A whole one.
    pub(crate) fn new(at: i64, link: LinkType, data: Vec<u8>) -> Self {
        let wire_len = data.len() as u32;
        Self {
            at,
            link,
            wire_len,
            data,
        }
    }

    /// It as a frame of the first capture.
    fn frame(&self, number: u64) -> Frame<'_> {
        Frame {
            id: FrameRef::new(
                Timestamp::from_nanos(self.at),
                CaptureId(0),
                FrameNo(number),
            ),
            interface: 0,
            link: self.link,
            wire_len: self.wire_len,
            data: &self.data,
        }
    }
}

/// What came of reading.
pub(crate) struct Outcome {
    pub(crate) report: Value,
    /// One line for each input that could not be read to its end.
    pub(crate) errors: Vec<String>,
}

/// The frames of a file.
pub(crate) fn packets(file: &[u8]) -> Vec<Packet> {
    let mut reader = reader(file, 0).unwrap();
    let mut packets = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        packets.push(Packet {
            at: frame.id.at.nanos(),
            link: frame.link,
            wire_len: frame.wire_len,
            data: frame.data.to_vec(),
        });
    }
    packets
}

/// The frames of a file in `samples/`.
pub(crate) fn packets_of(name: &str) -> Vec<Packet> {
    packets(&fs::read(sample(name)).unwrap())
}

/// A file of these frames.
pub(crate) fn pcapng(packets: &[Packet]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), "test").unwrap();
    for (number, packet) in (1..).zip(packets) {
        writer.write(&packet.frame(number), None).unwrap();
    }
    writer.finish().unwrap()
}

fn reader(file: &[u8], id: u16) -> Result<Reader, hop101::capture::CaptureError> {
    let name = format!("{id}.pcapng");
    Reader::from_read(Box::new(Cursor::new(file.to_vec())), name, CaptureId(id))
}

/// What live capture makes of packets that come at the times of `really` and say the times that they have.
pub(crate) fn watch(really: &[Packet], packets: &[Packet]) -> Value {
    let mut engine = Engine::new(Options::new(Selection::default(), Clocks::Same, None)).watched();
    engine.keys(keys());
    let mut collector = Collector::new(Keep::default(), Redact::None);
    let mut info = CaptureInfo::unread(CaptureId(0), "any");
    let mut now = really[0].at - 1_000_000_000;
    for ((number, packet), real) in (1..).zip(packets).zip(really) {
        // A moment late, as the command does it, but only once a second.
        while now + 1_000_000_000 <= real.at && number > 1 {
            now += 1_000_000_000;
            engine.tick(Timestamp::from_nanos(now - 200_000_000), &mut collector);
            engine.decided();
        }
        info.frames = number;
        engine.frame(&packet.frame(number), &mut collector);
    }
    engine.finish(std::slice::from_ref(&info), &mut collector);
    collector.counted(&engine.tcp_stats());
    let report = collector.finish(&[info], BTreeMap::new());
    serde_json::to_value(report).unwrap()
}

/// The keys of all samples and cases, one key log after the other: a session is told by its random, so they do no harm
/// elsewhere. Files that are written anew lose those that they brought along.
pub(crate) fn keys() -> &'static [u8] {
    static KEYS: OnceLock<Vec<u8>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut all = Vec::new();
        for case in Case::with_keys() {
            for log in &case.keys {
                all.extend(fs::read(log).unwrap());
            }
            for file in &case.files {
                all.extend(keys_in(file));
            }
        }
        for file in Sample::all().iter().flat_map(|sample| &sample.files) {
            all.extend(keys_in(file));
        }
        all
    })
}

/// The key logs inside a capture.
pub(crate) fn keys_in(file: &Path) -> Vec<u8> {
    let mut inputs = Inputs::open(&[file]);
    while let Ok(Some(_)) = inputs.next_frame() {}
    let secrets = inputs.take_secrets().into_iter();
    secrets.flat_map(|secrets| secrets.data).collect()
}

/// Reads files as one story.
pub(crate) fn read(files: &[&[u8]]) -> Outcome {
    let mut errors = Vec::new();
    let mut readers = Vec::new();
    for file in files {
        match reader(file, readers.len() as u16) {
            Ok(reader) => readers.push(reader),
            Err(error) => errors.push(error.to_string()),
        }
    }
    let clocks = if files.len() > 1 {
        Clocks::MayDiffer
    } else {
        Clocks::Same
    };
    let mut engine = Engine::new(Options::new(Selection::default(), clocks, None));
    engine.keys(keys());
    let mut collector = Collector::new(Keep::default(), Redact::None);
    let mut inputs = Inputs::from_readers(readers);
    loop {
        match inputs.next_frame() {
            Ok(Some(frame)) => engine.frame(&frame, &mut collector),
            Ok(None) => break,
            Err(error) => errors.push(error.to_string()),
        }
    }
    let captures: Vec<CaptureInfo> = inputs.infos().cloned().collect();
    engine.finish(&captures, &mut collector);
    collector.counted(&engine.tcp_stats());
    collector.named(inputs.names());
    let report = collector.finish(&captures, BTreeMap::new());
    Outcome {
        report: serde_json::to_value(report).unwrap(),
        errors,
    }
}
