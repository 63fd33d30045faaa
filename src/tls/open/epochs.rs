//! The keys of one direction, one after the other, and the numbers of its records.

use super::record_key::{Content, RecordKey};
use super::schedule::{Material, Secret, next_secret, traffic_keys};
use super::suite::{Suite, Version};

/// What an epoch's records are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// 0-RTT (RFC 8446 2.3).
    Early,
    Handshake,
    /// With TLS 1.2, from the Finished message on.
    Application,
}

/// Records under one key.
struct Epoch {
    stage: Stage,
    key: RecordKey,
    /// The number of the next record.
    next: u64,
    /// What the key was made from, where another may follow.
    secret: Option<Secret>,
}

/// The epochs that are known, the current one first.
pub(super) struct Epochs {
    version: Version,
    suite: Suite,
    known: Vec<Epoch>,
}

/// Which key and number a record turned out to have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// How many epochs were passed over.
    pub(super) place: usize,
    /// How many records of its epoch were passed over.
    pub(super) skipped: u64,
    pub(super) content: Content,
}

impl Epochs {
    /// TLS 1.2: one for all.
    pub(super) fn tls12(suite: Suite, material: &Material, encrypt_then_mac: bool) -> Option<Self> {
        let key = RecordKey::new(Version::Tls12, suite, material, encrypt_then_mac)?;
        Some(Self {
            version: Version::Tls12,
            suite,
            known: vec![Epoch {
                stage: Stage::Application,
                key,
                next: 0,
                secret: None,
            }],
        })
    }

    /// TLS 1.3: those of which the secrets are there and fit.
    pub(super) fn tls13<'a>(
        suite: Suite,
        secrets: impl IntoIterator<Item = (Stage, Option<&'a [u8]>)>,
    ) -> Self {
        let epoch = |(stage, secret): (Stage, Option<&'a [u8]>)| {
            let secret = Secret::of(secret?)?;
            Epoch::tls13(suite, stage, secret)
        };
        Self {
            version: Version::Tls13,
            suite,
            known: secrets.into_iter().filter_map(epoch).collect(),
        }
    }

    pub(super) const fn version(&self) -> Version {
        self.version
    }

    pub(super) fn stage(&self) -> Option<Stage> {
        self.stage_of(0)
    }

    pub(super) fn stage_of(&self, place: usize) -> Option<Stage> {
        self.known.get(place).map(|epoch| epoch.stage)
    }

    /// See [`RecordKey::expansion`].
    pub(super) fn expansion(&self) -> Option<usize> {
        self.known.first().and_then(|epoch| epoch.key.expansion())
    }

    /// Whether no record of the current epoch was counted so far.
    pub(super) fn is_fresh(&self) -> bool {
        self.known.first().is_some_and(|epoch| epoch.next == 0)
    }

    /// Tries the current key, then those behind it, each with the next number and up to `reach` behind it.
    pub(super) fn find(
        &self,
        reach: u64,
        mut attempt: impl FnMut(&RecordKey, u64) -> Option<Content>,
    ) -> Option<Found> {
        for (place, epoch) in self.known.iter().enumerate() {
            for skipped in 0..=reach {
                let number = epoch.next.saturating_add(skipped);
                if let Some(content) = attempt(&epoch.key, number) {
                    return Some(Found {
                        place,
                        skipped,
                        content,
                    });
                }
            }
        }
        None
    }

    /// Makes the epoch in this place the current one.
    pub(super) fn advance(&mut self, places: usize) {
        self.known.drain(..places.min(self.known.len()));
    }

    /// Counts records of the current epoch.
    pub(super) fn count(&mut self, records: u64) {
        if let Some(epoch) = self.known.first_mut() {
            epoch.next = epoch.next.saturating_add(records);
        }
    }

    /// A KeyUpdate: the next key, its records counted from 0 (RFC 8446 7.2).
    pub(super) fn update(&mut self) {
        let next = self.known.pop().and_then(|epoch| {
            let secret = next_secret(self.suite.hash, epoch.secret?.as_ref())?;
            Epoch::tls13(self.suite, epoch.stage, secret)
        });
        self.known.clear();
        self.known.extend(next);
    }

    /// Bytes that it holds besides itself.
    pub(super) fn held(&self) -> usize {
        let keys = self.known.iter().map(|epoch| epoch.key.held());
        self.known.capacity() * size_of::<Epoch>() + keys.sum::<usize>()
    }
}

impl Epoch {
    fn tls13(suite: Suite, stage: Stage, secret: Secret) -> Option<Self> {
        let material = traffic_keys(suite, secret.as_ref())?;
        Some(Self {
            stage,
            key: RecordKey::new(Version::Tls13, suite, &material, false)?,
            next: 0,
            secret: (stage == Stage::Application).then_some(secret),
        })
    }
}
