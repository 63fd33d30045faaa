//! The secrets of one session.

use std::fmt;

use zeroize::Zeroizing;

use crate::tls::key_log::{Label, MAX_SECRET, from_hex};

/// The secrets of one session, packed: label, length, secret, one after the other. Wiped when dropped.
#[derive(Clone, Default)]
pub(in crate::tls) struct Secrets(Zeroizing<Box<[u8]>>);

/// In front of each secret: its label and length.
const HEAD: usize = 2;

impl Secrets {
    /// Adds a secret, written in hexadecimal and not longer than [`MAX_SECRET`], in the place of an earlier one.
    pub(in crate::tls) fn add(&mut self, label: Label, digits: &[u8]) {
        let len = digits.len() / 2;
        let mut secret = Zeroizing::new([0; MAX_SECRET]);
        let Some(secret) = secret.get_mut(..len) else {
            return;
        };
        if from_hex(digits, secret).is_none() {
            return;
        }
        // All at once: a vector that grows leaves copies behind.
        let mut all = Vec::with_capacity(self.0.len() + HEAD + len);
        let others = self.all().filter(|(other, _)| *other != label as u8);
        for (label, secret) in others.chain([(label as u8, &*secret)]) {
            all.extend_from_slice(&[label, secret.len() as u8]);
            all.extend_from_slice(secret);
        }
        self.0 = Zeroizing::new(all.into_boxed_slice());
    }

    /// The secret with this label.
    pub(super) fn of(&self, label: Label) -> Option<&[u8]> {
        let mut found = self.all().filter(|(found, _)| *found == label as u8);
        found.next().map(|(_, secret)| secret)
    }

    /// Labels and secrets.
    fn all(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (&[label, len], behind) = rest.split_first_chunk()?;
            let (secret, behind) = behind.split_at_checked(usize::from(len))?;
            rest = behind;
            Some((label, secret))
        })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_back_by_label() {
        let mut secrets = Secrets::default();
        assert_eq!(secrets.of(Label::Master), None);
        secrets.add(Label::ServerTraffic, "0a".repeat(32).as_bytes());
        secrets.add(Label::Master, "Ff".repeat(48).as_bytes());
        secrets.add(Label::ServerTraffic, "0b".repeat(48).as_bytes());
        secrets.add(Label::ClientTraffic, "0c".repeat(49).as_bytes());
        secrets.add(Label::ClientEarly, b"0x");
        assert_eq!(secrets.of(Label::ServerTraffic), Some(&[11; 48][..]));
        assert_eq!(secrets.of(Label::Master), Some(&[255; 48][..]));
        assert_eq!(secrets.of(Label::ClientTraffic), None);
        assert_eq!(secrets.of(Label::ClientEarly), None);
        assert_eq!(format!("{secrets:?}"), "Secrets");
    }
}
