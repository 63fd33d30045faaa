#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a failure should be loud"
)]

use super::hpack::Blocks;
use super::{Answer, Sight, huffman};
use crate::capture::{CaptureId, FrameNo, FrameRef, Timestamp};
use crate::tcp::{Chunk, Direction, Gap, GapCause, Interest};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let pairs = digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn fields(blocks: &mut Blocks, block: &[u8]) -> Option<Vec<(String, String)>> {
    let mut out = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    blocks.decode(block, |name, value| out.push((text(name), text(value))))?;
    Some(out)
}

fn frame(number: u64) -> FrameRef {
    FrameRef::new(Timestamp::from_nanos(1), CaptureId(0), FrameNo(number))
}

fn give(sight: &mut Sight, direction: Direction, data: &[u8], number: u64) -> Interest {
    sight.bytes(&Chunk {
        direction,
        position: 0,
        data,
        frame: frame(number),
    })
}

fn headers(block: &[u8], stream: u8) -> Vec<u8> {
    let [.., a, b, c] = block.len().to_be_bytes();
    let mut out = vec![a, b, c, 1, 4, 0, 0, 0, stream];
    out.extend_from_slice(block);
    out
}

/// An extended CONNECT as Python's `hpack` writes it: indexed, Huffman-coded, remembered.
const CONNECT: &str = "4287bdab4e9c17b7ff4087b95d8749c87a3f87f058d072752a7f";

#[test]
fn what_a_server_begins_with() {
    for (bytes, begins) in [
        // nginx 1.22.1 on `listen 80 http2`, asked in HTTP/1.1.
        (&b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80"[..], true),
        (b"\0\0\0\x04\0\0\0\0\0", true),
        (b"\0\0\0\x04\x01\0\0\0\0", false),
        (b"\0\0\x05\x04\0\0\0\0\0", false),
        (b"\0\0\x08\x06\0\0\0\0\0", false),
        (b"\0\0\x06\x04\0\0\0\0\x01", false),
        (b"\0\0\x06\x04", false),
        (b"HTTP/1.1 400 Bad Request", false),
        (b"", false),
    ] {
        assert_eq!(super::is_server_preface(bytes), begins, "{bytes:02x?}");
    }
}

#[test]
fn the_examples_of_the_standard() {
    // RFC 7541 C.4: three requests on one connection, with Huffman coding and a growing table.
    let mut blocks = Blocks::default();
    let first = fields(&mut blocks, &hex("828684418cf1e3c2e5f23a6ba0ab90f4ff")).unwrap();
    assert_eq!(
        first[3],
        (":authority".to_owned(), "www.example.com".to_owned())
    );
    let second = fields(&mut blocks, &hex("828684be5886a8eb10649cbf")).unwrap();
    assert_eq!(second[3].1, "www.example.com");
    assert_eq!(
        second[4],
        ("cache-control".to_owned(), "no-cache".to_owned())
    );
    let third = fields(
        &mut blocks,
        &hex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"),
    )
    .unwrap();
    assert_eq!(
        third[4],
        ("custom-key".to_owned(), "custom-value".to_owned())
    );
    // RFC 7541 C.5: entries are evicted from a table of 256 bytes.
    let mut blocks = Blocks::default();
    let resize = "3fe101";
    let first = "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54\
                 6e1768747470733a2f2f7777772e6578616d706c652e636f6d";
    assert_eq!(
        fields(&mut blocks, &hex(&format!("{resize}{first}"))).unwrap()[0].1,
        "302"
    );
    let second = fields(&mut blocks, &hex("4803333037c1c0bf")).unwrap();
    assert_eq!(second[0], (":status".to_owned(), "307".to_owned()));
    assert_eq!(second[3].1, "https://www.example.com");
}

#[test]
fn broken_blocks_are_refused() {
    for block in [
        "80",
        "be",
        "ff",
        "ffffffffff7f",
        "418c",
        "3fe1ff7f",
        "40",
        "4181",
        "00016184ffffffff",
    ] {
        assert_eq!(fields(&mut Blocks::default(), &hex(block)), None, "{block}");
    }
    assert_eq!(
        huffman::decode(&hex("ffffffff"), 99),
        None,
        "the end symbol"
    );
    assert_eq!(huffman::decode(&hex("00"), 99), None, "padding of zeros");
    assert_eq!(
        huffman::decode(&hex("f1e3c2e5f23a6ba0ab90f4ff"), 3),
        None,
        "too long"
    );
}

/// A name is copied for every field that is remembered under it, and a byte of a block can name it.
#[test]
fn a_long_name_is_given_up_on() {
    let named = |length: [u8; 3], name: usize| {
        let mut block = vec![0x40];
        block.extend_from_slice(&length);
        block.resize(block.len() + name, b'n');
        block.push(0);
        block
    };
    let usual = named([0x7f, 0x81, 0x07], 1024);
    assert_eq!(
        fields(&mut Blocks::default(), &usual).unwrap()[0].0.len(),
        1024
    );
    let long = named([0x7f, 0x82, 0x07], 1025);
    assert_eq!(fields(&mut Blocks::default(), &long), None);
}

#[test]
fn an_extended_connect_is_refused_in_any_segmentation() {
    let request = [
        PREFACE,
        &hex("000000040000000000"),
        &headers(&hex(CONNECT), 1),
    ]
    .concat();
    let answer = [hex("000006040000000000000300000080"), headers(&[0x8c], 1)].concat();
    for size in 1..request.len() {
        let mut sight = Sight::new();
        for piece in request.chunks(size) {
            assert_eq!(
                give(&mut sight, Direction::ToServer, piece, 4),
                Interest::Bytes
            );
        }
        for piece in answer.chunks(size) {
            give(&mut sight, Direction::ToClient, piece, 6);
        }
        let [seen] = &sight.facts().requests[..] else {
            panic!("{:?}", sight.facts());
        };
        assert!(seen.extended && seen.connection.is_none());
        assert_eq!(seen.answer, Some((frame(6), Answer::Status(400))));
        assert!(!sight.facts().connect_protocol);
    }
}

#[test]
fn padding_priority_and_continuations_are_read() {
    let block = hex(CONNECT);
    let (first, rest) = block.split_at(7);
    let mut bytes = PREFACE.to_vec();
    let length = u8::try_from(first.len() + 6 + 3).unwrap();
    // PADDED and PRIORITY, without END_HEADERS.
    bytes.extend([0, 0, length, 1, 0x28, 0, 0, 0, 5, 3, 0, 0, 0, 0, 16]);
    bytes.extend(first);
    bytes.extend([0; 3]);
    bytes.extend([0, 0, u8::try_from(rest.len()).unwrap(), 9, 4, 0, 0, 0, 5]);
    bytes.extend(rest);
    let mut sight = Sight::new();
    give(&mut sight, Direction::ToServer, &bytes, 4);
    assert!(sight.facts().requests[0].extended);
    // The server offers extended CONNECT and resets the stream.
    give(
        &mut sight,
        Direction::ToClient,
        &hex("000006040000000000000800000001"),
        5,
    );
    give(
        &mut sight,
        Direction::ToClient,
        &hex("000004030000000005 00000001"),
        6,
    );
    assert!(sight.facts().connect_protocol);
    assert_eq!(
        sight.facts().requests[0].answer,
        Some((frame(6), Answer::Reset(1)))
    );
}

#[test]
fn data_is_skipped_and_holes_end_it() {
    let gap = |len| Gap {
        direction: Direction::ToServer,
        position: 0,
        len,
        cause: GapCause::NotCaptured,
        frame: frame(9),
    };
    let mut sight = Sight::new();
    let data = [PREFACE, &[0, 0x40, 0, 0, 0, 0, 0, 0, 1], &[7; 1000]].concat();
    give(&mut sight, Direction::ToServer, &data, 4);
    assert_eq!(sight.gap(&gap(0x4000 - 1000)), Interest::Bytes);
    give(
        &mut sight,
        Direction::ToServer,
        &headers(&hex(CONNECT), 3),
        5,
    );
    assert_eq!(sight.facts().requests.len(), 1);
    assert_eq!(sight.gap(&gap(1)), Interest::Counters);
}

#[test]
fn ordinary_traffic_is_given_up() {
    let mut sight = Sight::new();
    give(&mut sight, Direction::ToServer, PREFACE, 1);
    let data = [&[0, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..], &vec![0; 0xffff]].concat();
    let mut last = Interest::Bytes;
    for _ in 0..5 {
        last = give(&mut sight, Direction::ToServer, &data, 2);
    }
    assert_eq!(last, Interest::Counters);
}

proptest::proptest! {
    #[test]
    fn any_bytes_do_no_harm(bytes: Vec<u8>, server: Vec<u8>) {
        let mut sight = Sight::new();
        give(&mut sight, Direction::ToServer, &[PREFACE, &bytes].concat(), 1);
        give(&mut sight, Direction::ToClient, &server, 2);
        let _ = fields_lossy(&bytes);
    }
}

fn fields_lossy(block: &[u8]) -> Option<()> {
    Blocks::default().decode(block, |_, _| {})
}
