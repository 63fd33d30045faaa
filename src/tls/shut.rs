//! What stands for [`open`](super::open) in a build without decryption: keys are noticed and nothing is opened.

use super::Sealed;
use super::key_log::Label;
use super::records::{Fragment, Part, kind};
use super::sight::Context;
use crate::tcp::Direction;

/// The secrets of a session: none are kept, and what is not kept cannot leak.
#[derive(Debug, Clone, Default)]
pub(super) struct Secrets;

impl Secrets {
    #[expect(clippy::unused_self, reason = "the same call as with decryption")]
    pub(super) fn add(&mut self, _: Label, _: &[u8]) {}
}

/// Opens nothing.
#[derive(Debug, Default)]
pub(super) struct Decryption {
    keyed: bool,
}

impl Decryption {
    pub(super) fn fragment(
        &mut self,
        _: Direction,
        fragment: &Fragment<'_>,
        context: &mut Context<'_>,
    ) {
        if let (kind::APPLICATION_DATA, Part::Start(_)) = (fragment.header.kind, fragment.part) {
            self.late(context);
        }
    }

    #[expect(clippy::unused_self, reason = "the same call as with decryption")]
    pub(super) fn look(&mut self, _: &mut Context<'_>) {}

    #[expect(clippy::unused_self, reason = "the same call as with decryption")]
    pub(super) fn ended(&mut self, _: Direction, _: &mut Context<'_>) {}

    pub(super) fn late(&mut self, context: &mut Context<'_>) {
        let random = context.facts.client_random.as_ref();
        self.keyed |= random.is_some_and(|random| context.keys.has(random));
    }

    #[expect(clippy::unused_self, reason = "the same call as with decryption")]
    pub(super) fn is_reading(&self) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "the same call as with decryption")]
    pub(super) fn is_opening(&self) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "the same call as with decryption")]
    pub(super) fn is_waiting(&self) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "the same call as with decryption")]
    pub(super) fn held(&self) -> usize {
        0
    }

    pub(super) fn sealed(&self) -> Sealed {
        if self.keyed {
            Sealed::Unsupported
        } else {
            Sealed::NoKeys
        }
    }
}
