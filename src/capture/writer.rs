//! Frames out: a pcapng file with what was chosen, as evidence.
//!
//! Interfaces of different inputs stay apart, and every time keeps its nanoseconds. The file begins with its section
//! header and describes an interface when its first frame comes, so it can be read while it is written.

use std::collections::HashMap;
use std::io::{self, Write};

use super::{CaptureId, Frame, LinkType, Timestamp};

/// Longest comment written: an option's length has 16 bits.
const MAX_COMMENT: usize = u16::MAX as usize;

/// Writes pcapng.
pub struct Writer<W: Write> {
    out: W,
    interfaces: HashMap<(CaptureId, u32, LinkType), u32>,
    block: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a file; `application` is what it says wrote it.
    pub fn new(out: W, application: &str) -> io::Result<Self> {
        let mut writer = Self {
            out,
            interfaces: HashMap::new(),
            block: Vec::new(),
        };
        writer.begin(0x0a0d_0d0a);
        writer.u32(0x1a2b_3c4d);
        writer.u32(1); // version 1.0
        writer.u32(u32::MAX); // the section's length, not given
        writer.u32(u32::MAX);
        writer.option(4, application.as_bytes()); // shb_userappl
        writer.end_of_options();
        writer.end()?;
        Ok(writer)
    }

    /// Adds a frame, with a comment that Wireshark shows above it.
    pub fn write(&mut self, frame: &Frame<'_>, comment: Option<&str>) -> io::Result<()> {
        let interface = self.known((frame.id.capture(), frame.interface, frame.link), None)?;
        // A time before 1970 cannot be written.
        let ticks = u64::try_from(frame.id.at.nanos()).unwrap_or(0);
        let captured = u32::try_from(frame.data.len())
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.begin(6);
        self.u32(interface);
        self.u32((ticks >> 32) as u32);
        self.u32(ticks as u32);
        self.u32(captured);
        self.u32(frame.wire_len.max(captured));
        self.padded(frame.data);
        if let Some(comment) = comment {
            let end = comment.floor_char_boundary(MAX_COMMENT);
            self.option(1, comment.get(..end).unwrap_or_default().as_bytes());
            self.end_of_options();
        }
        self.end()
    }

    /// Describes an interface with its name; one without a name is described when its first frame comes.
    pub fn describe(
        &mut self,
        capture: CaptureId,
        interface: u32,
        link: LinkType,
        name: &str,
    ) -> io::Result<()> {
        self.known((capture, interface, link), Some(name)).map(drop)
    }

    /// Says what an interface lost from the beginning until `at`: itself, and in the kernel for want of room.
    pub fn losses(
        &mut self,
        (capture, interface, link): (CaptureId, u32, LinkType),
        at: Timestamp,
        lost_by_interface: u64,
        lost_by_kernel: u64,
    ) -> io::Result<()> {
        let interface = self.known((capture, interface, link), None)?;
        let ticks = u64::try_from(at.nanos()).unwrap_or(0);
        self.begin(5);
        self.u32(interface);
        self.u32((ticks >> 32) as u32);
        self.u32(ticks as u32);
        self.option(5, &lost_by_interface.to_le_bytes()); // isb_ifdrop
        self.option(7, &lost_by_kernel.to_le_bytes()); // isb_osdrop
        self.end_of_options();
        self.end()
    }

    /// Writes out what is still buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Hands over what is still buffered, and the sink.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    /// The number of an interface, which is described first if it is new.
    fn known(&mut self, key: (CaptureId, u32, LinkType), name: Option<&str>) -> io::Result<u32> {
        if let Some(&known) = self.interfaces.get(&key) {
            return Ok(known);
        }
        let new = self.interfaces.len() as u32;
        self.begin(1);
        self.u32(key.2.0 & 0xffff);
        self.u32(0); // snaplen: no limit
        if let Some(name) = name {
            self.option(2, name.as_bytes()); // if_name
        }
        self.option(9, &[9]); // if_tsresol: nanoseconds
        self.end_of_options();
        self.end()?;
        self.interfaces.insert(key, new);
        Ok(new)
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.u32(kind);
        self.u32(0); // the length, known at the end
    }

    fn u32(&mut self, value: u32) {
        self.block.extend_from_slice(&value.to_le_bytes());
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let value = value.get(..MAX_COMMENT).unwrap_or(value);
        self.u32(u32::from(code) | (value.len() as u32) << 16);
        self.padded(value);
    }

    fn end_of_options(&mut self) {
        self.u32(0);
    }

    fn end(&mut self) -> io::Result<()> {
        let length = (self.block.len() + 4) as u32;
        if let Some(place) = self.block.get_mut(4..8) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self.u32(length);
        self.out.write_all(&self.block)
    }
}
