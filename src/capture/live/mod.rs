//! Frames from interfaces, as they come.
//!
//! ```text
//!   one interface      -> libpcap (TPACKET_V3 blocks) ----------------------> Frame, borrowed from the kernel's ring
//!   several interfaces -> libpcap each -> held back until all are there, by time -> Frame
//! ```
//!
//! All interfaces together are one capture: frames are numbered in the order in which they are handed over, so that a
//! file written meanwhile has the same numbers. Nothing blocks: a silent line costs a wake-up now and then.

mod device;
mod error;
mod merge;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;
use nix::net::if_::if_indextoname;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use self::device::{Device, Raw, State};
use self::merge::Merge;
use super::info::name_interface;
use super::{ANY_INTERFACE, CaptureId, CaptureInfo, Frame, FrameNo, FrameRef, LinkType, Timestamp};

pub use device::Drops;
pub use error::LiveError;

/// How long the kernel may gather packets before it hands them over, in milliseconds: long enough to be handed whole
/// blocks under load, short enough that a verdict comes within a second of its packet.
const READ_TIMEOUT_MS: i32 = 100;

/// A frame older than this has been handed over by every interface: the time above, and as much again for a busy machine.
pub const DELIVERY: Duration = Duration::from_millis(200);

/// The kernel's buffer per interface in bytes: half a second of a full 1 Gbit/s line.
pub const BUFFER_DEFAULT: usize = 64 << 20;

/// Bytes kept per packet: more than any packet that offload makes, so that heads stay whole.
pub const SNAPLEN_DEFAULT: u32 = 262_144;

/// What to capture.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names (or numbers of the list) of the interfaces.
    pub interfaces: Vec<String>,
    /// Bytes kept per packet.
    pub snaplen: u32,
    /// The kernel's buffer per interface in bytes.
    pub buffer: usize,
    /// Also take what is meant for other machines.
    pub promiscuous: bool,
    /// BPF expression.
    pub filter: Option<String>,
    /// Server ports of interest; packets plainly of others are left in the kernel. Empty: all.
    pub ports: Vec<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            snaplen: SNAPLEN_DEFAULT,
            buffer: BUFFER_DEFAULT,
            promiscuous: false,
            filter: None,
            ports: Vec::new(),
        }
    }
}

/// An interface of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What libpcap says about it.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// It is up.
    pub up: bool,
    /// It is the loopback interface.
    pub loopback: bool,
}

/// The interfaces of this machine, in libpcap's order; `-i` also takes their number in this list, from 1.
pub fn interfaces() -> Result<Vec<Interface>, LiveError> {
    device::list()
}

/// Open interfaces.
pub struct Live {
    devices: Vec<Device>,
    numbering: Numbering,
    merge: Option<Merge>,
    /// Frames that may still be handed over.
    left: Option<u64>,
}

/// Takes a frame; with it the name of its interface, if it is the first one from there.
pub type Each<'a> = dyn FnMut(&Frame<'_>, Option<&str>) + 'a;

/// Interfaces that cooked frames were seen on, told apart by name: a container host makes new ones all the time.
const NAMED_MAX: usize = 4096;

/// Gives frames their numbers and keeps count.
struct Numbering {
    info: CaptureInfo,
    devices: u32,
    /// The numbers, in this capture, of the interfaces on which cooked frames (SLL2) were seen, by those in the kernel.
    cooked: BTreeMap<u32, u32>,
    /// The interfaces that gave a frame.
    heard: BTreeSet<usize>,
}

impl Live {
    /// Opens all interfaces. `limit` is the most frames to hand over.
    pub fn open(options: &Options, limit: Option<u64>) -> Result<Self, LiveError> {
        let mut devices: Vec<Device> = Vec::new();
        for name in &options.interfaces {
            let device = Device::open(name, options)?;
            // Named twice, it would give every frame twice.
            if devices.iter().all(|other| other.name != device.name) {
                devices.push(device);
            }
        }
        let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
        let mut info = CaptureInfo {
            format: Some("live"),
            dropped: Some(0),
            ..CaptureInfo::unread(CaptureId(0), &names.join(","))
        };
        for (number, device) in (0..).zip(&devices) {
            if device.link != LinkType::LINUX_SLL2 && device.name != ANY_INTERFACE {
                name_interface(&mut info.interfaces, number, &device.name);
            }
        }
        Ok(Self {
            numbering: Numbering {
                info,
                devices: u32::try_from(devices.len()).unwrap_or(u32::MAX),
                cooked: BTreeMap::new(),
                heard: BTreeSet::new(),
            },
            merge: (devices.len() > 1).then(|| Merge::new(devices.len())),
            devices,
            left: limit,
        })
    }

    /// Waits for frames, at most this long, and hands over what there is. Returns how many that were.
    ///
    /// `now` gives the time of day, by which frames of several interfaces are put in order. An error is about one
    /// interface, from which nothing more will come; the others go on.
    pub fn deliver(
        &mut self,
        wait: Duration,
        now: impl Fn() -> Timestamp,
        each: &mut Each<'_>,
    ) -> Result<u64, LiveError> {
        let waiting = self.merge.as_ref().is_some_and(|merge| !merge.is_empty());
        let wait = if waiting {
            wait.min(DELIVERY / 4)
        } else {
            wait
        };
        let ready = self.wait(wait)?;
        let before = self.numbering.info.frames;
        // Everything captured before this moment has been handed over, or will be in this round.
        let round = now();
        let mut outcome = Ok(());
        for (index, device) in self.devices.iter_mut().enumerate() {
            if device.gone || !ready.get(index).copied().unwrap_or(true) {
                continue;
            }
            let left = self.left.map_or(usize::MAX, |left| {
                usize::try_from(left).unwrap_or(usize::MAX)
            });
            let most = left.min(AT_ONCE);
            if most == 0 {
                break;
            }
            let link = device.link;
            let numbering = &mut self.numbering;
            let taken = match &mut self.merge {
                Some(merge) => device.dispatch(most, |raw| merge.push(index, &raw)),
                None => device.dispatch(most, |raw| numbering.hand_over(index, link, &raw, each)),
            };
            if let Err(error) = taken {
                device.gone = true;
                outcome = Err(error);
            }
        }
        if self.merge.is_some() {
            self.release(round.minus(DELIVERY), each);
        }
        let given = self.numbering.info.frames - before;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(given);
        }
        outcome.map(|()| given)
    }

    /// Hands over everything that is held back: no more will be asked for.
    pub fn flush(&mut self, each: &mut Each<'_>) {
        self.release(Timestamp::from_nanos(i64::MAX), each);
    }

    /// Hands over the held-back frames up to a time.
    fn release(&mut self, until: Timestamp, each: &mut Each<'_>) {
        let Some(merge) = &mut self.merge else { return };
        let most = self.left.unwrap_or(u64::MAX);
        let first = self.numbering.info.frames;
        let (devices, numbering) = (&self.devices, &mut self.numbering);
        merge.release(until, |index, raw| {
            if numbering.info.frames - first < most
                && let Some(device) = devices.get(index)
            {
                numbering.hand_over(index, device.link, raw, each);
            }
        });
    }

    /// Whether each device may have packets; a device with an error counts, so that it is asked and says what.
    fn wait(&self, wait: Duration) -> Result<Vec<bool>, LiveError> {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(self.devices.len());
        let open = self.devices.iter().filter(|device| !device.gone);
        fds.extend(
            open.map(|device| PollFd::new(std::os::fd::AsFd::as_fd(device), PollFlags::POLLIN)),
        );
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, wait) {
            // A signal: the caller looks at what it wants.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => {
                return Err(LiveError::Wait {
                    source: io::Error::from(errno),
                });
            }
        }
        let mut polled = fds.iter();
        let ready = |device: &Device| {
            !device.gone
                && polled
                    .next()
                    .and_then(PollFd::revents)
                    .is_some_and(|events| !events.is_empty())
        };
        Ok(self.devices.iter().map(ready).collect())
    }

    /// What is known about the capture so far.
    pub const fn info(&self) -> &CaptureInfo {
        &self.numbering.info
    }

    /// Notes why the capture ended early.
    pub fn note_damage(&mut self, why: &LiveError) {
        self.numbering
            .info
            .damage
            .get_or_insert_with(|| why.to_string());
    }

    /// Whether no interface can give anything more, or all frames asked for were given.
    pub fn is_over(&self) -> bool {
        self.left == Some(0) || self.devices.iter().all(|device| device.gone)
    }

    /// Asks the kernel what was lost so far; the capture's count follows.
    pub fn drops(&mut self) -> Drops {
        let mut all = Drops::default();
        for device in &mut self.devices {
            let one = device.drops();
            all.kernel = all.kernel.saturating_add(one.kernel);
            all.interface = all.interface.saturating_add(one.interface);
        }
        self.numbering.info.dropped = Some(all.total());
        all
    }

    /// Looks after the interfaces. An error is about one that was removed, from which nothing more will come; else the
    /// names of those that are down, from which nothing comes until they are up again.
    pub fn look(&mut self) -> Result<Vec<String>, LiveError> {
        let mut down = Vec::new();
        for device in self.devices.iter_mut().filter(|device| !device.gone) {
            match device.state() {
                State::Up => {}
                State::Down => down.push(device.name.clone()),
                State::Removed => {
                    device.gone = true;
                    return Err(LiveError::Gone {
                        interface: device.name.clone(),
                        removed: true,
                    });
                }
            }
        }
        Ok(down)
    }

    /// The interfaces, in the order of their numbers in the capture, with what each lost, as last asked by
    /// [`Self::drops`].
    pub fn sources(&self) -> Vec<Source> {
        let devices = self.devices.iter();
        devices
            .map(|device| Source {
                name: device.name.clone(),
                link: device.link,
                drops: device.dropped(),
            })
            .collect()
    }
}

/// Packets taken from an interface at once. Without a limit libpcap goes on for as long as packets come, and under load
/// nobody would look at the clock, at signals or at the other interfaces.
const AT_ONCE: usize = 1024;

/// An interface that is captured on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// How its frames begin.
    pub link: LinkType,
    /// What it lost.
    pub drops: Drops,
}

impl Numbering {
    fn hand_over(&mut self, device: usize, link: LinkType, raw: &Raw<'_>, each: &mut Each<'_>) {
        let info = &mut self.info;
        let id = FrameRef::new(raw.at, info.id, FrameNo(info.frames + 1));
        info.frames += 1;
        info.bytes += raw.data.len() as u64;
        info.first_at = Some(info.first_at.map_or(raw.at, |first| first.min(raw.at)));
        info.last_at = Some(info.last_at.map_or(raw.at, |last| last.max(raw.at)));
        if raw.wire_len as usize > raw.data.len() {
            info.truncated_frames += 1;
            info.first_truncated.get_or_insert(id);
        }
        if self.heard.insert(device) {
            info.link_types.insert(link);
        }
        let (interface, name) = if link == LinkType::LINUX_SLL2 {
            self.cooked_on(device as u32, raw.data)
        } else {
            (device as u32, None)
        };
        let frame = Frame {
            id,
            interface,
            link,
            wire_len: raw.wire_len,
            data: raw.data,
        };
        each(&frame, name.as_deref());
    }

    /// The interface of a cooked frame, which has the kernel's number of it; its name too if it is new. One that is gone
    /// already, or is one of very many, is that on which the capture was opened.
    fn cooked_on(&mut self, device: u32, data: &[u8]) -> (u32, Option<String>) {
        let Some(&[_, _, _, _, i0, i1, i2, i3]) = data.first_chunk::<8>() else {
            return (device, None);
        };
        let index = u32::from_be_bytes([i0, i1, i2, i3]);
        if let Some(&known) = self.cooked.get(&index) {
            return (known, None);
        }
        if self.cooked.len() >= NAMED_MAX {
            return (device, None);
        }
        let name = if_indextoname(index).ok();
        let Some(name) = name.and_then(|name| name.into_string().ok()) else {
            self.cooked.insert(index, device);
            return (device, None);
        };
        let number = self.devices.saturating_add(self.cooked.len() as u32);
        self.cooked.insert(index, number);
        name_interface(&mut self.info.interfaces, index, &name);
        (number, Some(name))
    }
}

#[cfg(test)]
mod tests;
