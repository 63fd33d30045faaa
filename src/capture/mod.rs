//! Frames in: capture files, pipes and interfaces become numbered, timed frames.
mod frame;
mod info;
mod timestamp;

pub use frame::{CaptureId, Frame, FrameNo, FrameRef, LinkType};
pub use info::CaptureInfo;
pub use timestamp::Timestamp;
