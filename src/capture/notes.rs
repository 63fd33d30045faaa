//! What a pcapng file says besides its frames: names, secrets, comments. All of it is kept within bounds.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use pcap_parser::{NameRecordType, PcapError, parse_option_be, parse_option_le};
use pcap_parser::{parse_nameresolutionblock_be, parse_nameresolutionblock_le};

use super::parse::Order;

/// Names kept: more than any resolver's hosts file.
const MAX_NAMES: usize = 1 << 16;

/// Length of a name kept: that of a host name (RFC 1035 2.3.4).
const MAX_NAME: usize = 255;

/// Comments kept: they are printed.
const MAX_COMMENTS: usize = 16;

/// Characters of a comment kept.
const MAX_COMMENT: usize = 500;

/// Bytes of secrets kept: some hundred thousand lines of a key log.
const MAX_SECRETS: usize = 64 << 20;

/// Secrets in a capture (Decryption Secrets Block), such as a TLS key log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// What they are: [`Secrets::TLS_KEY_LOG`] or another type of the registry.
    pub kind: u32,
    /// As they are in the capture.
    pub data: Vec<u8>,
}

impl Secrets {
    /// Lines as `SSLKEYLOGFILE` has them (RFC 9850).
    pub const TLS_KEY_LOG: u32 = 0x544c_534b;
}

impl fmt::Debug for Secrets {
    /// How many bytes they are, and none of them: secrets go into no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("kind", &self.kind)
            .field("bytes", &self.data.len())
            .finish()
    }
}

/// The notes taken so far.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) names: BTreeMap<IpAddr, String>,
    pub(super) secrets: Vec<Secrets>,
    secret_bytes: usize,
    /// Comments not yet handed over.
    pub(super) fresh_comments: Vec<String>,
    comments_kept: usize,
}

impl Notes {
    /// Takes the names of a name resolution block, given with its header.
    pub(super) fn name_resolution(&mut self, order: Order, block: &[u8]) {
        let parsed = match order {
            Order::Little => parse_nameresolutionblock_le(block),
            Order::Big => parse_nameresolutionblock_be(block),
        };
        let Ok((_, names)) = parsed else { return };
        for record in &names.nr {
            let (address, text) = match record.record_type {
                NameRecordType::Ipv4 => match record.record_value.split_first_chunk::<4>() {
                    Some((address, text)) => (IpAddr::from(*address), text),
                    None => continue,
                },
                NameRecordType::Ipv6 => match record.record_value.split_first_chunk::<16>() {
                    Some((address, text)) => (IpAddr::from(*address), text),
                    None => continue,
                },
                _ => continue,
            };
            // Several names may follow, each ended by a zero byte: the first is the one to show.
            let name = text.split(|&byte| byte == 0).next().unwrap_or_default();
            let name = name.get(..name.len().min(MAX_NAME)).unwrap_or_default();
            if !name.is_empty() && self.names.len() < MAX_NAMES {
                self.names
                    .entry(address)
                    .or_insert_with(|| String::from_utf8_lossy(name).into_owned());
            }
        }
    }

    /// Takes the secrets of a decryption secrets block, given without its trailer.
    pub(super) fn decryption_secrets(&mut self, order: Order, body: &[u8]) {
        let (Some(kind), Some(length)) = (order.u32_at(body, 8), order.u32_at(body, 12)) else {
            return;
        };
        let data = body.get(16..).unwrap_or_default();
        let data = data.get(..length as usize).unwrap_or(data);
        if self.secret_bytes + data.len() <= MAX_SECRETS {
            self.secret_bytes += data.len();
            self.secrets.push(Secrets {
                kind,
                data: data.to_vec(),
            });
        }
    }

    /// Takes a comment, on a frame or on the capture.
    pub(super) fn comment(&mut self, frame: Option<u64>, value: &[u8]) {
        if self.comments_kept == MAX_COMMENTS {
            return;
        }
        let text = String::from_utf8_lossy(value);
        let text = text.trim_end_matches('\0').trim();
        if text.is_empty() {
            return;
        }
        let text: String = text.chars().take(MAX_COMMENT).collect();
        self.comments_kept += 1;
        self.fresh_comments.push(match frame {
            Some(frame) => format!("frame {frame}: {text}"),
            None => text,
        });
    }
}

/// The options in `body` from byte `from`: code and value.
pub(super) fn options(
    order: Order,
    body: &[u8],
    from: usize,
) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = body.get(from..).unwrap_or_default();
    std::iter::from_fn(move || {
        let parsed = match order {
            Order::Little => parse_option_le::<PcapError<&[u8]>>(rest),
            Order::Big => parse_option_be::<PcapError<&[u8]>>(rest),
        };
        let (after, option) = parsed.ok()?;
        // The parser's value includes the padding, and borrows from itself: take it from the body.
        let value = rest.get(4..4 + usize::from(option.len))?;
        rest = after;
        (option.code.0 != 0).then_some((option.code.0, value))
    })
}
