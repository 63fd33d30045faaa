//! One record's body, put together from segments.

use crate::capture::FrameRef;
use crate::tcp::GapCause;
use crate::tls::records::Header;

/// The record at hand, if it is a protected one.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    record: Option<Record>,
    /// What came of its body, unless all of it came at once.
    body: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    header: Header,
    /// Bytes still to come.
    left: usize,
    /// Bytes of it are missing.
    torn: Option<(GapCause, FrameRef)>,
}

/// A record that came to its end.
#[derive(Debug)]
pub(super) enum Gathered<'a> {
    /// All of it is in these bytes.
    Borrowed(Header, &'a [u8]),
    /// All of it is in this buffer.
    Owned(Header, Vec<u8>),
    /// Bytes of it are missing.
    Torn(Header, GapCause, FrameRef),
}

impl Gathering {
    pub(super) fn start(&mut self, header: Header) {
        self.body.clear();
        self.record = Some(Record {
            header,
            left: usize::from(header.len),
            torn: None,
        });
    }

    /// The next bytes of the body. `spare`: memory to use and to give back, so that a connection between two records holds
    /// none and none is allocated for each.
    pub(super) fn bytes<'a>(
        &mut self,
        data: &'a [u8],
        spare: &mut Vec<u8>,
    ) -> Option<Gathered<'a>> {
        let record = self.record.as_mut()?;
        let whole = self.body.is_empty() && data.len() == usize::from(record.header.len);
        record.left = record.left.saturating_sub(data.len());
        if record.torn.is_none() && !whole {
            if self.body.capacity() == 0 {
                self.body = std::mem::take(spare);
                self.body.clear();
            }
            self.body.extend_from_slice(data);
        }
        let record = self.record.take_if(|record| record.left == 0)?;
        Some(match record.torn {
            Some((cause, frame)) => Gathered::Torn(record.header, cause, frame),
            None if whole => Gathered::Borrowed(record.header, data),
            None => Gathered::Owned(record.header, std::mem::take(&mut self.body)),
        })
    }

    /// Bytes of the body are missing.
    pub(super) fn hole(
        &mut self,
        len: u16,
        cause: GapCause,
        frame: FrameRef,
    ) -> Option<Gathered<'static>> {
        let record = self.record.as_mut()?;
        record.left = record.left.saturating_sub(usize::from(len));
        record.torn.get_or_insert((cause, frame));
        self.body = Vec::new();
        let record = self.record.take_if(|record| record.left == 0)?;
        let (cause, frame) = record.torn?;
        Some(Gathered::Torn(record.header, cause, frame))
    }

    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        self.body.capacity()
    }
}
