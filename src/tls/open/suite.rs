//! Which cipher protects the records of a suite, and which hash makes its keys.

use tls_parser::{
    TlsCipherEnc, TlsCipherEncMode, TlsCipherKx, TlsCipherMac, TlsCipherSuite, TlsPRF,
};

/// What matters of a cipher suite here; how the keys were exchanged does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suite {
    pub(super) cipher: Cipher,
    pub(super) hash: Hash,
}

/// How records are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
    Cbc(Aes, Mac),
}

/// The length of a key of AES.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aes {
    Aes128,
    Aes256,
}

/// The hash of HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mac {
    Sha1,
    Sha256,
    Sha384,
}

/// The hash that keys are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
}

/// The versions of which records can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

impl Version {
    pub(super) const fn of(number: u16) -> Option<Self> {
        match number {
            0x0303 => Some(Self::Tls12),
            0x0304 => Some(Self::Tls13),
            _ => None,
        }
    }
}

impl Suite {
    /// The suite with this number, where records of it can be opened and this version knows it.
    pub(super) fn of(version: Version, number: u16) -> Option<Self> {
        let suite = TlsCipherSuite::from_id(number)?;
        if (suite.kx == TlsCipherKx::Tls13) != (version == Version::Tls13) {
            return None;
        }
        let cipher = match (suite.enc, suite.enc_mode, suite.enc_size) {
            (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 128) => Cipher::Aes128Gcm,
            (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 256) => Cipher::Aes256Gcm,
            (TlsCipherEnc::Chacha20_Poly1305, ..) => Cipher::ChaCha20Poly1305,
            (TlsCipherEnc::Aes, TlsCipherEncMode::Cbc, 128) => {
                Cipher::Cbc(Aes::Aes128, mac(suite.mac)?)
            }
            (TlsCipherEnc::Aes, TlsCipherEncMode::Cbc, 256) => {
                Cipher::Cbc(Aes::Aes256, mac(suite.mac)?)
            }
            _ => return None,
        };
        let hash = match suite.prf {
            // RFC 5246 5: suites of before TLS 1.2 use SHA-256 with it.
            TlsPRF::Sha256 | TlsPRF::Default => Hash::Sha256,
            TlsPRF::Sha384 => Hash::Sha384,
            _ => return None,
        };
        Some(Self { cipher, hash })
    }
}

impl Hash {
    /// The length of its output, and so of the secrets of TLS 1.3.
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

impl Cipher {
    /// The length of its key.
    pub(super) const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Cbc(Aes::Aes128, _) => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::Cbc(Aes::Aes256, _) => 32,
        }
    }
}

impl Mac {
    /// The length of its output and of its key.
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

const fn mac(mac: TlsCipherMac) -> Option<Mac> {
    match mac {
        TlsCipherMac::HmacSha1 => Some(Mac::Sha1),
        TlsCipherMac::HmacSha256 => Some(Mac::Sha256),
        TlsCipherMac::HmacSha384 => Some(Mac::Sha384),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The fields of the table are typed in by people: its names are held against them.
    #[test]
    fn every_suite_that_is_opened_is_what_its_name_says() {
        let mut known = 0;
        for number in 0..=u16::MAX {
            for version in [Version::Tls12, Version::Tls13] {
                let Some(suite) = Suite::of(version, number) else {
                    continue;
                };
                known += 1;
                let name = TlsCipherSuite::from_id(number).unwrap().name;
                let cipher = match suite.cipher {
                    Cipher::Aes128Gcm => "AES_128_GCM_",
                    Cipher::Aes256Gcm => "AES_256_GCM_",
                    Cipher::ChaCha20Poly1305 => "CHACHA20_POLY1305_",
                    Cipher::Cbc(Aes::Aes128, _) => "AES_128_CBC_",
                    Cipher::Cbc(Aes::Aes256, _) => "AES_256_CBC_",
                };
                assert!(name.contains(cipher), "{name}");
                assert_eq!(version == Version::Tls12, name.contains("_WITH_"), "{name}");
                let (mac, hash) = match name.rsplit('_').next().unwrap() {
                    "SHA" => (Mac::Sha1, Hash::Sha256),
                    "SHA256" => (Mac::Sha256, Hash::Sha256),
                    "SHA384" => (Mac::Sha384, Hash::Sha384),
                    other => panic!("{other}"),
                };
                assert_eq!(suite.hash, hash, "{name}");
                if let Cipher::Cbc(_, found) = suite.cipher {
                    assert_eq!(found, mac, "{name}");
                }
            }
        }
        assert!(known > 80, "{known}");
        for number in [0x1301, 0x1302, 0x1303] {
            assert!(Suite::of(Version::Tls13, number).is_some());
        }
        for number in [
            0x002f, 0x0035, 0x003c, 0x009c, 0x009f, 0xc013, 0xc014, 0xc02b, 0xc030, 0xcca8,
        ] {
            assert!(Suite::of(Version::Tls12, number).is_some(), "{number:#x}");
        }
        // CCM, RC4, 3DES, NULL, CAMELLIA; and a suite of the other version.
        for number in [0xc0ac, 0x0005, 0x000a, 0x0002, 0x0041, 0x1301] {
            assert_eq!(Suite::of(Version::Tls12, number), None);
        }
        assert_eq!(Suite::of(Version::Tls13, 0x1304), None);
        assert_eq!(Version::of(0x0302), None);
    }
}
