//! One interface: opened through libpcap, its drops counted.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use pcap::{Active, Capture, Linktype, Precision};

use super::error::LiveError;
use super::{Interface, Options, READ_TIMEOUT_MS};
use crate::capture::{ANY_INTERFACE, LinkType, Timestamp};

/// Where the kernel shows its interfaces.
const NETWORK_DEVICES: &str = "/sys/class/net";

/// The interface is up (netdevice(7)).
const IFF_UP: u32 = 1;

/// How long the kernel may take to remove an interface that it set down.
const REMOVAL: Duration = Duration::from_millis(200);

/// Link type of `any` with the index of the interface in each packet.
const DLT_LINUX_SLL2: i32 = 276;

/// An open interface.
pub(super) struct Device {
    pub(super) name: String,
    pub(super) link: LinkType,
    handle: Capture<Active>,
    counted: Counted,
    /// The kernel shows its state.
    listed: bool,
    /// Nothing more will come from it.
    pub(super) gone: bool,
}

/// A packet as libpcap hands it over.
pub(super) struct Raw<'a> {
    pub(super) at: Timestamp,
    pub(super) wire_len: u32,
    pub(super) data: &'a [u8],
}

/// What an interface lost, since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    /// By the kernel, for want of room in the buffer.
    pub kernel: u64,
    /// By the interface or its driver.
    pub interface: u64,
}

impl Drops {
    /// Both together.
    pub const fn total(self) -> u64 {
        self.kernel.saturating_add(self.interface)
    }
}

/// libpcap counts in 32 bits, which a busy interface fills within hours.
#[derive(Debug, Default)]
struct Counted {
    kernel: Extended,
    interface: Extended,
}

#[derive(Debug, Default)]
struct Extended {
    total: u64,
    last: u32,
}

impl Extended {
    fn update(&mut self, now: u32) {
        let step = now.wrapping_sub(self.last);
        // A counter that went back (the interface was replaced) is no step of four thousand million.
        if step <= u32::MAX / 2 {
            self.total = self.total.saturating_add(u64::from(step));
        }
        self.last = now;
    }
}

impl Device {
    /// Opens an interface and prepares it; no packet is read yet.
    pub(super) fn open(name: &str, options: &Options) -> Result<Self, LiveError> {
        let name = resolve(name)?;
        let opened = Capture::from_device(name.as_str()).and_then(|inactive| {
            inactive
                .snaplen(i32::try_from(options.snaplen).unwrap_or(i32::MAX))
                .buffer_size(i32::try_from(options.buffer).unwrap_or(i32::MAX))
                .timeout(READ_TIMEOUT_MS)
                .promisc(options.promiscuous && name != ANY_INTERFACE)
                .precision(Precision::Nano)
                .open()
        });
        let mut handle = opened.map_err(|error| refused(&name, &error))?;
        let says = |error: pcap::Error| LiveError::Libpcap {
            interface: name.clone(),
            message: words(&error),
        };
        if name == ANY_INTERFACE {
            // libpcap before 1.10 has no such link type, and gives what it has: the hops are told apart by addresses.
            let _ = handle.set_datalink(Linktype(DLT_LINUX_SLL2));
        }
        let handle = handle.setnonblock().map_err(says)?;
        let mut device = Self {
            link: link_type(handle.get_datalink()),
            listed: exists(&name),
            name,
            handle,
            counted: Counted::default(),
            gone: false,
        };
        device.filter(options)?;
        Ok(device)
    }

    fn filter(&mut self, options: &Options) -> Result<(), LiveError> {
        let given = options.filter.as_deref();
        if let Some(expression) = given
            && let Err(error) = self.handle.compile(expression, true)
        {
            return Err(LiveError::Filter {
                expression: expression.to_owned(),
                message: words(&error),
                good: compiles_up_to(expression, |part| self.handle.compile(part, true).is_ok()),
            });
        }
        let Some(program) = program(given, &options.ports) else {
            return Ok(());
        };
        match self.handle.filter(&program, true) {
            // The ports are looked at again after decoding: where libpcap has no words for them, nothing is lost.
            Err(_) if given.is_none() => Ok(()),
            other => other.map_err(|error| LiveError::Filter {
                good: program.len(),
                expression: program,
                message: words(&error),
            }),
        }
    }

    /// Hands over what the kernel has ready, at most `most` packets.
    pub(super) fn dispatch(
        &mut self,
        most: usize,
        mut each: impl FnMut(Raw<'_>),
    ) -> Result<usize, LiveError> {
        let done = self.handle.dispatch(Some(most), |packet| {
            let time = packet.header.ts;
            // With the precision asked for, the field for microseconds holds nanoseconds.
            let nanos = time
                .tv_sec
                .saturating_mul(1_000_000_000)
                .saturating_add(time.tv_usec);
            each(Raw {
                at: Timestamp::from_nanos(nanos),
                wire_len: packet.header.len,
                data: packet.data,
            });
        });
        match done {
            Ok(count) => Ok(count),
            Err(pcap::Error::TimeoutExpired) => Ok(0),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &pcap::Error) -> LiveError {
        let message = words(error);
        let interface = self.name.clone();
        if message.contains("disappeared") || message.contains("down") {
            let removed = interface != ANY_INTERFACE && is_removed(&interface);
            return LiveError::Gone { interface, removed };
        }
        LiveError::Libpcap { interface, message }
    }

    /// What was lost, as last asked.
    pub(super) const fn dropped(&self) -> Drops {
        Drops {
            kernel: self.counted.kernel.total,
            interface: self.counted.interface.total,
        }
    }

    /// Asks what was lost so far.
    pub(super) fn drops(&mut self) -> Drops {
        if !self.gone
            && let Ok(stat) = self.handle.stats()
        {
            self.counted.kernel.update(stat.dropped);
            self.counted.interface.update(stat.if_dropped);
        }
        self.dropped()
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// How an interface is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is up, or nobody says.
    Up,
    /// libpcap waits until it is up again.
    Down,
    /// It does not exist any more. libpcap only says so if it was up before.
    Removed,
}

impl Device {
    /// How it is, as the kernel shows it.
    pub(super) fn state(&self) -> State {
        if !self.listed {
            return State::Up;
        }
        let path = Path::new(NETWORK_DEVICES).join(&self.name).join("flags");
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let digits = text.trim().trim_start_matches("0x");
                match u32::from_str_radix(digits, 16) {
                    Ok(flags) if flags & IFF_UP == 0 => State::Down,
                    _ => State::Up,
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::Removed,
            Err(_) => State::Up,
        }
    }
}

/// All interfaces of this machine.
pub(super) fn list() -> Result<Vec<Interface>, LiveError> {
    let devices = pcap::Device::list().map_err(|error| LiveError::List {
        message: words(&error),
    })?;
    let one = |device: pcap::Device| Interface {
        up: device.flags.is_up(),
        loopback: device.flags.is_loopback(),
        addresses: device
            .addresses
            .iter()
            .map(|address| address.addr)
            .collect(),
        description: device.desc,
        name: device.name,
    };
    Ok(devices.into_iter().map(one).collect())
}

/// The interface that a name, or a number of the list, means.
fn resolve(name: &str) -> Result<String, LiveError> {
    if name == ANY_INTERFACE || exists(name) {
        return Ok(name.to_owned());
    }
    let known: Vec<String> = list()?.into_iter().map(|found| found.name).collect();
    if known.iter().any(|one| one == name) {
        return Ok(name.to_owned());
    }
    let numbered = name
        .parse::<usize>()
        .ok()
        .and_then(|number| known.get(number.checked_sub(1)?));
    match numbered {
        Some(name) => Ok(name.clone()),
        None => Err(LiveError::NoSuchInterface {
            interface: name.to_owned(),
            known,
        }),
    }
}

/// Whether the kernel has an interface of this name.
fn exists(name: &str) -> bool {
    let plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    plain && Path::new(NETWORK_DEVICES).join(name).exists()
}

/// Whether an interface that went down is gone: one that is removed goes down first, and its name a moment later.
fn is_removed(name: &str) -> bool {
    let until = Instant::now() + REMOVAL;
    while exists(name) {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(REMOVAL / 10);
    }
    true
}

fn refused(name: &str, error: &pcap::Error) -> LiveError {
    let message = words(error);
    let interface = name.to_owned();
    let lower = message.to_ascii_lowercase();
    if ["permission", "not permitted", "cap_net_raw"]
        .iter()
        .any(|mark| lower.contains(mark))
    {
        LiveError::Permission { interface }
    } else if lower.contains("is not up") || lower.contains("network is down") {
        LiveError::Down { interface }
    } else {
        LiveError::Libpcap { interface, message }
    }
}

/// libpcap's own words, without the wrapper's.
fn words(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(message) => message.clone(),
        other => other.to_string(),
    }
}

/// libpcap numbers some link types as this system does; files number them all the same.
fn link_type(dlt: Linktype) -> LinkType {
    match u32::try_from(dlt.0).map(LinkType) {
        Ok(LinkType::DLT_RAW | LinkType::DLT_RAW_OPENBSD) => LinkType::RAW,
        Ok(link) => link,
        // No link type is negative; this one decodes as nothing.
        Err(_) => LinkType(u32::MAX),
    }
}

/// What the kernel is to keep: what the user's filter matches, and of that no TCP that plainly is to other ports.
///
/// `tcp port 80` alone would lose tagged and tunnelled packets, later fragments and ICMP errors, so everything stays
/// that is not seen to be of another port; the exact look at the ports comes after decoding.
fn program(filter: Option<&str>, ports: &[u16]) -> Option<String> {
    let ports = (!ports.is_empty()).then(|| {
        let ports: Vec<String> = ports
            .iter()
            .map(|port| format!("tcp port {port}"))
            .collect();
        format!(
            "not tcp or {} or ip[6:2] & 0x1fff != 0 or ip6[6] = 44",
            ports.join(" or ")
        )
    });
    match (filter, ports) {
        (Some(filter), Some(ports)) => Some(format!("({filter}) and ({ports})")),
        (Some(filter), None) => Some(filter.to_owned()),
        (None, ports) => ports,
    }
}

/// Bytes of the expression up to the last word at which it makes sense by itself, or would with the parentheses closed
/// that are open there.
fn compiles_up_to(expression: &str, compiles: impl Fn(&str) -> bool) -> usize {
    let compiles = |part: &str| {
        let count = |wanted: char| part.chars().filter(|&one| one == wanted).count();
        let open = count('(').saturating_sub(count(')'));
        compiles(&(part.to_owned() + &")".repeat(open)))
    };
    if compiles(expression) {
        return expression.len();
    }
    let word_ends = expression
        .char_indices()
        .filter(|&(_, c)| c.is_whitespace() || c == ')')
        .map(|(at, _)| at);
    let ends: Vec<usize> = word_ends.collect();
    let good = ends.into_iter().rev().find(|&end| {
        expression
            .get(..end)
            .is_some_and(|part| !part.trim().is_empty() && compiles(part))
    });
    good.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_32_bits_are_extended() {
        let mut counter = Extended::default();
        counter.update(u32::MAX - 1);
        assert_eq!(
            counter.total, 0,
            "half the range at once is a counter that went back"
        );
        let mut counter = Extended::default();
        for now in [1 << 30, 2 << 30, 3 << 30, u32::MAX - 4, 5] {
            counter.update(now);
        }
        assert_eq!(counter.total, (1 << 32) + 5);
        counter.update(0);
        assert_eq!(counter.total, (1 << 32) + 5, "it went back");
        counter.update(7);
        assert_eq!(counter.total, (1 << 32) + 12);
    }

    #[test]
    fn ports_keep_what_is_not_plainly_of_another_port() {
        assert_eq!(program(None, &[]), None);
        assert_eq!(program(Some("host a"), &[]).as_deref(), Some("host a"));
        let both = program(Some("host 10.0.0.1 or net 10.1"), &[80, 443]);
        assert_eq!(
            both.as_deref(),
            Some(
                "(host 10.0.0.1 or net 10.1) and (not tcp or tcp port 80 or tcp port 443 \
                 or ip[6:2] & 0x1fff != 0 or ip6[6] = 44)"
            )
        );
    }

    /// The kernel's program on packets as they come: what may be of the port stays.
    #[test]
    #[allow(clippy::unwrap_used, reason = "a test may")]
    fn the_port_program_loses_no_packet_of_the_port() {
        let handle = Capture::dead(Linktype(1)).unwrap();
        let program = handle
            .compile(&program(None, &[80]).unwrap(), true)
            .unwrap();
        let ethernet = |ether_type: [u8; 2], rest: &[u8]| {
            let mut frame = vec![0; 12];
            frame.extend(ether_type);
            frame.extend(rest);
            frame.resize(90, 0);
            frame
        };
        let ip = |protocol: u8, offset: u8, port: u16| {
            let mut ip = vec![0x45, 0, 0, 60, 0, 0, 0, offset, 64, protocol, 0, 0];
            ip.extend([10, 0, 0, 1, 10, 0, 0, 2]);
            ip.extend(40_000_u16.to_be_bytes());
            ip.extend(port.to_be_bytes());
            ip
        };
        let matches = |frame: &[u8]| program.filter(frame);
        assert!(matches(&ethernet([8, 0], &ip(6, 0, 80))));
        assert!(
            !matches(&ethernet([8, 0], &ip(6, 0, 22))),
            "plainly another port"
        );
        assert!(
            matches(&ethernet([8, 0], &ip(6, 1, 22))),
            "a later fragment"
        );
        assert!(matches(&ethernet([8, 0], &ip(17, 0, 4789))), "VXLAN");
        assert!(matches(&ethernet([8, 0], &ip(1, 0, 0))), "ICMP");
        let tagged: Vec<u8> = [0, 5, 8, 0].into_iter().chain(ip(6, 0, 80)).collect();
        assert!(matches(&ethernet([0x81, 0], &tagged)));
        let mut fragment = vec![0x60, 0, 0, 0, 0, 40, 44, 64];
        fragment.resize(40, 0);
        fragment.extend([6, 0, 0, 8, 0, 0, 0, 1]);
        assert!(
            matches(&ethernet([0x86, 0xdd], &fragment)),
            "an IPv6 fragment"
        );
    }

    #[test]
    #[allow(clippy::unwrap_used, reason = "a test may")]
    fn a_filter_error_says_where() {
        let handle = Capture::dead(Linktype(1)).unwrap();
        let expression = "tcp port 80 and blah foo";
        let good = compiles_up_to(expression, |part| handle.compile(part, true).is_ok());
        assert_eq!(expression.get(..good), Some("tcp port 80"));
        let error = LiveError::Filter {
            expression: expression.to_owned(),
            message: "syntax error".to_owned(),
            good,
        };
        assert_eq!(
            error.to_string(),
            "filter 'tcp port 80 and blah foo': syntax error, from column 13 on (\"and\"); see pcap-filter(7)"
        );
    }
}
