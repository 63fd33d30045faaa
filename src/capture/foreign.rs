//! What a file is that is no capture: people attach what they have.

use super::error::Problem;

/// Bytes that tell what a file is, if it has so many: no capture or compressed file is shorter.
pub(super) const TELLING: usize = 16;

/// Bytes of a file that are looked at to see whether it is text.
const SAMPLE: usize = 512;

const CONVERT: &str = "convert it with editcap -F pcapng";
const UNPACK: &str = "unpack it first";

/// Files that begin with these bytes: what they are, what to do.
const KNOWN: &[(&[u8], &str, &str)] = &[
    (b"snoop\0\0\0", "a Solaris snoop capture", CONVERT),
    (b"GMBU", "a Microsoft Network Monitor capture", CONVERT),
    (b"RTSS", "a Microsoft Network Monitor capture", CONVERT),
    (b"TRSNIFF data", "a Sniffer capture", CONVERT),
    (b"XCP\0", "a NetXRay capture", CONVERT),
    (b"NetS", "a NetScaler trace", CONVERT),
    (b"PK\x03\x04", "a zip archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"BZh", "a bzip2 file", "decompress it first (bunzip2)"),
    (
        b"\x1f\x9d",
        "a compress (.Z) file",
        "decompress it first (uncompress)",
    ),
    (b"\x7fELF", "a program", "give the capture file itself"),
    (b"%PDF", "a PDF document", "give the capture file itself"),
];

/// Names the kind of file that begins with `start`, which is neither pcap nor pcapng.
pub(super) fn what_is(start: &[u8]) -> Problem {
    if let Some(&(_, what, advice)) = KNOWN.iter().find(|(magic, ..)| start.starts_with(magic)) {
        return Problem::OtherFormat { what, advice };
    }
    if start.get(257..262) == Some(b"ustar") {
        return Problem::OtherFormat {
            what: "a tar archive",
            advice: UNPACK,
        };
    }
    let sample = start.get(..SAMPLE).unwrap_or(start);
    let control =
        |byte: &&u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b);
    let ascii = sample.iter().filter(|byte| byte.is_ascii()).count();
    // Logs in other encodings than UTF-8 are text as well.
    let text = !sample.iter().any(|byte| control(&byte)) && ascii * 4 >= sample.len() * 3;
    if text {
        let mut marks = sample.iter().filter(|byte| !byte.is_ascii_whitespace());
        return Problem::Text {
            what: match (marks.next(), marks.next()) {
                // Logs and settings begin with brackets, too.
                (Some(b'{'), Some(b'"' | b'}')) | (Some(b'['), Some(b'{' | b'[' | b'"' | b']')) => {
                    "JSON text"
                }
                (Some(b'<'), _) => "HTML or XML text",
                _ => "text",
            },
        };
    }
    Problem::Unknown {
        start: start.get(..8).unwrap_or(start).to_vec(),
    }
}
