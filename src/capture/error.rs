//! What can be wrong with an input, said in one line: the file, the place, what to do.

use std::fmt;
use std::io;

/// An input that cannot be read, or not to its end.
///
/// Displayed as one line: `case.pcap: cut off at byte offset 7984: ...`. The part after the path is [`Problem`], which is
/// therefore not told as a source again.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", Printable(path))]
#[non_exhaustive]
pub struct CaptureError {
    /// The input as it was named; `-` for standard input.
    pub path: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl CaptureError {
    pub(crate) fn new(path: impl Into<String>, problem: Problem) -> Self {
        Self {
            path: path.into(),
            problem,
        }
    }

    /// Of an operation on the file as a whole that the system refused.
    pub(crate) fn from_io(path: impl Into<String>, error: io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => Problem::NotFound,
            io::ErrorKind::PermissionDenied => Problem::PermissionDenied,
            io::ErrorKind::IsADirectory => Problem::Directory,
            _ => Problem::Open { source: error },
        };
        Self::new(path, problem)
    }
}

/// What is wrong with an input. Byte offsets count from the start of the file, in a compressed one from the start of
/// the decompressed data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No such file.
    #[error("no such file; check the path")]
    NotFound,
    /// A directory.
    #[error(
        "is a directory; name the capture files in it, for example with a glob such as DIR/*.pcapng"
    )]
    Directory,
    /// The system does not let us read it.
    #[error(
        "permission denied; captures made by root are often readable by root only: chmod or copy the file, or run as its owner"
    )]
    PermissionDenied,
    /// Any other failure to open it.
    #[error("cannot be opened: {source}")]
    Open {
        /// The system's words.
        source: io::Error,
    },
    /// Not one byte in it.
    #[error(
        "is empty (0 bytes); the capture was never written: was it stopped before the first packet was flushed (tcpdump -U)?"
    )]
    Empty,
    /// Text where a capture should be.
    #[error(
        "is {what}, not a capture; give the pcap or pcapng file itself (tcpdump -w FILE), not what a tool printed about it"
    )]
    Text {
        /// `text`, `JSON` or an `HTML` page.
        what: &'static str,
    },
    /// Another kind of file.
    #[error("is {what}, not pcap or pcapng; {advice}")]
    OtherFormat {
        /// What it looks like.
        what: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
    /// Bytes that no known format begins with.
    #[error(
        "is not pcap or pcapng: it begins with {}; if it is a capture of another kind, convert it with editcap -F pcapng",
        Hex(start)
    )]
    Unknown {
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// It ends inside a record.
    #[error("cut off at byte offset {offset}: {what} that begins there lacks at least {missing} {}; {} copy the file again, or stop the capture before copying it", bytes(*missing), Before(*frames))]
    Truncated {
        /// Where the incomplete part begins.
        offset: u64,
        /// What is incomplete.
        what: &'static str,
        /// How many bytes it lacks; more where its length itself is not there.
        missing: u64,
        /// Frames before it.
        frames: u64,
    },
    /// Bytes that the format forbids.
    #[error("damaged at byte offset {offset}: {what}; {} what follows cannot be found; copy the file again, in binary mode", Before(*frames))]
    Damaged {
        /// Where.
        offset: u64,
        /// What was found, and what was expected.
        what: String,
        /// Frames before it.
        frames: u64,
    },
    /// The system failed to read on.
    #[error("cannot be read on at byte offset {offset}: {source}; {}", BeforeEnd(*frames))]
    Read {
        /// Where.
        offset: u64,
        /// Frames before it.
        frames: u64,
        /// The system's words.
        source: io::Error,
    },
    /// The compressed stream is cut off or damaged.
    #[error("the {compression} stream is cut off or damaged after {offset} decompressed bytes ({source}); {} copy the file again", Before(*frames))]
    Compressed {
        /// `gzip`, `zstd`, `xz` or `lz4`.
        compression: &'static str,
        /// Decompressed bytes before it.
        offset: u64,
        /// Frames before it.
        frames: u64,
        /// The decompressor's words.
        source: io::Error,
    },
    /// It inflates beyond reason.
    #[error("stopped after {offset} decompressed bytes: the {compression} stream inflates more than {ratio} to 1, as no capture does; {} if it is sound, decompress it first", Before(*frames))]
    Inflation {
        /// `gzip`, `zstd`, `xz` or `lz4`.
        compression: &'static str,
        /// Decompressed bytes before it.
        offset: u64,
        /// The bound that it broke.
        ratio: u64,
        /// Frames before it.
        frames: u64,
    },
    /// The program was built without what the input needs.
    #[error("{what} needs a build with the feature `{feature}`; {advice}")]
    NotBuilt {
        /// What was asked for.
        what: &'static str,
        /// The cargo feature that has it.
        feature: &'static str,
        /// What to do without it.
        advice: &'static str,
    },
    /// Frames of a link type that is not decoded.
    #[error(
        "frames of link type {number} ({name}) are not supported and were not looked into; capture on an interface with Ethernet, Linux cooked, loopback or raw IP framing"
    )]
    UnsupportedLink {
        /// LINKTYPE number.
        number: u32,
        /// Its name.
        name: &'static str,
    },
    /// More inputs than can be told apart.
    #[error("is one input too many (at most {max}); join some with mergecap")]
    TooManyInputs {
        /// The bound.
        max: usize,
    },
    /// The filter expression does not compile.
    #[error("does not compile for link type {link}: {message}; see pcap-filter(7)")]
    Filter {
        /// Name of the link type.
        link: &'static str,
        /// libpcap's words.
        message: String,
    },
}

fn bytes(count: u64) -> &'static str {
    if count == 1 { "byte" } else { "bytes" }
}

/// `the 41 frames before it were read;`
struct Before(u64);

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BeforeEnd(self.0).fmt(f)?;
        f.write_str(";")
    }
}

/// The same at the end of a sentence.
struct BeforeEnd(u64);

impl fmt::Display for BeforeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("no frame was read before it"),
            1 => f.write_str("the 1 frame before it was read"),
            n => write!(f, "the {n} frames before it were read"),
        }
    }
}

/// `0a 0d 0d 0a`.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{byte:02x}")?;
        }
        Ok(())
    }
}

/// A path without what would break the line or the terminal.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}
