//! Records of TLS 1.2 with AES-CBC and HMAC.
//!
//! ```text
//!   mac-then-encrypt   | iv | ( content | mac | padding ) |        (RFC 5246 6.2.3.2)
//!   encrypt-then-mac   | iv | ( content | padding ) | mac |        (RFC 7366 3)
//! ```
//!
//! Nobody waits for an answer here: time may tell what it likes, but every byte of padding and MAC is checked.

use std::ops::Range;

use aes::cipher::{Block, BlockModeDecrypt, InnerIvInit};
use aes::{Aes128, Aes256};
use hmac::{Hmac, KeyInit};
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::record_key::authenticated;
use super::suite::{Aes, Mac};
use crate::tls::records::Header;

/// The length of a block, and of the initialization vector.
const BLOCK: usize = 16;

/// Opens records of one direction.
pub(super) struct Cbc {
    cipher: BlockCipher,
    mac: Keyed,
    encrypt_then_mac: bool,
}

enum BlockCipher {
    Aes128(Aes128),
    Aes256(Aes256),
}

enum Keyed {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
}

impl Cbc {
    pub(super) fn new(
        aes: Aes,
        mac: Mac,
        key: &[u8],
        mac_key: &[u8],
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        Some(Self {
            cipher: match aes {
                Aes::Aes128 => BlockCipher::Aes128(Aes128::new_from_slice(key).ok()?),
                Aes::Aes256 => BlockCipher::Aes256(Aes256::new_from_slice(key).ok()?),
            },
            mac: match mac {
                Mac::Sha1 => Keyed::Sha1(KeyInit::new_from_slice(mac_key).ok()?),
                Mac::Sha256 => Keyed::Sha256(KeyInit::new_from_slice(mac_key).ok()?),
                Mac::Sha384 => Keyed::Sha384(KeyInit::new_from_slice(mac_key).ok()?),
            },
            encrypt_then_mac,
        })
    }

    /// Opens a record's body in place; where its content then is.
    pub(super) fn open(
        &self,
        number: u64,
        header: Header,
        body: &mut [u8],
    ) -> Option<Range<usize>> {
        if self.encrypt_then_mac {
            let end = body.len().checked_sub(self.mac.len())?;
            let (sealed, mac) = body.split_at_checked(end)?;
            let head = authenticated(number, header, end);
            if !self.mac.verify([&head, sealed], mac) {
                return None;
            }
            let sealed = body.get_mut(..end)?;
            self.decrypt(sealed)?;
            return Some(BLOCK..unpadded(sealed)?);
        }
        self.decrypt(body)?;
        let end = unpadded(body)?.checked_sub(self.mac.len())?;
        let content = body.get(BLOCK..end)?;
        let mac = body.get(end..end + self.mac.len())?;
        let head = authenticated(number, header, content.len());
        self.mac.verify([&head, content], mac).then_some(BLOCK..end)
    }

    /// Decrypts what follows the initialization vector, in place.
    fn decrypt(&self, sealed: &mut [u8]) -> Option<()> {
        let (iv, sealed) = sealed.split_at_mut_checked(BLOCK)?;
        let (blocks, rest) = Block::<Aes128>::slice_as_chunks_mut(sealed);
        if blocks.is_empty() || !rest.is_empty() {
            return None;
        }
        match &self.cipher {
            BlockCipher::Aes128(aes) => cbc::Decryptor::inner_iv_slice_init(aes, iv)
                .ok()?
                .decrypt_blocks(blocks),
            BlockCipher::Aes256(aes) => cbc::Decryptor::inner_iv_slice_init(aes, iv)
                .ok()?
                .decrypt_blocks(blocks),
        }
        Some(())
    }
}

/// Where the padding begins: its last byte says how many are before it, and all are alike (RFC 5246 6.2.3.2).
fn unpadded(body: &[u8]) -> Option<usize> {
    let &padding = body.last()?;
    let end = body
        .len()
        .checked_sub(usize::from(padding) + 1)
        .filter(|&end| end >= BLOCK)?;
    let is_padding = body.get(end..)?.iter().all(|&byte| byte == padding);
    is_padding.then_some(end)
}

impl Keyed {
    const fn len(&self) -> usize {
        match self {
            Self::Sha1(_) => Mac::Sha1.len(),
            Self::Sha256(_) => Mac::Sha256.len(),
            Self::Sha384(_) => Mac::Sha384.len(),
        }
    }

    fn verify(&self, parts: [&[u8]; 2], mac: &[u8]) -> bool {
        fn verify<M: hmac::Mac + Clone>(keyed: &M, parts: [&[u8]; 2], mac: &[u8]) -> bool {
            let mut over = keyed.clone();
            for part in parts {
                over.update(part);
            }
            over.verify_slice(mac).is_ok()
        }
        match self {
            Self::Sha1(keyed) => verify(keyed, parts, mac),
            Self::Sha256(keyed) => verify(keyed, parts, mac),
            Self::Sha384(keyed) => verify(keyed, parts, mac),
        }
    }
}
