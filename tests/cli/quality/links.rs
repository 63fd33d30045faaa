//! Every link layer and tunnel: what it carries is the same.

use super::*;

/// Ethernet addresses that mean nothing.
const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

/// A wrapping by its name.
pub(super) type Wrapping = (&'static str, fn(&Packet) -> Packet);

/// The link layers into which every sample is put.
pub(super) const LINKS: [Wrapping; 15] = [
    ("Ethernet", |packet| {
        rewrapped(packet, LinkType::ETHERNET, &[&ADDRESSES, network(packet).0])
    }),
    ("802.1Q", |packet| {
        rewrapped(
            packet,
            LinkType::ETHERNET,
            &[&ADDRESSES, &[0x81, 0, 0x20, 101], network(packet).0],
        )
    }),
    ("QinQ", |packet| {
        rewrapped(
            packet,
            LinkType::ETHERNET,
            &[
                &ADDRESSES,
                &[0x88, 0xa8, 0, 7, 0x81, 0, 0x20, 101],
                network(packet).0,
            ],
        )
    }),
    ("SLL", |packet| {
        rewrapped(
            packet,
            LinkType::LINUX_SLL,
            &[&[0, 0, 0, 1, 0, 6], &[0; 8], network(packet).0],
        )
    }),
    ("SLL2", |packet| {
        rewrapped(
            packet,
            LinkType::LINUX_SLL2,
            &[network(packet).0, &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6], &[0; 8]],
        )
    }),
    ("PPPoE", |packet| {
        let (kind, rest) = network(packet);
        let protocol = if kind == [8, 0] { [0, 0x21] } else { [0, 0x57] };
        let len = (rest.len() as u16 + 2).to_be_bytes();
        rewrapped(
            packet,
            LinkType::ETHERNET,
            &[&ADDRESSES, &[0x88, 0x64, 0x11, 0, 0, 9], &len, &protocol],
        )
    }),
    ("MPLS", |packet| {
        rewrapped(
            packet,
            LinkType::ETHERNET,
            &[&ADDRESSES, &[0x88, 0x47, 0, 1, 1, 64]],
        )
    }),
    ("VXLAN", |packet| {
        let (kind, rest) = network(packet);
        let udp = (rest.len() as u16 + 14 + 8 + 8).to_be_bytes();
        let ip = (rest.len() as u16 + 14 + 8 + 8 + 20).to_be_bytes();
        rewrapped(
            packet,
            LinkType::RAW,
            &[
                &[0x45, 0],
                &ip,
                &[0, 0, 0, 0, 64, 17, 0, 0, 203, 0, 113, 1, 203, 0, 113, 2],
                &[0xc0, 0, 0x12, 0xb5],
                &udp,
                &[0, 0],
                &[8, 0, 0, 0, 0, 0, 42, 0],
                &ADDRESSES,
                kind,
            ],
        )
    }),
    ("GENEVE", |packet| {
        let (kind, rest) = network(packet);
        // UDP, then GENEVE with an option of eight bytes.
        let udp = (rest.len() as u16 + 8 + 16 + 14).to_be_bytes();
        let geneve = [2, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 1, 0, 0, 0, 0];
        tunnelled(
            packet,
            17,
            &[
                &[0xc0, 0, 0x17, 0xc1],
                &udp,
                &[0, 0],
                &geneve,
                &ADDRESSES,
                kind,
            ],
        )
    }),
    ("GRE", |packet| {
        tunnelled(packet, 47, &[&[0x20, 0], network(packet).0, &[0, 0, 0, 9]])
    }),
    ("IP in IP", |packet| {
        tunnelled(packet, family(packet, 4, 41), &[])
    }),
    ("NULL", |packet| {
        let family = [0, 0, 0, family(packet, 2, 30)];
        rewrapped(packet, LinkType::NULL, &[&family])
    }),
    ("LOOP, other byte order", |packet| {
        let family = [family(packet, 2, 24), 0, 0, 0];
        rewrapped(packet, LinkType::LOOP, &[&family])
    }),
    ("raw IP", |packet| rewrapped(packet, LinkType::RAW, &[])),
    ("802.11", |packet| {
        let header = [
            0x88, 1, 0, 0, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6, 0, 0, 0, 0,
        ];
        let snap = [0xaa, 0xaa, 3, 0, 0, 0];
        rewrapped(
            packet,
            LinkType::IEEE802_11,
            &[&header, &snap, network(packet).0],
        )
    }),
];

fn rewrapped(packet: &Packet, link: LinkType, header: &[&[u8]]) -> Packet {
    let (_, rest) = network(packet);
    let data = [&header.concat(), rest].concat();
    let cut = packet.wire_len - packet.data.len() as u32;
    Packet {
        at: packet.at,
        link,
        wire_len: data.len() as u32 + cut,
        data,
    }
}

/// What follows an outer IPv4 header of this protocol.
fn tunnelled(packet: &Packet, protocol: u8, header: &[&[u8]]) -> Packet {
    let header = header.concat();
    let length = (20 + header.len() + network(packet).1.len()) as u16;
    let [high, low] = length.to_be_bytes();
    let outer = [
        0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0, 203, 0, 113, 1, 203, 0, 113, 2,
    ];
    rewrapped(packet, LinkType::RAW, &[&outer, &header])
}

/// The version of IP, as different worlds number it.
fn family(packet: &Packet, v4: u8, v6: u8) -> u8 {
    if network(packet).0 == [8, 0] { v4 } else { v6 }
}

#[test]
fn link_layers_and_tunnels_change_nothing() {
    let mut wrong = Differences::default();
    for (name, files) in samples() {
        let story_of = |wrap: fn(&Packet) -> Packet| {
            unwrapped(report(&each(&files, |packets| {
                packets
                    .iter()
                    .filter(|packet| is_ip(packet))
                    .map(wrap)
                    .collect()
            })))
        };
        let wanted = story_of(Packet::clone);
        for (link, wrap) in LINKS {
            let got = story_of(wrap);
            let what = format!("{name} as {link}");
            wrong.same(&story(&got), &story(&wanted), &what);
            wrong.same(&got["connections"], &wanted["connections"], &what);
        }
    }
    wrong.none();
}
