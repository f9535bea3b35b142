//! What daemon, launcher and child say to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Most descriptors that one start may pass (the kernel takes 253 in one message).
pub const FD_COUNT_MAX: usize = 250;
/// Longest encoded [`LaunchSpec`]; the kernel's own limit for an argument list is near 2 MiB.
pub const SPEC_LEN_MAX: usize = 4 << 20;
/// Byte on the gate that lets the child go on to exec.
pub const GO: u8 = b'g';

/// Everything the child needs, as data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// Program to execute.
    pub program: PathBuf,
    /// Its arguments, the program's own name first.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Number each passed descriptor gets in the program; 0, 1 and 2 included.
    pub fds: Vec<i32>,
    /// User, group and supplementary groups to become; none = stay.
    pub user: Option<User>,
    /// Resource limits to set.
    pub limits: Vec<Limit>,
    /// Working directory.
    pub directory: PathBuf,
    /// Locks to take before anything else.
    pub lease: Option<Lease>,
}

/// An account to become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// One resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Locked memory, bytes.
    LockedMemory(u64),
    /// Open files.
    OpenFiles(u64),
    /// Processes of the user.
    Processes(u64),
    /// Core file, bytes.
    Core(u64),
}

/// What to register and lock with virtlockd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// virtlockd's socket.
    pub socket: PathBuf,
    /// Who holds the locks; the pid is the child's own.
    pub owner: Owner,
    /// What to lock; empty when the guest starts paused.
    pub resources: Vec<Resource>,
}

/// Identity of a lock's owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Domain's UUID.
    pub uuid: [u8; 16],
    /// Domain's name.
    pub name: String,
    /// Domain's id.
    pub id: u32,
}

/// One lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Lock space; empty is the default one, whose names are paths.
    pub space: String,
    /// Name in that space.
    pub name: String,
    /// SHARED 1, AUTOCREATE 2.
    pub flags: u32,
}

/// Child to daemon, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromChild {
    /// Locks are held; waiting for "go".
    Ready,
    /// A step failed; the child exits.
    Refused(Refusal),
}

/// A libvirt error on its way through the gate.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refusal {
    code: i32,
    domain: i32,
    level: i32,
    message: String,
    str1: Option<String>,
    str2: Option<String>,
    str3: Option<String>,
    int1: i32,
    int2: i32,
}

impl From<error::Error> for Refusal {
    fn from(e: error::Error) -> Refusal {
        Refusal {
            code: e.code,
            domain: e.domain,
            level: e.level,
            message: e.message,
            str1: e.str1,
            str2: e.str2,
            str3: e.str3,
            int1: e.int1,
            int2: e.int2,
        }
    }
}

impl From<Refusal> for error::Error {
    fn from(r: Refusal) -> error::Error {
        error::Error {
            code: r.code,
            domain: r.domain,
            level: r.level,
            message: r.message,
            str1: r.str1,
            str2: r.str2,
            str3: r.str3,
            int1: r.int1,
            int2: r.int2,
        }
    }
}
