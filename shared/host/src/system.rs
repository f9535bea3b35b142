//! Facts and switches of the whole process or host: boot id, host name, environment, memory given back.

use std::fs;
use std::io;

use nix::libc;

/// The id of this boot, 36 characters with dashes.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The host's name as the kernel has it.
pub fn hostname() -> io::Result<String> {
    nix::unistd::gethostname()?.into_string().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Removes a variable from the environment of this process and of its future children.
///
/// # Panics
/// When the process has more than one thread: others might be reading the environment.
pub fn forget_variable(name: &str) {
    assert!(single_threaded(), "the environment may change only before threads are started");
    // SAFETY: there is no other thread that could read or write the environment meanwhile.
    unsafe { std::env::remove_var(name) }
}

/// Sets a variable in the environment of this process and of its future children.
///
/// # Panics
/// As [`forget_variable`].
pub fn set_variable(name: &str, value: &str) {
    assert!(single_threaded(), "the environment may change only before threads are started");
    // SAFETY: there is no other thread that could read or write the environment meanwhile.
    unsafe { std::env::set_var(name, value) }
}

/// Whether this process has one thread only. When `/proc` cannot tell, the answer is no.
pub fn single_threaded() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// Gives free heap memory back to the kernel; worth it after a burst.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes the allocator's own lock and moves no live allocation.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Clock ticks in a second, the unit of process start times.
pub fn clock_ticks() -> u64 {
    // SAFETY: plain library call without pointers.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_host_answers() {
        assert_eq!(super::boot_id().unwrap().len(), 36);
        assert!(!super::hostname().unwrap().is_empty());
        assert!(super::clock_ticks() > 0);
        super::trim_memory();
    }
}
