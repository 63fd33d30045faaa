//! UTF-8 in pieces (RFC 3629): a character may be cut by frames and segments.

/// Checks UTF-8 piece by piece.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Utf8 {
    carry: [u8; 4],
    carried: usize,
    broken: bool,
}

impl Utf8 {
    /// Takes the next bytes; false from where on no continuation could make them UTF-8.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> bool {
        self.broken = self.broken || !self.check(bytes);
        !self.broken
    }

    fn check(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while self.carried > 0 {
            let Some((&byte, behind)) = rest.split_first() else {
                return true;
            };
            rest = behind;
            if let Some(slot) = self.carry.get_mut(self.carried) {
                *slot = byte;
            }
            self.carried += 1;
            match std::str::from_utf8(self.carry.get(..self.carried).unwrap_or_default()) {
                Ok(_) => self.carried = 0,
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        let Err(error) = std::str::from_utf8(rest) else {
            return true;
        };
        if error.error_len().is_some() {
            return false;
        }
        let tail = rest.get(error.valid_up_to()..).unwrap_or_default();
        for (slot, byte) in self.carry.iter_mut().zip(tail) {
            *slot = *byte;
        }
        self.carried = tail.len();
        true
    }

    /// Whether all was UTF-8 and no character is left half.
    pub(super) const fn is_complete(self) -> bool {
        !self.broken && self.carried == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn utf8_in_pieces_is_utf8(text in "\\PC{0,30}", tail in proptest::collection::vec(any::<u8>(), 0..6), step in 1_usize..7) {
            let bytes = [text.as_bytes(), &tail].concat();
            let mut utf8 = Utf8::default();
            let valid = bytes.chunks(step).all(|piece| utf8.feed(piece)) && utf8.is_complete();
            prop_assert_eq!(valid, std::str::from_utf8(&bytes).is_ok());
        }
    }
}
