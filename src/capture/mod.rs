//! Frames in: capture files, pipes and interfaces become numbered, timed frames.
//!
//! ```text
//!   path, -  -> sniff -> [inflate] -> window -> pcap | pcapng -> Frame, borrowed from the window
//!   several paths -> one Reader each -> merged by time -> [queue] -> Frame
//!   interfaces -> libpcap -> Frame, borrowed from the kernel's ring
//! ```
//!
//! Every frame before a damage is delivered, then one error that says where and what. Frame numbers are those of
//! Wireshark. No length in a file makes us allocate: memory follows the bytes that are really there.
mod ahead;
mod batch;
mod clock;
mod compress;
mod error;
mod filter;
mod foreign;
mod format;
mod frame;
mod info;
mod inputs;
mod link;
#[cfg(feature = "live")]
pub mod live;
mod notes;
mod parse;
mod pcap;
mod pcapng;
mod queue;
mod reader;
#[cfg(feature = "live")]
mod ring;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod timestamp;
mod window;
mod writer;

pub use batch::{BATCH, Frames};
pub use error::{CaptureError, Problem};
pub use filter::Filter;
pub use frame::{CaptureId, Frame, FrameNo, FrameRef, LinkType};
pub use info::CaptureInfo;
pub use inputs::Inputs;
pub use notes::Secrets;
pub use queue::QUEUE_BYTES;
pub use reader::{Progress, Reader};
#[cfg(feature = "live")]
pub use ring::Ring;
pub use timestamp::Timestamp;
pub use writer::Writer;

/// What captures of all interfaces at once call theirs: the name of none.
pub(crate) const ANY_INTERFACE: &str = "any";
