//! Frames that lie in memory together, given one after the other without a call to the reader in between.

use super::format::Format;
use super::notes::Secrets;
use super::parse::Meta;
use super::{CaptureInfo, Frame, FrameNo, FrameRef, LinkType, Timestamp};

/// Frames looked at together, at most: enough that what they need from memory can come together, few enough that all of it
/// stays in the first-level cache.
pub const BATCH: usize = 16;

/// What is counted for every frame.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) info: CaptureInfo,
    /// Frames numbered so far; more than `info.frames` where records are numbered that hold no packet.
    pub(super) numbered: u64,
    pub(super) last_link: Option<LinkType>,
}

/// Frames that are in memory together.
pub struct Frames<'a>(Source<'a>);

enum Source<'a> {
    One(Option<Frame<'a>>, Vec<Secrets>),
    Many(Records<'a>),
}

/// The records of a window, as far as they are whole and nothing special.
struct Records<'a> {
    /// What is in memory and not done, and where that begins in the window.
    rest: &'a [u8],
    start: &'a mut usize,
    format: &'a mut Format,
    count: &'a mut Count,
}

impl<'a> Frames<'a> {
    /// A lone one, and the secrets that stood before it.
    pub(super) const fn one(frame: Frame<'a>, secrets: Vec<Secrets>) -> Self {
        Self(Source::One(Some(frame), secrets))
    }

    /// Those in the bytes of a window, which begin at `start`.
    pub(super) const fn of_window(
        (rest, start): (&'a [u8], &'a mut usize),
        format: &'a mut Format,
        count: &'a mut Count,
    ) -> Self {
        Self(Source::Many(Records {
            rest,
            start,
            format,
            count,
        }))
    }

    /// Secrets that stood before these frames, where they are all of one input; of several, [`Inputs`](super::Inputs) has them.
    pub fn take_secrets(&mut self) -> Vec<Secrets> {
        match &mut self.0 {
            Source::Many(records) => records.format.take_secrets(),
            Source::One(_, secrets) => std::mem::take(secrets),
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[expect(
        clippy::inline_always,
        reason = "per frame: saves copies through memory"
    )]
    #[inline(always)]
    fn next(&mut self) -> Option<Frame<'a>> {
        match &mut self.0 {
            Source::Many(records) => records.next(),
            Source::One(frame, _) => frame.take(),
        }
    }
}

impl<'a> Records<'a> {
    #[expect(
        clippy::inline_always,
        reason = "per frame: saves copies through memory"
    )]
    #[inline(always)]
    fn next(&mut self) -> Option<Frame<'a>> {
        let meta = self.format.frame(self.rest)?;
        let (record, rest) = self.rest.split_at_checked(meta.total)?;
        let data = record.get(meta.skip..)?.get(..meta.captured)?;
        self.rest = rest;
        *self.start += meta.total;
        Some(Frame {
            id: self.count.accept(&meta),
            interface: meta.interface,
            link: meta.link,
            wire_len: meta.wire_len,
            data,
        })
    }
}

impl Count {
    pub(super) const fn new(info: CaptureInfo) -> Self {
        Self {
            info,
            numbered: 0,
            last_link: None,
        }
    }

    /// Counts a frame, and gives it its number.
    #[inline]
    pub(super) fn accept(&mut self, meta: &Meta) -> FrameRef {
        self.numbered += 1;
        let id = FrameRef::new(meta.at, self.info.id, FrameNo(self.numbered));
        let info = &mut self.info;
        info.frames += 1;
        info.bytes += meta.captured as u64;
        if info.last_at.is_some_and(|last| meta.at >= last) {
            info.last_at = Some(meta.at);
        } else {
            out_of_order(info, meta.at);
        }
        if meta.wire_len as usize > meta.captured {
            info.truncated_frames += 1;
            info.first_truncated.get_or_insert(id);
        }
        if self.last_link != Some(meta.link) {
            self.last_link = Some(meta.link);
            info.link_types.insert(meta.link);
        }
        id
    }
}

/// A frame that is the first one, or earlier than one before it.
#[cold]
fn out_of_order(info: &mut CaptureInfo, at: Timestamp) {
    info.first_at = Some(info.first_at.map_or(at, |first| first.min(at)));
    info.last_at = Some(info.last_at.map_or(at, |last| last.max(at)));
}
