//! Several inputs merged.

use std::fs;
use std::path::PathBuf;

use super::*;

/// A pcap with a frame at each of these seconds; its bytes tell the file and the place in it.
fn at(seconds: &[u32], file: u8) -> Vec<u8> {
    let mut bytes = pcap_header(Order::Little, 0xa1b2_c3d4, 1);
    for (place, second) in (0..).zip(seconds) {
        bytes.extend(record(Order::Little, *second, 0, &[file, place]));
    }
    bytes
}

fn drain_all(inputs: &mut Inputs) -> (Vec<(u16, u64, i64)>, Vec<String>) {
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    loop {
        match inputs.next_frame() {
            Ok(Some(frame)) => {
                assert_eq!(
                    frame.data,
                    [frame.id.capture().0 as u8, frame.id.number().0 as u8 - 1]
                );
                let second = frame.id.at.nanos() / 1_000_000_000;
                frames.push((frame.id.capture().0, frame.id.number().0, second));
            }
            Ok(None) => {
                assert!(inputs.next_frame().unwrap().is_none());
                return (frames, errors);
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
}

fn from(files: Vec<Vec<u8>>) -> Inputs {
    let readers = files.into_iter().enumerate().map(|(i, bytes)| {
        let source = Box::new(std::io::Cursor::new(bytes));
        Reader::from_read(source, format!("{i}.pcap"), CaptureId(i as u16)).unwrap()
    });
    Inputs::from_readers(readers.collect())
}

#[test]
fn merge_by_time_and_then_by_place() {
    let mut inputs = from(vec![
        at(&[1, 4, 4, 9], 0),
        at(&[2, 4, 5], 1),
        at(&[], 2),
        at(&[0, 4], 3),
    ]);
    let (frames, errors) = drain_all(&mut inputs);
    assert!(errors.is_empty());
    assert_eq!(
        frames,
        [
            (3, 1, 0),
            (0, 1, 1),
            (1, 1, 2),
            (0, 2, 4),
            (0, 3, 4),
            (1, 2, 4),
            (3, 2, 4),
            (1, 3, 5),
            (0, 4, 9)
        ]
    );
    assert_eq!(
        inputs.infos().map(|info| info.frames).collect::<Vec<_>>(),
        [4, 3, 0, 2]
    );
}

#[test]
fn never_change_the_order_of_a_file() {
    let mut inputs = from(vec![at(&[5, 1, 7], 0), at(&[6, 6], 1)]);
    let (frames, _) = drain_all(&mut inputs);
    assert_eq!(
        frames,
        [(0, 1, 5), (0, 2, 1), (1, 1, 6), (1, 2, 6), (0, 3, 7)]
    );
}

#[test]
fn go_on_when_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut cut = at(&[3, 8], 1);
    cut.pop();
    fs::write(path("cut.pcap"), cut).unwrap();
    fs::write(path("sound.pcap"), at(&[1, 9], 3)).unwrap();
    fs::write(path("notes.txt"), "no capture").unwrap();
    let paths = ["missing.pcap", "cut.pcap", "notes.txt", "sound.pcap"].map(path);
    let mut inputs = Inputs::open(&paths);
    let (frames, errors) = drain_all(&mut inputs);
    assert_eq!(frames, [(3, 1, 1), (1, 1, 3), (3, 2, 9)]);
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[0].contains("missing.pcap: no such file"));
    assert!(errors[1].contains("notes.txt: is text"));
    assert!(errors[2].contains("cut.pcap: cut off at byte offset 42"));
    let damage: Vec<_> = inputs.infos().map(|info| info.damage.is_some()).collect();
    assert_eq!(damage, [true, true, true, false]);
    assert_eq!(
        inputs.infos().map(|info| info.frames).collect::<Vec<_>>(),
        [0, 1, 0, 2]
    );
}

#[test]
fn alone_and_failing() {
    let mut inputs = Inputs::open(&["/nonexistent/x.pcap"]);
    assert!(inputs.next_frame().is_err());
    assert!(inputs.next_frame().unwrap().is_none());
    assert!(inputs.infos().next().unwrap().damage.is_some());
    let none: [&str; 0] = [];
    assert!(Inputs::open(&none).next_frame().unwrap().is_none());
}

/// More files than stay open, named in the wrong order.
#[test]
fn rotated_sets_come_in_the_order_of_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let count = 100u32;
    let paths: Vec<PathBuf> = (0..count)
        .map(|i| {
            let path = folder.path().join(format!("{i}.pcap"));
            let start = (count - i) * 10;
            fs::write(&path, at(&[start, start + 1, start + 9], i as u8)).unwrap();
            path
        })
        .collect();
    let mut inputs = Inputs::open(&paths);
    let size = u64::from(count) * (24 + 3 * 18);
    assert_eq!(inputs.progress().size, Some(size));
    let (frames, errors) = drain_all(&mut inputs);
    assert_eq!(
        inputs.progress(),
        Progress {
            frames: 300,
            read: size,
            size: Some(size)
        }
    );
    assert!(errors.is_empty());
    assert_eq!(frames.len(), 300);
    assert!(frames.is_sorted_by_key(|&(_, _, second)| second));
    assert!(
        inputs
            .infos()
            .all(|info| info.frames == 3 && info.damage.is_none())
    );
}

#[test]
fn names_and_secrets_of_all() {
    let file = |name: &[u8], log: &[u8]| {
        let order = Order::Big;
        let names = Bytes(Vec::new(), order).u16(1).u16(4 + name.len() as u16);
        let names = names.padded(&[&[192, 0, 2, 1], name].concat()).u32(0);
        let secrets = Bytes(Vec::new(), order)
            .u32(1)
            .u32(log.len() as u32)
            .padded(log);
        [
            section(order, &[]),
            block(order, 4, &names.0),
            block(order, 10, &secrets.0),
        ]
        .concat()
    };
    let mut inputs = from(vec![file(b"first\0", b"one"), file(b"second\0", b"two")]);
    assert!(inputs.next_frame().unwrap().is_none());
    assert_eq!(inputs.names().into_values().collect::<Vec<_>>(), ["first"]);
    let secrets = inputs.take_secrets();
    assert_eq!(
        secrets
            .iter()
            .map(|s| s.data.as_slice())
            .collect::<Vec<_>>(),
        [b"one", b"two"]
    );
    assert!(inputs.take_secrets().is_empty());
}
