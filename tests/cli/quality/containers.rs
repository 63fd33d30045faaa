//! Compression, file formats and Wireshark's own tools around the same frames.

use super::*;
use crate::support::have;

/// A container by its name.
type Packer = (&'static str, fn(&[u8]) -> Vec<u8>);

/// Whatever a file of frames may come in.
const PACKERS: [Packer; 6] = [
    ("gzip", gzip),
    // As `cat a.gz b.gz` and parallel compressors make.
    ("two gzip members", |bytes| {
        let (a, b) = bytes.split_at(bytes.len() / 2);
        [gzip(a), gzip(b)].concat()
    }),
    ("zstd", |bytes| zstd::encode_all(bytes, 1).unwrap()),
    ("lz4", |bytes| {
        let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }),
    ("xz", |bytes| {
        let mut out = liblzma::write::XzEncoder::new(Vec::new(), 0);
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }),
    ("one interface of pcapng", |bytes| pcapng(&packets(bytes))),
];

#[test]
fn compression_and_containers_change_nothing() {
    let mut wrong = Differences::default();
    for (name, files) in samples() {
        let wanted = unwrapped(report(&files));
        for (pack, packed) in PACKERS {
            let files: Vec<Vec<u8>> = files.iter().map(|file| packed(file)).collect();
            wrong.same(
                &unwrapped(report(&files)),
                &wanted,
                &format!("{name} in {pack}"),
            );
        }
    }
    wrong.none();
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
