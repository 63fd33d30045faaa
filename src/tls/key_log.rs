//! Which sessions a key log is about (RFC 9850, the format of `SSLKEYLOGFILE`).
//!
//! A line is `LABEL CLIENT_RANDOM SECRET`, the last two in hexadecimal. Only the random values are kept: nothing is
//! decrypted here, and secrets that are not kept cannot leak.

use std::collections::BTreeSet;

/// Sessions noted: those of a busy proxy over an hour, at 40 bytes each.
const MAX_SESSIONS: usize = 1 << 18;

/// The sessions whose keys are at hand.
#[derive(Debug, Clone, Default)]
pub struct KeyLog {
    sessions: BTreeSet<[u8; 32]>,
}

impl KeyLog {
    /// Takes the lines of a log. Comments and what is no key of a session are passed over.
    pub fn add(&mut self, log: &[u8]) {
        for line in log.split(|&byte| byte == b'\n') {
            if self.sessions.len() < MAX_SESSIONS
                && let Some(random) = random(line)
            {
                self.sessions.insert(random);
            }
        }
    }

    /// How many sessions it is about.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Whether it is about the session with this client random.
    pub fn has(&self, client_random: &[u8; 32]) -> bool {
        self.sessions.contains(client_random)
    }
}

/// The client random that a line names, if the line has a secret behind it.
fn random(line: &[u8]) -> Option<[u8; 32]> {
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let (label, random, secret) = (words.next()?, words.next()?, words.next()?);
    let is_hex = |word: &[u8]| word.iter().all(u8::is_ascii_hexdigit);
    if label.starts_with(b"#") || !is_hex(random) || !is_hex(secret) {
        return None;
    }
    let mut bytes = [0; 32];
    if random.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(random.chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_told_by_their_randoms() {
        let mut keys = KeyLog::default();
        let random = "0a".repeat(32);
        keys.add(
            format!(
                "# a comment {random} 00\r\nCLIENT_RANDOM {random} {}\r\nSERVER_TRAFFIC_SECRET_0 {random} ff\n",
                "ab".repeat(48)
            )
            .as_bytes(),
        );
        keys.add(format!("EXPORTER_SECRET {} 01", "FE".repeat(32)).as_bytes());
        assert_eq!(keys.sessions(), 2);
        assert!(keys.has(&[0x0a; 32]) && keys.has(&[0xfe; 32]));
        assert!(!keys.has(&[0; 32]));
    }

    #[test]
    fn what_is_no_line_of_a_log_is_passed_over() {
        let mut keys = KeyLog::default();
        for line in [
            "",
            "\n\n  \n",
            "CLIENT_RANDOM",
            "CLIENT_RANDOM 00 00",
            "RSA 0011223344556677 00",
        ] {
            keys.add(line.as_bytes());
        }
        keys.add(&[b'z'; 64]);
        keys.add(format!("CLIENT_RANDOM {} 00", "+1".repeat(31) + "é").as_bytes());
        keys.add(format!("CLIENT_RANDOM {}", "00".repeat(32)).as_bytes());
        assert_eq!(keys.sessions(), 0);
    }
}
