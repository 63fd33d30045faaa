//! The general way down through the layers of a frame, one header at a time.

use etherparse::{
    IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice,
};

use super::fragments::Fragment;
use super::{Decoded, Endpoint, IcmpError, Key, OtherKind, Segment, Unreachable};
use super::{link, plain, tunnel};
use crate::capture::FrameRef;

/// Headers taken per frame: two tags, a label stack, a tunnel in a tunnel and some extension headers are below 20. A
/// frame of nothing but tags ends here.
const MAX_LAYERS: u32 = 32;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Ethernet,
    EtherType(u16),
    Ppp,
    /// IPv4 or IPv6: the first half byte tells.
    Ip,
    /// What an IP protocol number announces, extension headers among them.
    Protocol(u8),
}

/// Where a walk ends.
pub(super) enum Outcome<'a> {
    Done(Decoded<'a>),
    Fragment(Fragment<'a>),
}

/// How far a frame has been read.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) frame: FrameRef,
    pub(super) interface: u32,
    /// What is not read yet.
    pub(super) rest: &'a [u8],
    /// Bytes that were behind `rest` on the wire and not captured.
    pub(super) cut: u32,
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    pub(super) hop_limit: u8,
    pub(super) ip_id: u16,
    pub(super) is_v6: bool,
    /// Inside an ICMP error: what it says and who says it.
    pub(super) quoted: Option<(Unreachable, Endpoint)>,
}

impl<'a> Walk<'a> {
    pub(super) const fn new(frame: FrameRef, interface: u32, rest: &'a [u8], cut: u32) -> Self {
        let nowhere = Endpoint::v4([0; 4], 0);
        Self {
            frame,
            interface,
            rest,
            cut,
            source: nowhere,
            destination: nowhere,
            hop_limit: 0,
            ip_id: 0,
            is_v6: false,
            quoted: None,
        }
    }

    /// The next `N` bytes.
    pub(super) fn peek<const N: usize>(&self) -> Result<&'a [u8; N], OtherKind> {
        self.rest.first_chunk().ok_or(OtherKind::Unreadable)
    }

    /// The next `N` bytes, passing over them.
    pub(super) fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], OtherKind> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(OtherKind::Unreadable)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Passes over `len` bytes.
    pub(super) fn pass(&mut self, len: usize) -> Result<(), OtherKind> {
        self.rest = self.rest.get(len..).ok_or(OtherKind::Unreadable)?;
        Ok(())
    }

    /// Goes down from `layer` to the innermost layer that is known.
    pub(super) fn run(mut self, mut layer: Layer) -> Outcome<'a> {
        for _ in 0..MAX_LAYERS {
            let next = match layer {
                Layer::Ethernet => link::ethernet(&mut self),
                Layer::EtherType(kind) => link::ether_type(&mut self, kind),
                Layer::Ppp => tunnel::ppp(&mut self),
                Layer::Ip => match self.ip() {
                    Ok(Step::Down(next)) => Ok(next),
                    Ok(Step::End(outcome)) => return outcome,
                    Err(other) => Err(other),
                },
                Layer::Protocol(protocol) => match self.protocol(protocol) {
                    Ok(Step::Down(next)) => Ok(next),
                    Ok(Step::End(outcome)) => return outcome,
                    Err(other) => Err(other),
                },
            };
            match next {
                Ok(next) => layer = next,
                Err(other) => return self.other(other),
            }
        }
        self.other(OtherKind::Unreadable)
    }

    /// Nothing that we use; inside an ICMP error it is the error that counts.
    const fn other(&self, kind: OtherKind) -> Outcome<'a> {
        Outcome::Done(Decoded::Other(match self.quoted {
            Some(_) => OtherKind::Icmp,
            None => kind,
        }))
    }

    fn ip(&mut self) -> Result<Step<'a>, OtherKind> {
        match self.peek::<1>()? {
            [0x40..=0x4f] => self.ipv4(),
            [0x60..=0x6f] => self.ipv6(),
            _ => Err(OtherKind::Unreadable),
        }
    }

    fn ipv4(&mut self) -> Result<Step<'a>, OtherKind> {
        let header = Ipv4HeaderSlice::from_slice(self.rest).map_err(|_| OtherKind::Unreadable)?;
        let length = header.slice().len();
        self.source = Endpoint::v4(header.source(), 0);
        self.destination = Endpoint::v4(header.destination(), 0);
        self.hop_limit = header.ttl();
        self.ip_id = header.identification();
        self.is_v6 = false;
        let protocol = header.protocol().0;
        let fragment = header.is_fragmenting_payload().then(|| {
            (
                u32::from(header.identification()),
                header.fragments_offset(),
                header.more_fragments(),
            )
        });
        // A total length of 0 is left by segmentation offload, above 64 KiB it stays: what was captured counts.
        let claimed = usize::from(header.total_len()).checked_sub(length);
        self.pass(length)?;
        self.limit(claimed);
        Ok(match fragment {
            Some((id, offset, more)) => self.fragment(protocol, id, offset, more),
            None => Step::Down(Layer::Protocol(protocol)),
        })
    }

    fn ipv6(&mut self) -> Result<Step<'a>, OtherKind> {
        let header = Ipv6HeaderSlice::from_slice(self.rest).map_err(|_| OtherKind::Unreadable)?;
        self.source = Endpoint::v6(header.source(), 0);
        self.destination = Endpoint::v6(header.destination(), 0);
        self.hop_limit = header.hop_limit();
        self.ip_id = 0;
        self.is_v6 = true;
        let protocol = header.next_header().0;
        let claimed = match header.payload_length() {
            0 => None,
            length => Some(usize::from(length)),
        };
        self.pass(40)?;
        // A jumbogram says its length in a hop-by-hop option (RFC 2675 2); other zeros are left by offload.
        let claimed = claimed.or_else(|| (protocol == 0).then(|| self.jumbo_length()).flatten());
        self.limit(claimed);
        Ok(Step::Down(Layer::Protocol(protocol)))
    }

    /// The length in a jumbo payload option, if that is the first one, as it has to be for its alignment.
    fn jumbo_length(&self) -> Option<usize> {
        match self.peek::<8>() {
            Ok(&[_, _, 0xc2, 4, a, b, c, d]) => Some(u32::from_be_bytes([a, b, c, d]) as usize),
            _ => None,
        }
    }

    /// Trims `rest` to the length that IP claims, or counts what is missing from it.
    fn limit(&mut self, claimed: Option<usize>) {
        let Some(claimed) = claimed else { return };
        match self.rest.get(..claimed) {
            // What follows is padding of the link layer.
            Some(whole) => {
                self.rest = whole;
                self.cut = 0;
            }
            None => {
                self.cut = u32::try_from(claimed - self.rest.len()).unwrap_or(u32::MAX);
            }
        }
    }

    fn fragment(
        &mut self,
        protocol: u8,
        id: u32,
        offset: etherparse::IpFragOffset,
        more: bool,
    ) -> Step<'a> {
        if self.quoted.is_some() {
            // An error quotes the start of a packet: of its first fragment that is enough.
            return match offset.value() {
                0 => Step::Down(Layer::Protocol(protocol)),
                _ => Step::End(self.other(OtherKind::Icmp)),
            };
        }
        Step::End(Outcome::Fragment(Fragment {
            walk: *self,
            protocol,
            id,
            offset,
            more,
        }))
    }

    fn protocol(&mut self, protocol: u8) -> Result<Step<'a>, OtherKind> {
        let unreadable = OtherKind::Unreadable;
        if protocol == 6 {
            return self.tcp().map(Step::End);
        }
        let next = match protocol {
            // Extension headers of IPv6: hop-by-hop, routing, destination options, mobility, HIP, Shim6.
            0 | 43 | 60 | 135 | 139 | 140 if self.is_v6 => {
                let header =
                    Ipv6RawExtHeaderSlice::from_slice(self.rest).map_err(|_| unreadable)?;
                self.pass(header.slice().len())?;
                Layer::Protocol(header.next_header().0)
            }
            44 if self.is_v6 => {
                let header =
                    Ipv6FragmentHeaderSlice::from_slice(self.rest).map_err(|_| unreadable)?;
                self.pass(header.slice().len())?;
                let next = header.next_header().0;
                if header.is_fragmenting_payload() {
                    return Ok(self.fragment(
                        next,
                        header.identification(),
                        header.fragment_offset(),
                        header.more_fragments(),
                    ));
                }
                Layer::Protocol(next)
            }
            // Authentication header: the payload behind it is clear.
            51 => {
                let header = IpAuthHeaderSlice::from_slice(self.rest).map_err(|_| unreadable)?;
                self.pass(header.slice().len())?;
                Layer::Protocol(header.next_header().0)
            }
            1 | 58 => self.icmp(protocol == 58)?,
            _ if self.quoted.is_some() => return Err(OtherKind::Icmp),
            4 | 41 => Layer::Ip,
            17 => tunnel::udp(self)?,
            47 => tunnel::gre(self)?,
            137 => tunnel::mpls(self)?,
            _ => return Err(OtherKind::OtherIp { protocol }),
        };
        Ok(Step::Down(next))
    }

    fn tcp(&mut self) -> Result<Outcome<'a>, OtherKind> {
        if let Some((why, from)) = self.quoted {
            // RFC 792: the header and 8 bytes; RFC 4443 and RFC 1812 quote more.
            let &[s0, s1, d0, d1, q0, q1, q2, q3] = self.take::<8>()?;
            return Ok(Outcome::Done(Decoded::Icmp(IcmpError {
                frame: self.frame,
                why,
                from,
                source: self.source.with_port(u16::from_be_bytes([s0, s1])),
                destination: self.destination.with_port(u16::from_be_bytes([d0, d1])),
                seq: super::SeqNo(u32::from_be_bytes([q0, q1, q2, q3])),
            })));
        }
        let (tcp, missing) = match plain::tcp(self.rest) {
            Some(tcp) => (tcp, self.cut),
            None => plain::cut_tcp(self.rest, self.cut).ok_or(OtherKind::Unreadable)?,
        };
        let (key, sender) = Key::new(
            self.source.with_port(tcp.source),
            self.destination.with_port(tcp.destination),
        );
        Ok(Outcome::Done(Decoded::Tcp(Segment {
            frame: self.frame,
            key,
            sender,
            seq: tcp.seq,
            ack: tcp.ack,
            flags: tcp.flags,
            window: tcp.window,
            payload: tcp.payload,
            missing,
            ip_id: self.ip_id,
            hop_limit: self.hop_limit,
            interface: self.interface,
        })))
    }

    /// An ICMP error leads on to the packet that it quotes.
    fn icmp(&mut self, v6: bool) -> Result<Layer, OtherKind> {
        if self.quoted.is_some() {
            return Err(OtherKind::Icmp);
        }
        let &[kind, code, ..] = self.take::<8>()?;
        let why = if v6 {
            icmpv6_error(kind, code)
        } else {
            icmp_error(kind, code)
        };
        self.quoted = Some((why.ok_or(OtherKind::Icmp)?, self.source));
        Ok(Layer::Ip)
    }
}

/// What one header leads to.
enum Step<'a> {
    Down(Layer),
    End(Outcome<'a>),
}

/// RFC 792, RFC 1812 5.2.7.1.
const fn icmp_error(kind: u8, code: u8) -> Option<Unreachable> {
    match (kind, code) {
        (3, 0 | 1) => Some(Unreachable::Host),
        (3, 3) => Some(Unreachable::Port),
        (3, 4) => Some(Unreachable::TooBig),
        (3, 9 | 10 | 13) => Some(Unreachable::Prohibited),
        (3, _) => Some(Unreachable::Other),
        (11, _) => Some(Unreachable::TimeExceeded),
        _ => None,
    }
}

/// RFC 4443 3.
const fn icmpv6_error(kind: u8, code: u8) -> Option<Unreachable> {
    match (kind, code) {
        (1, 0 | 3) => Some(Unreachable::Host),
        (1, 4) => Some(Unreachable::Port),
        (1, 1 | 5 | 6) => Some(Unreachable::Prohibited),
        (1, _) => Some(Unreachable::Other),
        (2, _) => Some(Unreachable::TooBig),
        (3, _) => Some(Unreachable::TimeExceeded),
        _ => None,
    }
}
