//! Frames that lie in memory together, given at once.

use super::window::Window;
use super::{Frame, FrameRef, LinkType};

/// Frames given at once, at most: enough that what they need from memory can come together, few enough that all of it
/// stays in the first-level cache.
pub const BATCH: usize = 16;

/// Where a frame is in the window.
#[derive(Clone, Copy)]
pub(super) struct Current {
    pub(super) id: FrameRef,
    pub(super) interface: u32,
    pub(super) link: LinkType,
    pub(super) wire_len: u32,
    pub(super) at: usize,
    pub(super) len: usize,
}

/// Frames that are in memory together.
#[derive(Clone)]
pub struct Frames<'a> {
    window: &'a Window,
    places: std::slice::Iter<'a, Current>,
}

impl Current {
    #[inline]
    pub(super) fn frame(self, window: &Window) -> Frame<'_> {
        Frame {
            id: self.id,
            interface: self.interface,
            link: self.link,
            wire_len: self.wire_len,
            data: window.taken(self.at, self.len),
        }
    }
}

impl<'a> Frames<'a> {
    pub(super) fn new(window: &'a Window, places: &'a [Current]) -> Self {
        Self {
            window,
            places: places.iter(),
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        self.places.next().map(|place| place.frame(self.window))
    }
}
