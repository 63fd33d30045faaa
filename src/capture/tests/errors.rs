//! Bad input: each a line that names the file and what to do.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use super::*;

/// The error of opening a file with these bytes.
fn opening(bytes: &[u8]) -> String {
    reader(bytes).err().expect("an error").to_string()
}

#[test]
fn files_that_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| match Reader::open(path, CaptureId(0)) {
        Ok(_) => panic!("{} opens", path.display()),
        Err(error) => {
            assert_eq!(error.path, path.to_string_lossy());
            error.problem
        }
    };
    let missing = folder.path().join("none.pcap");
    assert!(matches!(open(&missing), Problem::NotFound));
    assert!(matches!(open(folder.path()), Problem::Directory));
    let empty = folder.path().join("empty.pcap");
    fs::write(&empty, "").unwrap();
    assert!(matches!(open(&empty), Problem::Empty));
    let not_a_folder = empty.join("below.pcap");
    assert!(matches!(open(&not_a_folder), Problem::Open { .. }));
}

#[cfg(unix)]
#[test]
fn files_without_permission() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.pcap");
    fs::write(&path, pcap_of(&[b"data"])).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let error = match fs::read(&path) {
        // The superuser reads everything: the system's refusal has to be made up.
        Ok(_) => CaptureError::from_io("secret.pcap", io::ErrorKind::PermissionDenied.into()),
        Err(_) => Reader::open(&path, CaptureId(0)).err().unwrap(),
    };
    assert!(
        error
            .to_string()
            .contains("secret.pcap: permission denied; ")
    );
}

#[test]
fn files_that_are_no_captures() {
    assert!(
        opening(b"14:02:11.1 IP 10.0.0.1.80 > 10.0.0.2.4: Flags [S]\n")
            .starts_with("test: is text, not a capture; ")
    );
    assert!(
        opening(b"  {\"log\": {\"entries\": []}}")
            .starts_with("test: is JSON text, not a capture; ")
    );
    for log in [
        &b"[error] 12#12: *1 upstream timed out\n"[..],
        b"[2026-11-21 14:02:11] GET /ws\n",
        b"{ some = settings }\n",
    ] {
        assert!(opening(log).starts_with("test: is text, not a capture; "));
    }
    assert!(opening(b"[\n  {\"a\": 1}").starts_with("test: is JSON text, "));
    assert!(
        opening(b"<!DOCTYPE html><html>").starts_with("test: is HTML or XML text, not a capture; ")
    );
    assert!(opening("Zugriff verweigert für Müller".as_bytes()).contains("is text"));
    assert!(
        opening(b"snoop\0\0\0\0\0\0\x02\0\0\0\x04")
            .contains("is a Solaris snoop capture, not pcap or pcapng; convert it")
    );
    assert!(
        opening(b"PK\x03\x04\x14\0\0\0\x08\0")
            .contains("is a zip archive, not pcap or pcapng; unpack it first")
    );
    assert!(opening(b"BZh91AY&SY\0\0").contains("is a bzip2 file"));
    assert!(
        opening(&[0xde, 0xad, 0, 1, 2, 3, 4, 5, 6])
            .contains("it begins with de ad 00 01 02 03 04 05;")
    );
    let mut archive = vec![b'a'; 100];
    archive.resize(257, 0);
    archive.extend(b"ustar\x0000");
    assert!(opening(&archive).contains("is a tar archive"));
}

#[test]
fn every_message_is_one_line_with_the_path_made_printable() {
    let error = CaptureError::new("a\nb\u{1b}[2Jc.pcap", Problem::Empty).to_string();
    assert!(
        error.starts_with("a\\nb\\u{1b}[2Jc.pcap: is empty"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn headers_cut_off() {
    let file = pcap_of(&[]);
    assert_eq!(
        opening(&file[..20]),
        "test: cut off at byte offset 0: the file header that begins there lacks at least 4 bytes; \
         no frame was read before it; copy the file again, or stop the capture before copying it"
    );
    let section = section(Order::Little, &[]);
    let (frames, error) = drain(&mut reader(&section[..27]).unwrap());
    assert!(frames.is_empty());
    assert!(
        error
            .unwrap()
            .to_string()
            .contains("lacks at least 1 byte;")
    );
}

#[test]
fn records_cut_off() {
    let file = pcap_of(&[b"one", b"two", b"three"]);
    let (frames, error) = drain(&mut reader(&file[..file.len() - 2]).unwrap());
    assert_eq!(frames.len(), 2);
    assert_eq!(
        error.unwrap().to_string(),
        "test: cut off at byte offset 62: the record that begins there lacks at least 2 bytes; \
         the 2 frames before it were read; copy the file again, or stop the capture before copying it"
    );
}

#[test]
fn absurd_lengths() {
    let mut file = pcap_of(&[b"one"]);
    let at = file.len();
    file.extend(record(Order::Little, 0, 0, b""));
    file[at + 8..at + 12].copy_from_slice(&(17u32 << 20).to_le_bytes());
    file.extend([0; 1000]);
    let (frames, error) = drain(&mut reader(&file).unwrap());
    assert_eq!(frames.len(), 1);
    let text = error.unwrap().to_string();
    assert!(
        text.contains("damaged at byte offset 43: a record claims 17825792 captured bytes"),
        "{text}"
    );
}

#[test]
fn large_frames_are_no_absurd_ones() {
    let large = vec![7; 3 << 20];
    let frames = frames_of(&pcap_of(&[b"small", &large, b"small", &large]));
    assert_eq!(frames[3].data.len(), 3 << 20);
    assert_eq!(frames[2].data, b"small");
}

/// A source that fails after its bytes.
struct Failing(io::Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the disk is gone")),
            got => Ok(got),
        }
    }
}

#[test]
fn a_source_that_fails() {
    let source = Failing(io::Cursor::new(pcap_of(&[b"one"])));
    let mut reader = Reader::from_read(Box::new(source), "nfs.pcap", CaptureId(0)).unwrap();
    let (frames, error) = drain(&mut reader);
    assert_eq!(frames.len(), 1);
    assert_eq!(
        error.unwrap().to_string(),
        "nfs.pcap: cannot be read on at byte offset 43: the disk is gone; the 1 frame before it was read"
    );
}

/// A source that gives one byte per read.
struct Dripping(io::Cursor<Vec<u8>>);

impl Read for Dripping {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

#[test]
fn a_source_that_drips_gives_the_same_frames() {
    let file = pcap_of(&[b"one", &[1; 2000], b"", b"three"]);
    let source = Dripping(io::Cursor::new(file.clone()));
    let mut reader = Reader::from_read(Box::new(source), "pipe", CaptureId(0)).unwrap();
    assert_eq!(drain(&mut reader).0, frames_of(&file));
}

/// A source that panics when it is read after its bytes: a live pipe would block there.
struct Live(io::Cursor<Vec<u8>>);

impl Read for Live {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => panic!("would block"),
            got => Ok(got),
        }
    }
}

#[test]
fn a_live_pipe_gives_each_frame_when_it_is_complete() {
    let order = Order::Little;
    let mut next_generation = section(order, &[]);
    next_generation.extend(interface(order, 1, 0, &[]));
    for data in [&b"one"[..], b"two"] {
        next_generation.extend(enhanced(order, 0, 0, data, 3, &[]));
    }
    for file in [pcap_of(&[b"one", b"two"]), next_generation] {
        let reader = Reader::from_read(Box::new(Live(io::Cursor::new(file))), "-", CaptureId(0));
        let mut inputs = Inputs::from_readers(vec![reader.unwrap()]);
        for data in [b"one", b"two"] {
            assert_eq!(inputs.next_frame().unwrap().unwrap().data, data);
        }
    }
}

#[test]
fn zeros_are_no_records() {
    let mut file = pcap_of(&[b"one", b""]);
    let at = file.len();
    file.extend([0; 4096]);
    let (frames, error) = drain(&mut reader(&file).unwrap());
    assert_eq!(frames.len(), 2);
    let text = error.unwrap().to_string();
    let expected = format!("damaged at byte offset {at}: zeros where a record should begin");
    assert!(text.contains(&expected), "{text}");
}

/// `tcpdump -w - | gzip`, flushed, into a pipe: each frame is there before the next one is written.
#[test]
fn a_compressed_pipe_is_read_as_it_comes() {
    let (source, sink) = io::pipe().unwrap();
    let (seen, wait) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        let file = pcap_of(&[b"one", b"two", b"six"]);
        let mut out = flate2::write::GzEncoder::new(sink, flate2::Compression::fast());
        let (head, rest) = file.split_at(24);
        out.write_all(head).unwrap();
        for record in rest.chunks(19) {
            out.write_all(record).unwrap();
            out.flush().unwrap();
            wait.recv().unwrap();
        }
        out.finish().unwrap();
    });
    let mut reader = Reader::from_read(Box::new(source), "-", CaptureId(0)).unwrap();
    for data in [b"one", b"two", b"six"] {
        assert_eq!(reader.next_frame().unwrap().unwrap().data, data);
        seen.send(()).unwrap();
    }
    assert!(reader.next_frame().unwrap().is_none());
    writer.join().unwrap();
}
