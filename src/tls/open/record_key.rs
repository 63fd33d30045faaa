//! The key of a direction's records: whole records in, content out.
//!
//! ```text
//!   TLS 1.3           | content .. kind 0* | tag |     header as additional data (RFC 8446 5.2)
//!   TLS 1.2 GCM       | nonce | content | tag |        sequence number and header (RFC 5246 6.2.3.3)
//!   TLS 1.2 ChaCha20  | content | tag |                (RFC 7905 2)
//!   TLS 1.2 CBC       see `cbc`
//! ```
//!
//! Nothing comes out of a record that does not authenticate.

use std::ops::Range;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;

use super::cbc::Cbc;
use super::schedule::{Bytes, Material, NONCE, SALT};
use super::suite::{Cipher, Suite, Version};
use crate::tls::records::Header;

/// The length of an authentication tag.
const TAG: usize = 16;

/// The part of a nonce that stands in each record, with GCM in TLS 1.2 (RFC 5288 3).
const EXPLICIT_NONCE: usize = NONCE - SALT;

/// The length of what is authenticated besides the content in TLS 1.2.
const AUTHENTICATED: usize = size_of::<u64>() + Header::LEN;

/// What a record held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) kind: u8,
    /// Where in the record's body the content now is.
    pub(super) range: Range<usize>,
}

/// Opens the records of one direction.
pub(super) struct RecordKey {
    cipher: Keyed,
    iv: Bytes<NONCE>,
    form: Form,
}

/// A cipher with its key: up to 2 KiB of round keys.
enum Keyed {
    Aes128Gcm(Box<Aes128Gcm>),
    Aes256Gcm(Box<Aes256Gcm>),
    ChaCha20Poly1305(Box<ChaCha20Poly1305>),
    Cbc(Box<Cbc>),
}

/// Where things are in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Tls13,
    /// The part of the nonce in front.
    Tls12Gcm,
    Tls12,
}

impl RecordKey {
    pub(super) fn new(
        version: Version,
        suite: Suite,
        material: &Material,
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        let key = material.key.as_ref();
        let cipher = match suite.cipher {
            Cipher::Aes128Gcm => Keyed::Aes128Gcm(Box::new(KeyInit::new_from_slice(key).ok()?)),
            Cipher::Aes256Gcm => Keyed::Aes256Gcm(Box::new(KeyInit::new_from_slice(key).ok()?)),
            Cipher::ChaCha20Poly1305 => {
                Keyed::ChaCha20Poly1305(Box::new(KeyInit::new_from_slice(key).ok()?))
            }
            Cipher::Cbc(aes, mac) => Keyed::Cbc(Box::new(Cbc::new(
                aes,
                mac,
                key,
                material.mac.as_ref(),
                encrypt_then_mac,
            )?)),
        };
        let form = match (version, suite.cipher) {
            (Version::Tls13, _) => Form::Tls13,
            (Version::Tls12, Cipher::Aes128Gcm | Cipher::Aes256Gcm) => Form::Tls12Gcm,
            (Version::Tls12, _) => Form::Tls12,
        };
        Some(Self {
            cipher,
            iv: material.iv.clone(),
            form,
        })
    }

    /// How much longer a record's body is than its content, without padding; `None` where the ciphertext does not tell.
    pub(super) const fn expansion(&self) -> Option<usize> {
        match (&self.cipher, self.form) {
            (Keyed::Cbc(_), _) => None,
            // The content type (RFC 8446 5.2).
            (_, Form::Tls13) => Some(TAG + 1),
            (_, Form::Tls12Gcm) => Some(EXPLICIT_NONCE + TAG),
            (_, Form::Tls12) => Some(TAG),
        }
    }

    /// Opens a record's body in place, if it authenticates as the record with this number. Otherwise what is then in `body`
    /// means nothing.
    pub(super) fn open(&self, number: u64, header: Header, body: &mut [u8]) -> Option<Content> {
        if let Keyed::Cbc(cbc) = &self.cipher {
            let range = cbc.open(number, header, body)?;
            return Some(Content {
                kind: header.kind,
                range,
            });
        }
        let start = if self.form == Form::Tls12Gcm {
            EXPLICIT_NONCE
        } else {
            0
        };
        let (front, sealed) = body.split_at_mut_checked(start)?;
        let (content, tag) = sealed.split_last_chunk_mut::<TAG>()?;
        let nonce = self.nonce(number, front)?;
        let with_number = authenticated(number, header, content.len());
        let with_header = header.to_bytes();
        let aad: &[u8] = match self.form {
            Form::Tls13 => &with_header,
            Form::Tls12 | Form::Tls12Gcm => &with_number,
        };
        let (nonce, tag) = (&nonce.into(), &(*tag).into());
        match &self.cipher {
            Keyed::Aes128Gcm(key) => {
                key.decrypt_inout_detached(nonce, aad, (&mut *content).into(), tag)
            }
            Keyed::Aes256Gcm(key) => {
                key.decrypt_inout_detached(nonce, aad, (&mut *content).into(), tag)
            }
            Keyed::ChaCha20Poly1305(key) => {
                key.decrypt_inout_detached(nonce, aad, (&mut *content).into(), tag)
            }
            Keyed::Cbc(_) => return None,
        }
        .ok()?;
        if self.form != Form::Tls13 {
            return Some(Content {
                kind: header.kind,
                range: start..start + content.len(),
            });
        }
        // RFC 8446 5.4: the content type is the last byte that is not zero.
        let last = content.iter().rposition(|&byte| byte != 0)?;
        Some(Content {
            kind: *content.get(last)?,
            range: 0..last,
        })
    }

    /// Bytes that it holds besides itself.
    pub(super) const fn held(&self) -> usize {
        match &self.cipher {
            Keyed::Aes128Gcm(_) => size_of::<Aes128Gcm>(),
            Keyed::Aes256Gcm(_) => size_of::<Aes256Gcm>(),
            Keyed::ChaCha20Poly1305(_) => size_of::<ChaCha20Poly1305>(),
            Keyed::Cbc(_) => size_of::<Cbc>(),
        }
    }

    /// RFC 8446 5.3, RFC 7905 2; RFC 5288 3 for GCM in TLS 1.2.
    fn nonce(&self, number: u64, explicit: &[u8]) -> Option<[u8; NONCE]> {
        let mut nonce = [0; NONCE];
        let iv = self.iv.as_ref();
        nonce.get_mut(..iv.len())?.copy_from_slice(iv);
        let behind = nonce.last_chunk_mut::<EXPLICIT_NONCE>()?;
        if self.form == Form::Tls12Gcm {
            behind.copy_from_slice(explicit);
        } else {
            for (byte, number) in behind.iter_mut().zip(number.to_be_bytes()) {
                *byte ^= number;
            }
        }
        Some(nonce)
    }
}

/// What is authenticated with a record of TLS 1.2 besides its content: sequence number, type, version, length
/// (RFC 5246 6.2.3.1, 6.2.3.3).
pub(super) fn authenticated(number: u64, header: Header, len: usize) -> [u8; AUTHENTICATED] {
    let header = Header {
        len: len as u16,
        ..header
    };
    let mut all = [0; AUTHENTICATED];
    let parts = number.to_be_bytes().into_iter().chain(header.to_bytes());
    for (byte, part) in all.iter_mut().zip(parts) {
        *byte = part;
    }
    all
}
