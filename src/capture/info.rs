//! What is known about an input as a whole.

use std::collections::BTreeSet;

use super::{CaptureId, FrameRef, LinkType, Timestamp};

/// An input, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureInfo {
    /// Its place in the list of inputs.
    pub id: CaptureId,
    /// The path as given; `-` for standard input, the interface's name for live capture.
    pub path: String,
    /// `pcap`, `pcapng` or `live`; `None` when it could not be told.
    pub format: Option<&'static str>,
    /// `gzip`, `zstd`, `xz` or `lz4`.
    pub compression: Option<&'static str>,
    /// The link types of its frames.
    pub link_types: BTreeSet<LinkType>,
    /// Frames read.
    pub frames: u64,
    /// Captured bytes of these frames, headers of the file format not counted.
    pub bytes: u64,
    /// The earliest frame time.
    pub first_at: Option<Timestamp>,
    /// The latest frame time.
    pub last_at: Option<Timestamp>,
    /// Frames that the capturing kernel or interface says it dropped; `None` when nobody says.
    pub dropped: Option<u64>,
    /// Frames captured shorter than they were on the wire.
    pub truncated_frames: u64,
    /// The first of these.
    pub first_truncated: Option<FrameRef>,
    /// Comments in the capture (pcapng `opt_comment`), the first few.
    pub comments: Vec<String>,
    /// Why the input could not be read to its end: what and where. `None` for a sound one.
    pub damage: Option<String>,
}

impl CaptureInfo {
    /// Of an input of which nothing was read yet.
    pub fn unread(id: CaptureId, path: &str) -> Self {
        Self {
            id,
            path: path.to_owned(),
            format: None,
            compression: None,
            link_types: BTreeSet::new(),
            frames: 0,
            bytes: 0,
            first_at: None,
            last_at: None,
            dropped: None,
            truncated_frames: 0,
            first_truncated: None,
            comments: Vec::new(),
            damage: None,
        }
    }
}
