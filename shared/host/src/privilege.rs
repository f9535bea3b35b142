//! What a child gives up between fork and exec: identity, capabilities, limits.

use std::io;

use nix::libc;
use nix::unistd::{Gid, Uid};

use crate::account::Account;

/// Capability numbers (linux/capability.h) that our children may keep.
pub mod capability {
    /// Bind ports below 1024.
    pub const NET_BIND_SERVICE: u8 = 10;
    /// Network administration.
    pub const NET_ADMIN: u8 = 12;
    /// Raw sockets.
    pub const NET_RAW: u8 = 13;
}

/// Becomes the account for good: groups, then group, then user.
pub fn become_account(account: &Account) -> io::Result<()> {
    let groups: Vec<Gid> = account.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    nix::unistd::setgroups(&groups)?;
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)?;
    Ok(())
}

/// Nothing executed from here on gains privileges by set-user-id bits or file capabilities.
pub fn no_new_privileges() -> io::Result<()> {
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

/// Keeps only the capabilities in `keep` in the bounding set, and clears the ambient set. With the identity changed to an
/// ordinary user the other sets are empty anyhow; for a root child they are intersected at exec.
pub fn bound_capabilities(keep: &[u8]) -> io::Result<()> {
    // SAFETY: prctl with integers only.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    for number in 0..=63u8 {
        // SAFETY: prctl with integers only.
        match unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(number), 0, 0, 0) } {
            1 if !keep.contains(&number) => {
                // SAFETY: prctl with integers only.
                if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) } != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            0 | 1 => {}
            // The kernel knows no higher number.
            _ => break,
        }
    }
    Ok(())
}

/// Sends this signal to us when our parent dies.
pub fn die_with_parent(signal: nix::sys::signal::Signal) -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(signal)?)
}

/// Lets the command's process be killed when we are. The kernel looks at the thread that spawns it: call from one that lives
/// as long as the process, such as a worker of the runtime, not from the pool of blocking threads.
pub fn kill_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let parent = nix::unistd::getpid();
    let hook = move || {
        die_with_parent(nix::sys::signal::Signal::SIGKILL)?;
        // we may have died before the kernel was told
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    };
    // SAFETY: the hook makes two system calls without memory or locks, as is allowed between fork and exec.
    unsafe { command.pre_exec(hook) };
}
