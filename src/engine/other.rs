//! What else was in the capture: a report without a handshake says what was seen instead.

use std::collections::BTreeMap;

use crate::decode::OtherKind;

/// Frames without a TCP segment, by kind.
#[derive(Debug, Default)]
pub struct OtherFrames {
    /// UDP datagrams by lower port; a flat table, because background traffic is often mostly QUIC.
    udp: Vec<u64>,
    others: BTreeMap<OtherKind, u64>,
}

impl OtherFrames {
    pub(super) fn count(&mut self, kind: OtherKind) {
        if let OtherKind::Udp { port } = kind {
            if self.udp.is_empty() {
                self.udp.resize(usize::from(u16::MAX) + 1, 0);
            }
            if let Some(count) = self.udp.get_mut(usize::from(port)) {
                *count += 1;
            }
        } else {
            *self.others.entry(kind).or_default() += 1;
        }
    }

    /// Every kind seen with its number of frames, the commonest first.
    pub fn kinds(&self) -> Vec<(OtherKind, u64)> {
        let udp = (0..=u16::MAX)
            .zip(&self.udp)
            .filter(|&(_, &count)| count > 0);
        let mut kinds: Vec<_> = udp
            .map(|(port, &count)| (OtherKind::Udp { port }, count))
            .collect();
        kinds.extend(self.others.iter().map(|(&kind, &count)| (kind, count)));
        kinds.sort_by_key(|&(kind, count)| (std::cmp::Reverse(count), kind));
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_the_commonest_first() {
        let mut other = OtherFrames::default();
        for kind in [
            OtherKind::Arp,
            OtherKind::Udp { port: 443 },
            OtherKind::Udp { port: 443 },
        ] {
            other.count(kind);
        }
        assert_eq!(
            other.kinds(),
            [(OtherKind::Udp { port: 443 }, 2), (OtherKind::Arp, 1)]
        );
    }
}
