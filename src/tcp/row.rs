//! A row of records that never move: it grows by a piece at a time.
//!
//! A `Vec` that doubles holds the records twice while it copies them, and a million of them are copied at one frame's cost.

/// Bytes of a piece, at most. More would be taken in vain for few records, fewer would make the list of pieces one that does
/// not stay in the cache.
const PIECE_BYTES: usize = 64 << 10;

/// Records by their place, the first at 0.
#[derive(Debug)]
pub(super) struct Row<T> {
    /// All but the last are full.
    pieces: Vec<Vec<T>>,
}

impl<T> Default for Row<T> {
    fn default() -> Self {
        Self { pieces: Vec::new() }
    }
}

impl<T> Row<T> {
    /// Records in a piece.
    const PIECE: usize = 1 << (PIECE_BYTES / size_of::<T>()).ilog2();

    pub(super) fn len(&self) -> usize {
        let full = self.pieces.len().saturating_sub(1) * Self::PIECE;
        full + self.pieces.last().map_or(0, Vec::len)
    }

    pub(super) fn get(&self, place: u32) -> Option<&T> {
        let place = place as usize;
        self.pieces
            .get(place / Self::PIECE)?
            .get(place % Self::PIECE)
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        let place = place as usize;
        self.pieces
            .get_mut(place / Self::PIECE)?
            .get_mut(place % Self::PIECE)
    }

    /// Puts a record behind the others.
    pub(super) fn push(&mut self, record: T) {
        match self.pieces.last_mut() {
            Some(last) if last.len() < Self::PIECE => last.push(record),
            _ => {
                let mut piece = Vec::with_capacity(Self::PIECE);
                piece.push(record);
                self.pieces.push(piece);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const PIECE: usize = Row::<u32>::PIECE;

    #[test]
    fn a_record_is_found_at_its_place_over_several_pieces() {
        let mut row = Row::default();
        for n in 0..=3 * PIECE as u32 {
            assert_eq!((row.len(), row.get(n)), (n as usize, None));
            row.push(n);
        }
        assert_eq!(row.pieces.len(), 4);
        assert!(row.iter().copied().eq(0..=3 * PIECE as u32));
        for n in 0..=3 * PIECE as u32 {
            *row.get_mut(n).unwrap() += 1;
            assert_eq!(row.get(n), Some(&(n + 1)));
        }
        assert_eq!(row.get_mut(u32::MAX), None);
    }
}
