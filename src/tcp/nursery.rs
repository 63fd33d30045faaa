//! Where the embryos lie: a row of small records, IPv6 keys apart, and the order in which they began.

use std::collections::VecDeque;

use super::ConnectionId;
use super::embryo::{Embryo, SmallKey};
use super::row::Row;
use crate::decode::{Endpoint, Key};

/// All openings under way.
#[derive(Debug, Default)]
pub(super) struct Nursery {
    embryos: Row<Embryo>,
    free: Vec<u32>,
    wide: Vec<Key>,
    free_wide: Vec<u32>,
    /// Place and tag, in the order in which they began, or were looked at last. Those that left are still in it.
    order: VecDeque<(u32, u32)>,
}

/// Entries of the order that are not worth tidying up.
const SPARE: usize = 4096;

/// Tells an embryo from others that had its place: the low half of its number. The order is tidied up long before another
/// one of the same tag comes.
const fn tag(id: ConnectionId) -> u32 {
    id.0 as u32
}

impl Nursery {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.embryos.len() - self.free.len()
    }

    /// Takes in an embryo. Returns its place.
    pub(super) fn insert(&mut self, key: &Key, mut embryo: Embryo) -> u32 {
        embryo.key = SmallKey::of(key).unwrap_or_else(|| {
            let wide = self.free_wide.pop().unwrap_or(self.wide.len() as u32);
            match self.wide.get_mut(wide as usize) {
                Some(place) => *place = *key,
                None => self.wide.push(*key),
            }
            SmallKey::Wide(wide)
        });
        let slot = self.free.pop().unwrap_or(self.embryos.len() as u32);
        match self.embryos.get_mut(slot) {
            Some(place) => *place = embryo,
            None => self.embryos.push(embryo),
        }
        self.order.push_back((slot, tag(embryo.id())));
        self.compact();
        slot
    }

    /// Forgets the order of those that left, once they are the most: memory follows the living.
    fn compact(&mut self) {
        if self.order.len() > 2 * self.len() + SPARE {
            let embryos = &self.embryos;
            self.order.retain(|&(slot, tag)| {
                let embryo = embryos.get(slot);
                embryo.is_some_and(|embryo| is_tagged(embryo, tag))
            });
        }
    }

    /// Removes an embryo, if it is still there.
    pub(super) fn remove(&mut self, slot: u32) -> Option<(Key, Embryo)> {
        let embryo = *self.get(slot)?;
        let key = self.key(&embryo)?;
        if let SmallKey::Wide(wide) = embryo.key {
            self.free_wide.push(wide);
        }
        if let Some(place) = self.embryos.get_mut(slot) {
            place.clear();
        }
        self.free.push(slot);
        Some((key, embryo))
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Embryo> {
        let embryo = self.embryos.get(slot)?;
        (!embryo.is_nobody()).then_some(embryo)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Embryo> {
        let embryo = self.embryos.get_mut(slot)?;
        (!embryo.is_nobody()).then_some(embryo)
    }

    /// Looks at an embryo, so that it comes from memory.
    pub(super) fn touch(&self, slot: u32) -> usize {
        self.get(slot)
            .map_or(0, |embryo| embryo.duplicates().into())
    }

    /// Whether the embryo at a place is that of a connection.
    pub(super) fn is(&self, slot: u32, id: ConnectionId) -> bool {
        self.get(slot).is_some_and(|embryo| embryo.id() == id)
    }

    /// Whether the embryo at a place has a key.
    pub(super) fn has_key(&self, slot: u32, key: &Key) -> bool {
        match (self.get(slot).map(|embryo| embryo.key), SmallKey::of(key)) {
            (Some(SmallKey::Wide(wide)), None) => self.wide.get(wide as usize) == Some(key),
            (Some(mine), Some(small)) => mine == small,
            _ => false,
        }
    }

    /// The full key of an embryo.
    pub(super) fn key(&self, embryo: &Embryo) -> Option<Key> {
        match embryo.key {
            SmallKey::Wide(wide) => self.wide.get(wide as usize).copied(),
            SmallKey::V4(low, high, [a, b]) => {
                Some(Key::new(Endpoint::v4(low, a), Endpoint::v4(high, b)).0)
            }
        }
    }

    /// The places of all, with their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = (ConnectionId, u32)> + '_ {
        let slots = self.embryos.iter().zip(0..);
        slots
            .filter(|(embryo, _)| !embryo.is_nobody())
            .map(|(embryo, slot)| (embryo.id(), slot))
    }

    /// Those that began last (or were looked at last), the newest first.
    pub(super) fn newest(&self, most: usize) -> impl Iterator<Item = &Embryo> {
        let newest = self.order.iter().rev().take(most);
        newest.filter_map(|&(slot, tag)| self.get(slot).filter(|embryo| is_tagged(embryo, tag)))
    }

    /// Places kept in the order, those of embryos that left included.
    #[cfg(test)]
    pub(super) fn ordered(&self) -> usize {
        self.order.len()
    }

    /// The oldest one of which nothing came for `kept` nanoseconds, if any.
    pub(super) fn expired(&mut self, kept: i64, clock: i64) -> Option<u32> {
        // Those that were refreshed go to the back, each once.
        for _ in 0..=self.order.len() {
            let &(slot, tag) = self.order.front()?;
            let embryo = self.embryos.get_mut(slot)?;
            if !is_tagged(embryo, tag) {
                self.order.pop_front();
            } else if embryo.is_older_than(kept, clock) {
                self.order.pop_front();
                return Some(slot);
            } else if std::mem::take(&mut embryo.refreshed) {
                self.order.rotate_left(1);
            } else {
                return None;
            }
        }
        None
    }

    /// One that was idle for long, to make room.
    pub(super) fn idlest(&mut self) -> Option<(u32, ConnectionId)> {
        loop {
            let (slot, tag) = self.order.pop_front()?;
            let embryo = self.embryos.get_mut(slot)?;
            if !is_tagged(embryo, tag) {
                continue;
            }
            if !std::mem::take(&mut embryo.refreshed) {
                return Some((slot, embryo.id()));
            }
            self.order.push_back((slot, tag));
        }
    }
}

/// Whether an embryo is the one that the order means.
fn is_tagged(embryo: &Embryo, wanted: u32) -> bool {
    !embryo.is_nobody() && tag(embryo.id()) == wanted
}
