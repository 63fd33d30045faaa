//! The secrets of sessions, from a key log (RFC 9850, the format of `SSLKEYLOGFILE`).
//!
//! A line is `LABEL CLIENT_RANDOM SECRET`, the last two in hexadecimal. Lines come in any order, and those of one session
//! may come apart. Secrets are wiped when they are dropped, and are never printed.

use std::collections::BTreeMap;
use std::fmt;

use super::open::Secrets;

/// Sessions noted: those of a busy proxy over an hour, at up to 270 bytes each (TLS 1.3 with SHA-384), 110 with TLS 1.2.
const MAX_SESSIONS: usize = 1 << 18;

/// What a secret is for (RFC 9850 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// The master secret of TLS 1.2 and older.
    Master,
    /// What the client sends before the server answers (0-RTT).
    ClientEarly,
    /// The client's part of the handshake.
    ClientHandshake,
    /// The server's part of the handshake.
    ServerHandshake,
    /// What the client sends after the handshake.
    ClientTraffic,
    /// What the server sends after the handshake.
    ServerTraffic,
}

/// The longest secret: a master secret, or an output of SHA-384.
pub(super) const MAX_SECRET: usize = 48;

impl Label {
    fn of(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"CLIENT_RANDOM" => Self::Master,
            b"CLIENT_EARLY_TRAFFIC_SECRET" => Self::ClientEarly,
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Self::ClientHandshake,
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => Self::ServerHandshake,
            b"CLIENT_TRAFFIC_SECRET_0" => Self::ClientTraffic,
            b"SERVER_TRAFFIC_SECRET_0" => Self::ServerTraffic,
            _ => return None,
        })
    }

    /// Whether its secret may have this length: a master secret has 48 bytes (RFC 5246 8.1), a secret of TLS 1.3 those of
    /// the suite's hash.
    const fn fits(self, len: usize) -> bool {
        len == MAX_SECRET || (len == 32 && !matches!(self, Self::Master))
    }
}

/// Secrets of sessions, by client random.
#[derive(Clone, Default)]
pub struct KeyLog {
    sessions: BTreeMap<[u8; 32], Secrets>,
    expected: bool,
    /// Grows with every secret.
    generation: u64,
}

impl KeyLog {
    /// Takes the lines of a log. Comments and what is no secret of a session are passed over; a later line adds to what
    /// earlier ones said about the same session.
    pub fn add(&mut self, log: &[u8]) {
        for line in log.split(|&byte| byte == b'\n') {
            if let Some((label, random, secret)) = entry(line)
                && (self.sessions.len() < MAX_SESSIONS || self.sessions.contains_key(&random))
            {
                self.sessions.entry(random).or_default().add(label, secret);
                self.generation += 1;
            }
        }
    }

    /// More keys may come: from a log that is still being written, or a capture that carries some. Sessions without keys
    /// then hold their encrypted bytes for a while.
    pub fn expect(&mut self) {
        self.expected = true;
    }

    /// Whether it is worth waiting for keys: there are some, or there may be later.
    pub fn is_expected(&self) -> bool {
        self.expected || !self.sessions.is_empty()
    }

    /// Goes up with every secret that is added.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// How many sessions it is about.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Whether it is about the session with this client random.
    pub fn has(&self, client_random: &[u8; 32]) -> bool {
        self.sessions.contains_key(client_random)
    }

    /// The secrets of the session with this client random.
    pub(super) fn secrets(&self, client_random: &[u8; 32]) -> Option<&Secrets> {
        self.sessions.get(client_random)
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLog")
            .field("sessions", &self.sessions.len())
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

/// A line's label, client random, and secret as it is written.
fn entry(line: &[u8]) -> Option<(Label, [u8; 32], &[u8])> {
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let label = Label::of(words.next()?)?;
    let random = words.next()?;
    let secret = words.next()?;
    let mut bytes = [0; 32];
    if random.len() != 2 * bytes.len()
        || !secret.len().is_multiple_of(2)
        || !label.fits(secret.len() / 2)
        || !secret.iter().all(u8::is_ascii_hexdigit)
    {
        return None;
    }
    from_hex(random, &mut bytes)?;
    Some((label, bytes, secret))
}

/// Reads pairs of digits into `out`; `None` when one is no digit.
pub(super) fn from_hex(digits: &[u8], out: &mut [u8]) -> Option<()> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = (value(high)? << 4 | value(low)?) as u8;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_told_by_their_randoms() {
        let mut keys = KeyLog::default();
        assert!(!keys.is_expected());
        let random = "0a".repeat(32);
        keys.add(
            format!(
                "# a comment {random} 00\r\nCLIENT_RANDOM {random} {}\r\nSERVER_TRAFFIC_SECRET_0 {random} {}\n",
                "ab".repeat(48),
                "cd".repeat(32),
            )
            .as_bytes(),
        );
        keys.add(format!("CLIENT_TRAFFIC_SECRET_0 {0} {0}", "FE".repeat(32)).as_bytes());
        assert_eq!(keys.sessions(), 2);
        assert!(keys.has(&[0x0a; 32]) && keys.has(&[0xfe; 32]));
        assert!(!keys.has(&[0; 32]));
        assert!(keys.is_expected());
    }

    #[test]
    fn what_is_no_secret_of_a_session_is_passed_over() {
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
        let random = "00".repeat(32);
        let master = "ab".repeat(48);
        for line in [
            format!("CLIENT_RANDOM {} {master}", "+1".repeat(31) + "é"),
            format!("CLIENT_RANDOM {} {master}", "+1".repeat(32)),
            format!("CLIENT_RANDOM {random}"),
            format!("CLIENT_RANDOM {random} {}", "ab".repeat(32)),
            format!("CLIENT_RANDOM {random} {master}a"),
            format!("CLIENT_RANDOM {random} {master}ab"),
            format!("CLIENT_RANDOM {random} {}", "+b".repeat(48)),
            format!("CLIENT_TRAFFIC_SECRET_0 {random} ff"),
            format!("CLIENT_TRAFFIC_SECRET_1 {random} {random}"),
            format!("EXPORTER_SECRET {random} {random}"),
        ] {
            keys.add(line.as_bytes());
        }
        assert_eq!(keys.sessions(), 0);
        assert!(!keys.is_expected());
        keys.expect();
        assert!(keys.is_expected());
    }

    #[test]
    fn nothing_secret_is_printed() {
        let mut keys = KeyLog::default();
        keys.add(format!("CLIENT_RANDOM {} {}", "07".repeat(32), "ab".repeat(48)).as_bytes());
        let printed = format!("{keys:?} {keys:#?}");
        assert_eq!(keys.sessions(), 1);
        for trace in ["ab", "171", "AB"] {
            assert!(!printed.contains(trace), "{printed}");
        }
    }
}
