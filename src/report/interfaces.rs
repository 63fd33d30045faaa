//! On which interfaces connections were seen: by name where the capture has names.

use std::collections::{BTreeMap, BTreeSet};

use super::view::ConnectionView;
use crate::capture::{CaptureInfo, LinkType};

/// Names the interfaces of a capture.
pub(super) fn name<'a>(
    connections: impl Iterator<Item = &'a mut ConnectionView>,
    (capture, names): (u16, &BTreeMap<u32, String>),
) {
    let interfaces = connections.flat_map(|view| &mut view.interfaces);
    for interface in interfaces.filter(|interface| interface.capture == capture) {
        let name = names.get(&interface.number);
        interface.name = name.filter(|name| !name.is_empty()).cloned();
    }
}

/// Names the interfaces of all captures, and marks the connections of those in which it is worth telling which one it
/// was: there are several.
pub(super) fn tell(connections: &mut [ConnectionView], captures: &[CaptureInfo]) {
    for info in captures {
        name(connections.iter_mut(), (info.id.0, &info.interfaces));
    }
    let mut numbers: BTreeMap<u16, BTreeSet<u32>> = BTreeMap::new();
    for one in connections.iter().flat_map(|view| &view.interfaces) {
        let numbers = numbers.entry(one.capture).or_default();
        // Two are several; a host may have thousands.
        if numbers.len() < 2 {
            numbers.insert(one.number);
        }
    }
    let cooked = captures
        .iter()
        .filter(|info| info.link_types.contains(&LinkType::LINUX_SLL2))
        .map(|info| info.id.0);
    let several = numbers
        .into_iter()
        .filter(|(_, numbers)| numbers.len() > 1)
        .map(|(capture, _)| capture);
    let told: BTreeSet<u16> = several.chain(cooked).collect();
    for view in connections {
        view.tell_interfaces = view
            .interfaces
            .iter()
            .any(|one| told.contains(&one.capture));
    }
}
