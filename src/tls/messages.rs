//! Handshake messages, joined across records (RFC 8446 4), kept only as far as something is read from them.

use crate::capture::FrameRef;

/// Handshake types (RFC 8446 4, RFC 5246 7.4).
pub(super) mod kind {
    pub(in super::super) const CLIENT_HELLO: u8 = 1;
    pub(in super::super) const SERVER_HELLO: u8 = 2;
    pub(in super::super) const END_OF_EARLY_DATA: u8 = 5;
    pub(in super::super) const ENCRYPTED_EXTENSIONS: u8 = 8;
    pub(in super::super) const CERTIFICATE: u8 = 11;
    pub(in super::super) const CERTIFICATE_REQUEST: u8 = 13;
    pub(in super::super) const FINISHED: u8 = 20;
    pub(in super::super) const KEY_UPDATE: u8 = 24;
}

/// The longest hello, or list of extensions, that is kept: with a post-quantum key share it has some 2 KiB, with a large ticket a few more.
const MAX_HELLO: usize = 32 * 1024;

/// How much of a Certificate message is kept: the length of its list (RFC 5246 7.4.2).
const CERTIFICATE_LIST_LEN: usize = 3;

/// A complete message.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: u8,
    /// Its body, as far as it is kept.
    pub(super) body: &'a [u8],
    /// The frame with its first byte.
    pub(super) frame: FrameRef,
}

/// Joins one direction's messages.
#[derive(Debug, Default)]
pub(super) struct Messages {
    header: [u8; 4],
    header_len: usize,
    first: Option<FrameRef>,
    /// Body bytes still to come.
    left: usize,
    body: Vec<u8>,
}

impl Messages {
    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.body.capacity()
    }

    /// Takes bytes of handshake records.
    pub(super) fn feed(
        &mut self,
        data: &[u8],
        frame: FrameRef,
        tell: &mut impl FnMut(&Message<'_>),
    ) {
        let mut rest = data;
        while let Some((&byte, behind)) = rest.split_first() {
            if self.header_len < self.header.len() {
                let first = *self.first.get_or_insert(frame);
                if let Some(slot) = self.header.get_mut(self.header_len) {
                    *slot = byte;
                }
                self.header_len += 1;
                rest = behind;
                if self.header_len == self.header.len() {
                    let [_, high, middle, low] = self.header;
                    self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
                    if self.left == 0 {
                        self.end(first, tell);
                    }
                }
                continue;
            }
            let take = self.left.min(rest.len());
            let (now, later) = rest.split_at(take);
            let room = kept(self.header).saturating_sub(self.body.len());
            self.body.extend_from_slice(now.get(..room).unwrap_or(now));
            self.left -= take;
            rest = later;
            if self.left == 0 {
                self.end(self.first.unwrap_or(frame), tell);
            }
        }
    }

    fn end(&mut self, frame: FrameRef, tell: &mut impl FnMut(&Message<'_>)) {
        let [kind, ..] = self.header;
        tell(&Message {
            kind,
            body: &self.body,
            frame,
        });
        *self = Self::default();
    }
}

/// How much of a message's body is kept.
const fn kept(header: [u8; 4]) -> usize {
    match header {
        [
            kind::CLIENT_HELLO | kind::SERVER_HELLO | kind::ENCRYPTED_EXTENSIONS,
            ..,
        ] => MAX_HELLO,
        [kind::CERTIFICATE, ..] => CERTIFICATE_LIST_LEN,
        _ => 0,
    }
}
