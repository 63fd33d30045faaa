//! Gives up what a live capture does not need, after everything is open and before the first packet is looked into.
//!
//! ```text
//!   root, all capabilities --> the invoking user (or -Z) --> no capability --> no new privileges --> Landlock:
//!                                                                              no file but what was open, the evidence
//!                                                                              directory and counters below /sys;
//!                                                                              no TCP port, no signal to others
//! ```
//!
//! Capabilities and Landlock hold for the calling thread and those it starts later: call before any thread is started.
//! What a kernel or container does not allow is noted, not fatal, unless it was asked for by name.

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgroups, setresgid, setresuid};

/// The Landlock version whose rights are asked for; older kernels give what they have.
const LANDLOCK: ABI = ABI::V6;

/// Where libpcap reads the drop counters of interfaces.
const COUNTERS: &[&str] = &["/sys/class/net", "/sys/devices"];

/// A privilege that was asked to be given up and was not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivilegeError {
    /// `-Z` names nobody.
    #[error("-Z {name}: no such user")]
    NoSuchUser {
        /// As given.
        name: String,
    },
    /// Only root can become somebody else.
    #[error("-Z {name}: only root can become another user")]
    NotRoot {
        /// As given.
        name: String,
    },
    /// The system refused.
    #[error("cannot become {name}: {source}")]
    Switch {
        /// The user.
        name: String,
        /// The system's words.
        source: io::Error,
    },
}

/// Who the process is to be while it looks at packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    name: String,
    uid: Uid,
    gid: Gid,
    /// It was named by `-Z`: not to become it is an error.
    asked: bool,
}

impl Identity {
    /// Whom to become: the user named, else who called sudo; `None` to stay who we are.
    pub fn choose(named: Option<&str>) -> Result<Option<Self>, PrivilegeError> {
        let sudo = |name| std::env::var(name).ok();
        Self::choose_from(
            named,
            geteuid().is_root(),
            [sudo("SUDO_UID"), sudo("SUDO_GID")],
        )
    }

    fn choose_from(
        named: Option<&str>,
        root: bool,
        sudo: [Option<String>; 2],
    ) -> Result<Option<Self>, PrivilegeError> {
        if let Some(name) = named {
            let none = || PrivilegeError::NoSuchUser {
                name: name.to_owned(),
            };
            let user = User::from_name(name).ok().flatten().ok_or_else(none)?;
            if user.uid == geteuid() {
                return Ok(None);
            }
            if !root {
                return Err(PrivilegeError::NotRoot {
                    name: name.to_owned(),
                });
            }
            return Ok(Some(Self {
                name: user.name,
                uid: user.uid,
                gid: user.gid,
                asked: true,
            }));
        }
        let [user, group] = sudo;
        let number = |text: Option<String>| text?.parse::<u32>().ok();
        let (Some(uid), Some(gid), true) = (number(user), number(group), root) else {
            return Ok(None);
        };
        if uid == 0 {
            return Ok(None);
        }
        let uid = Uid::from_raw(uid);
        let known = User::from_uid(uid).ok().flatten();
        Ok(Some(Self {
            name: known.map_or_else(|| uid.to_string(), |user| user.name),
            uid,
            gid: Gid::from_raw(gid),
            asked: false,
        }))
    }

    /// The user's number.
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// The number of the user's group.
    pub fn gid(&self) -> u32 {
        self.gid.as_raw()
    }

    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What became of one privilege.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// It was given up.
    pub done: bool,
    /// In words.
    pub what: String,
}

impl Step {
    fn done(what: impl Into<String>) -> Self {
        Self {
            done: true,
            what: what.into(),
        }
    }

    fn not(what: impl Into<String>) -> Self {
        Self {
            done: false,
            what: what.into(),
        }
    }
}

/// Gives up all privileges; files may be made and removed in `writable` only. Tells what was done and what was not
/// possible.
pub fn give_up(
    identity: Option<&Identity>,
    writable: &[PathBuf],
) -> Result<Vec<Step>, PrivilegeError> {
    let mut steps = Vec::new();
    // Needs a capability itself, and goes with no_new_privs below where it is not possible.
    drop_bounding_set();
    if let Some(identity) = identity {
        match switch(identity) {
            Ok(()) => steps.push(Step::done(format!("runs as {}", identity.name))),
            Err(source) if identity.asked => {
                return Err(PrivilegeError::Switch {
                    name: identity.name.clone(),
                    source,
                });
            }
            Err(error) => steps.push(Step::not(format!(
                "cannot become {}: {error}",
                identity.name
            ))),
        }
    }
    if identity.is_none() && geteuid().is_root() {
        steps.push(Step::done("stays user root: -Z names another one"));
    }
    steps.push(drop_capabilities());
    steps.push(match nix::sys::prctl::set_no_new_privs() {
        Ok(()) => Step::done("cannot gain new privileges"),
        Err(error) => Step::not(format!("no_new_privs: {error}")),
    });
    steps.push(restrict(writable));
    Ok(steps)
}

fn switch(identity: &Identity) -> io::Result<()> {
    // Supplementary groups first: afterwards nobody may change them.
    let named = CString::new(identity.name.as_str()).map_err(io::Error::other)?;
    if initgroups(&named, identity.gid).is_err() {
        setgroups(&[identity.gid])?;
    }
    setresgid(identity.gid, identity.gid, identity.gid)?;
    setresuid(identity.uid, identity.uid, identity.uid)?;
    let root = Uid::from_raw(0);
    if identity.uid != root && setresuid(root, root, root).is_ok() {
        return Err(io::Error::other("root could be regained"));
    }
    Ok(())
}

fn drop_bounding_set() {
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        for capability in caps::all() {
            // Kernels do not know all capabilities that the library knows.
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
    }
}

fn drop_capabilities() -> Step {
    // Kernels before 4.3 have no ambient set.
    let _ = caps::clear(None, CapSet::Ambient);
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        if let Err(error) = caps::clear(None, set) {
            return Step::not(format!("capabilities: {error}"));
        }
    }
    Step::done("has no capabilities")
}

fn restrict(writable: &[PathBuf]) -> Step {
    match landlock(writable) {
        Ok(RulesetStatus::FullyEnforced) => {
            Step::done("Landlock: files, TCP and signals are out of reach")
        }
        Ok(RulesetStatus::PartiallyEnforced) => {
            Step::done("Landlock: files are out of reach (this kernel cannot do all of it)")
        }
        Ok(RulesetStatus::NotEnforced) => Step::not("Landlock: not in this kernel"),
        Err(error) => Step::not(format!("Landlock: {error}")),
    }
}

fn landlock(writable: &[PathBuf]) -> Result<RulesetStatus, landlock::RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?;
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let write: BitFlags<AccessFs> =
        read | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::Truncate;
    let counters = COUNTERS.iter().map(|path| (Path::new(path), read));
    let writable = writable.iter().map(|path| (path.as_path(), write));
    for (path, access) in counters.chain(writable) {
        // What does not exist needs no rule.
        if let Ok(place) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(place, access))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]
    use super::*;

    fn by_sudo(uid: &str, gid: &str) -> Option<Identity> {
        Identity::choose_from(None, true, [Some(uid.to_owned()), Some(gid.to_owned())]).unwrap()
    }

    #[test]
    fn becomes_who_called_sudo() {
        let identity = by_sudo("4242", "77").unwrap();
        assert_eq!(
            (identity.uid(), identity.gid(), identity.name()),
            (4242, 77, "4242")
        );
        assert_eq!(by_sudo("0", "0"), None, "root called sudo");
        assert_eq!(by_sudo("-1", "x"), None);
        let not_root = Identity::choose_from(
            None,
            false,
            [Some("4242".to_owned()), Some("77".to_owned())],
        );
        assert_eq!(not_root.unwrap(), None);
    }

    #[test]
    fn refuses_a_user_that_cannot_be() {
        let unknown = Identity::choose_from(Some("no such user"), true, [None, None]);
        assert_eq!(
            unknown.unwrap_err().to_string(),
            "-Z no such user: no such user"
        );
        let other = if geteuid().is_root() {
            "nobody"
        } else {
            "root"
        };
        let not_root = Identity::choose_from(Some(other), false, [None, None]);
        assert!(matches!(not_root, Err(PrivilegeError::NotRoot { .. })));
    }

    /// On a thread of its own, which keeps the other tests as they are: user, capabilities and Landlock are per thread
    /// in the kernel, except that the C library carries the user to all; so the user stays.
    #[test]
    fn afterwards_files_are_out_of_reach_but_for_the_evidence() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("evidence"), folder.path().join("other"));
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(&outside, "x").unwrap();
        let check = move || {
            let steps = give_up(None, std::slice::from_ref(&inside)).unwrap();
            assert_eq!(caps::read(None, CapSet::Permitted).unwrap().len(), 0);
            std::fs::write(inside.join("a"), "evidence").unwrap();
            std::fs::rename(inside.join("a"), inside.join("b")).unwrap();
            std::fs::remove_file(inside.join("b")).unwrap();
            let sandboxed = steps
                .iter()
                .any(|step| step.done && step.what.starts_with("Landlock"));
            if !sandboxed {
                println!("skipped: {steps:?}");
                return;
            }
            let denied =
                |done: io::Result<()>| done.unwrap_err().kind() == io::ErrorKind::PermissionDenied;
            assert!(denied(std::fs::read(&outside).map(drop)));
            assert!(denied(std::fs::write(&outside, "y")));
            assert!(denied(std::fs::read("/etc/passwd").map(drop)));
            assert!(std::fs::read("/sys/class/net/lo/statistics/rx_dropped").is_ok());
        };
        std::thread::spawn(check).join().unwrap();
    }
}
