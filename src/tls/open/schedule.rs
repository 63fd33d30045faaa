//! Keys from secrets: HKDF-Expand-Label of TLS 1.3 (RFC 8446 7.1) and the PRF of TLS 1.2 (RFC 5246 5).

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit};
use sha2::{Sha256, Sha384};
use zeroize::Zeroizing;

use super::suite::{Cipher, Hash, Suite};
use crate::tls::key_log::MAX_SECRET;

/// The length of a nonce, and of the secret part that it is made from.
pub(super) const NONCE: usize = 12;

/// The part of a nonce that is secret with GCM in TLS 1.2 (RFC 5288 3).
pub(super) const SALT: usize = 4;

/// The longest output asked for: two MAC keys, two cipher keys, two nonces.
const MAX_OUTPUT: usize = 2 * (48 + 32 + NONCE);

/// Bytes to be wiped.
#[derive(Clone)]
pub(super) struct Bytes<const N: usize> {
    bytes: Zeroizing<[u8; N]>,
    len: usize,
}

/// A secret of TLS 1.3.
pub(super) type Secret = Bytes<MAX_SECRET>;

impl<const N: usize> Bytes<N> {
    /// A copy, if it is not too long.
    pub(super) fn of(source: &[u8]) -> Option<Self> {
        let mut bytes = Self::zero(source.len())?;
        bytes.as_mut().copy_from_slice(source);
        Some(bytes)
    }

    fn zero(len: usize) -> Option<Self> {
        (len <= N).then(|| Self {
            bytes: Zeroizing::new([0; N]),
            len,
        })
    }

    pub(super) fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

/// What protects the records of one direction.
pub(super) struct Material {
    pub(super) mac: Bytes<MAX_SECRET>,
    pub(super) key: Bytes<32>,
    pub(super) iv: Bytes<NONCE>,
}

/// The keys of a traffic secret (RFC 8446 7.3).
pub(super) fn traffic_keys(suite: Suite, secret: &[u8]) -> Option<Material> {
    if secret.len() != suite.hash.len() {
        return None;
    }
    Some(Material {
        mac: Bytes::zero(0)?,
        key: expand_label(suite.hash, secret, b"key", suite.cipher.key_len())?,
        iv: expand_label(suite.hash, secret, b"iv", NONCE)?,
    })
}

/// The secret behind a KeyUpdate (RFC 8446 7.2).
pub(super) fn next_secret(hash: Hash, secret: &[u8]) -> Option<Secret> {
    expand_label(hash, secret, b"traffic upd", hash.len())
}

/// HKDF-Expand-Label with an empty context (RFC 8446 7.1).
fn expand_label<const N: usize>(
    hash: Hash,
    secret: &[u8],
    label: &[u8],
    len: usize,
) -> Option<Bytes<N>> {
    const PREFIX: &[u8] = b"tls13 ";
    let mut out = Bytes::zero(len)?;
    let info: [&[u8]; 5] = [
        &(len as u16).to_be_bytes(),
        &[(PREFIX.len() + label.len()) as u8],
        PREFIX,
        label,
        &[0],
    ];
    match hash {
        Hash::Sha256 => Hkdf::<Sha256>::from_prk(secret)
            .ok()?
            .expand_multi_info(&info, out.as_mut()),
        Hash::Sha384 => Hkdf::<Sha384>::from_prk(secret)
            .ok()?
            .expand_multi_info(&info, out.as_mut()),
    }
    .ok()?;
    Some(out)
}

/// The keys of a master secret: the client's, the server's (RFC 5246 6.3).
pub(super) fn session_keys(
    suite: Suite,
    master: &[u8],
    client_random: &[u8; 32],
    server_random: &[u8; 32],
) -> Option<[Material; 2]> {
    let (mac, iv) = match suite.cipher {
        Cipher::Aes128Gcm | Cipher::Aes256Gcm => (0, SALT),
        Cipher::ChaCha20Poly1305 => (0, NONCE),
        // The initialization vector stands in each record (RFC 5246 6.2.3.2).
        Cipher::Cbc(_, mac) => (mac.len(), 0),
    };
    let key = suite.cipher.key_len();
    let mut block = Bytes::<MAX_OUTPUT>::zero(2 * (mac + key + iv))?;
    let seed: [&[u8]; 3] = [b"key expansion", server_random, client_random];
    match suite.hash {
        Hash::Sha256 => expand::<Hmac<Sha256>>(master, &seed, block.as_mut()),
        Hash::Sha384 => expand::<Hmac<Sha384>>(master, &seed, block.as_mut()),
    }?;
    let mut rest = block.as_ref();
    let mut take = |len| {
        let (taken, behind) = rest.split_at_checked(len)?;
        rest = behind;
        Some(taken)
    };
    let macs = [take(mac)?, take(mac)?];
    let keys = [take(key)?, take(key)?];
    let ivs = [take(iv)?, take(iv)?];
    let [client, server] = [0, 1].map(|side| {
        Some(Material {
            mac: Bytes::of(macs.get(side)?)?,
            key: Bytes::of(keys.get(side)?)?,
            iv: Bytes::of(ivs.get(side)?)?,
        })
    });
    Some([client?, server?])
}

/// `P_hash` (RFC 5246 5).
fn expand<M>(secret: &[u8], seed: &[&[u8]], out: &mut [u8]) -> Option<()>
where
    M: hmac::Mac + KeyInit + Clone,
{
    let keyed = <M as KeyInit>::new_from_slice(secret).ok()?;
    let over = |first: &[u8]| {
        let mut mac = keyed.clone();
        mac.update(first);
        for part in seed {
            mac.update(part);
        }
        mac
    };
    // A(1), then A(i+1) = HMAC(secret, A(i)).
    let mut a = over(&[]).finalize().into_bytes();
    for piece in out.chunks_mut(a.len()) {
        let output = over(&a).finalize().into_bytes();
        piece.copy_from_slice(output.get(..piece.len())?);
        let mut next = keyed.clone();
        next.update(&a);
        a = next.finalize().into_bytes();
    }
    Some(())
}

#[cfg(test)]
mod tests;
