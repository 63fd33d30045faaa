//! The pipeline as one machine: frames in, diagnosed handshakes out. The same for files and for live capture.
mod observer;

pub use observer::Observer;
