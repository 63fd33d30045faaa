//! Heads from text, for the tests of the stages behind: read by the parser that reads those of a capture.
#![allow(clippy::unwrap_used, reason = "a test says heads that are some")]

use super::parse::{self, Raw};
use super::{RequestHead, ResponseHead, Span};
use crate::capture::FrameRef;

/// A request that a frame carried. Lines may end as they like, and the blank one may be left out.
pub(crate) fn request(text: &str, at: FrameRef) -> RequestHead {
    parse::request(complete(text), in_frame(at)).unwrap()
}

/// An answer that a frame carried, likewise.
pub(crate) fn response(text: &str, at: FrameRef) -> ResponseHead {
    parse::response(complete(text), in_frame(at)).unwrap()
}

fn complete(text: &str) -> Raw<'static> {
    let lines = text.trim_end().lines().map(|line| format!("{line}\r\n"));
    let head: String = lines.chain(["\r\n".to_owned()]).collect();
    Raw::Owned(head.into_bytes())
}

const fn in_frame(at: FrameRef) -> Span {
    Span {
        first: at,
        last: at,
    }
}
