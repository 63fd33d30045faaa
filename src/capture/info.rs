//! What is known about an input as a whole.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Names of its interfaces by the numbers that segments have: those of pcapng, or in the kernel where cooked frames
    /// (SLL2) tell. A number with several names has an empty one.
    pub interfaces: BTreeMap<u32, String>,
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

/// Gives an interface its name. One that comes with several names has none: sections of a file may number anew.
pub(super) fn name_interface(names: &mut BTreeMap<u32, String>, number: u32, name: &str) {
    let known = names.entry(number).or_insert_with(|| name.to_owned());
    if known != name {
        known.clear();
    }
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
            interfaces: BTreeMap::new(),
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
