//! What the exchanges of an index are in sum: enough to see that a search among them would find nothing.

use foldhash::HashMap;

/// How many exchanges there are of some kind, and from where.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// Without a key.
    keyless: usize,
    /// The request may name its client with the port.
    naming: usize,
    addresses: HashMap<[u8; 16], usize>,
}

/// One exchange, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) keyless: bool,
    pub(super) naming: bool,
    /// The end of its connection that tells it from others.
    pub(super) address: [u8; 16],
}

impl Census {
    /// One more.
    pub(super) fn enter(&mut self, one: Counted) {
        self.keyless += usize::from(one.keyless);
        self.naming += usize::from(one.naming);
        *self.addresses.entry(one.address).or_default() += 1;
    }

    /// One that was counted is gone.
    pub(super) fn leave(&mut self, one: Counted) {
        self.keyless -= usize::from(one.keyless);
        self.naming -= usize::from(one.naming);
        if let Some(count) = self.addresses.get_mut(&one.address) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&one.address);
            }
        }
    }

    /// One that was counted is counted as another.
    pub(super) fn change(&mut self, before: Counted, after: Counted) {
        if before != after {
            self.enter(after);
            self.leave(before);
        }
    }

    /// Whether some have no key.
    pub(super) const fn has_keyless(&self) -> bool {
        self.keyless > 0
    }

    /// Whether some may name their clients with the port.
    pub(super) const fn has_naming(&self) -> bool {
        self.naming > 0
    }

    /// Whether some are at an address.
    pub(super) fn has(&self, address: &[u8; 16]) -> bool {
        self.addresses.contains_key(address)
    }
}
