//! gzip, zstd, xz and lz4.

#[cfg(feature = "compress")]
use std::io::Read;
use std::io::Write;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[cfg(feature = "compress")]
fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

#[cfg(feature = "compress")]
fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    liblzma::read::XzEncoder::new(bytes, 6)
        .read_to_end(&mut out)
        .unwrap();
    out
}

#[cfg(feature = "compress")]
fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut out = lz4_flex::frame::FrameEncoder::with_frame_info(
        lz4_flex::frame::FrameInfo::new()
            .block_size(lz4_flex::frame::BlockSize::Max64KB)
            .content_checksum(true),
        Vec::new(),
    );
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

type Compressor = fn(&[u8]) -> Vec<u8>;

fn all() -> Vec<(&'static str, Compressor)> {
    vec![
        ("gzip", gzip as Compressor),
        #[cfg(feature = "compress")]
        ("zstd", zstd),
        #[cfg(feature = "compress")]
        ("xz", xz),
        #[cfg(feature = "compress")]
        ("lz4", lz4),
    ]
}

/// A file of frames that do not compress well, so that a cut stream still has some.
fn file() -> (Vec<u8>, Vec<Owned>) {
    let mut state = 1u32;
    let frames: Vec<Vec<u8>> = (0..300)
        .map(|_| {
            (0..1000)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect()
        })
        .collect();
    let file = pcap_of(&frames.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let frames = frames_of(&file);
    (file, frames)
}

#[test]
fn are_told_by_their_magic_number() {
    let (file, frames) = file();
    for (name, compress) in all() {
        let mut reader = reader(&compress(&file)).unwrap();
        let (read, error) = drain(&mut reader);
        assert!(error.is_none(), "{name}: {error:?}");
        assert!(read == frames, "{name}");
        assert_eq!(reader.info().compression, Some(name));
        assert_eq!(reader.info().format, Some("pcap"));
    }
}

#[test]
fn may_be_several_streams_one_after_another() {
    let (file, frames) = file();
    for (name, compress) in all() {
        let (first, second) = file.split_at(100_001);
        let joined = [compress(first), compress(second), compress(b"")].concat();
        assert!(frames_of(&joined) == frames, "{name}");
    }
}

#[test]
fn cut_off_give_what_comes_before() {
    let (file, frames) = file();
    for (name, compress) in all() {
        let whole = compress(&file);
        for share in [2, 3, 10] {
            let cut = &whole[..whole.len() * (share - 1) / share];
            let (read, error) = drain(&mut reader(cut).unwrap());
            let text = error.expect(name).to_string();
            let expected = format!("the {name} stream is cut off or damaged after");
            assert!(text.contains(&expected), "{text}");
            assert!(frames.starts_with(&read), "{name}");
            assert!(
                read.len() * 3 > frames.len(),
                "{name}: {} frames",
                read.len()
            );
        }
        // Even the last byte counts: it may belong to the checksum only.
        let (read, error) = drain(&mut reader(&whole[..whole.len() - 1]).unwrap());
        assert!(error.is_some(), "{name}");
        assert!(frames.starts_with(&read));
    }
}

#[test]
fn flipped_bytes_are_noticed_or_harmless() {
    let (file, frames) = file();
    for (name, compress) in all() {
        let whole = compress(&file);
        for at in (0..whole.len()).step_by(whole.len() / 10) {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            if let Ok(mut reader) = reader(&bad) {
                let (read, error) = drain(&mut reader);
                assert!(
                    error.is_some() || read.len() == frames.len(),
                    "{name} at {at}"
                );
            }
        }
    }
}

#[test]
fn empty_inside_is_empty() {
    for (name, compress) in all() {
        let error = reader(&compress(b"")).err().expect(name);
        assert!(matches!(error.problem, Problem::Empty), "{name}: {error}");
    }
}

#[cfg(not(feature = "compress"))]
#[test]
fn without_the_feature_the_error_says_so() {
    let error = reader(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "test: reading zstd captures needs a build with the feature `compress`; decompress the file first"
    );
}

/// A block of 2 GiB that nobody knows, made of repeated frames of zeros.
#[cfg(feature = "compress")]
#[test]
fn bombs_are_stopped() {
    let order = Order::Little;
    let mut start = section(order, &[]);
    start.extend(interface(order, 1, 0, &[]));
    start.extend(enhanced(order, 0, 0, b"data", 4, &[]));
    start.extend(Bytes(Vec::new(), order).u32(0x55).u32(2 << 30).0);
    let zeros = zstd(&vec![0; 32 << 20]);
    assert!(zeros.len() * 1000 < 32 << 20);
    let bomb = [zstd(&start), zeros.repeat(40)].concat();
    let (frames, error) = drain(&mut reader(&bomb).unwrap());
    assert_eq!(frames.len(), 1);
    let error = error.unwrap();
    assert!(matches!(error.problem, Problem::Inflation { offset, .. } if offset >= 1 << 30));
    let text = error.to_string();
    assert!(
        text.contains("the zstd stream inflates more than 250 to 1"),
        "{text}"
    );
}

/// gzip(1) ignores zeros behind a member; tapes and block devices add them. Anything else there is damage.
#[test]
fn zeros_behind_gzip_are_padding() {
    let (file, frames) = file();
    let (first, second) = file.split_at(100_000);
    let members = |between: usize, behind: usize| {
        let mut joined = gzip(first);
        joined.resize(joined.len() + between, 0);
        joined.extend(gzip(second));
        joined.resize(joined.len() + behind, 0);
        joined
    };
    for (between, behind) in [(0, 1), (0, 9_999), (0, 300_000), (512, 0), (300_000, 512)] {
        let (read, error) = drain(&mut reader(&members(between, behind)).unwrap());
        assert!(error.is_none(), "{between} {behind}: {error:?}");
        assert!(read == frames, "{between} {behind}");
    }
    for behind in [&b"garbage that is no gzip"[..], b"\0\0\x1f\x8b", b"\x1f"] {
        let mut spoiled = gzip(&file);
        spoiled.extend(behind);
        let (read, error) = drain(&mut reader(&spoiled).unwrap());
        assert!(error.is_some(), "{behind:?}");
        assert!(read == frames, "{behind:?}");
    }
}
