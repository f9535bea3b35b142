//! What a process uses, from /proc.

use std::fs;
use std::time::Duration;

/// A thread's share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time.
    pub cpu_time: Duration,
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
    /// CPU it ran on last.
    pub last_cpu: i32,
    /// Resident pages, in KiB.
    pub resident_kib: u64,
}

/// CPU time of the process so far; none when it is gone.
pub fn cpu_time(pid: i32) -> Option<Duration> {
    process(pid).map(|usage| usage.cpu_time)
}

/// What the whole process uses.
pub fn process(pid: i32) -> Option<Usage> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// What one thread uses.
pub fn thread(pid: i32, thread: i32) -> Option<Usage> {
    parse(&fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok()?)
}

/// CPUs the thread may run on: byte 0 holds CPUs 0 to 7.
pub fn affinity(thread: i32) -> Vec<u8> {
    let Ok(set) = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(thread)) else { return Vec::new() };
    let mut map = Vec::new();
    for cpu in 0..nix::sched::CpuSet::count() {
        if set.is_set(cpu).unwrap_or(false) {
            map.resize(map.len().max(cpu / 8 + 1), 0);
            map[cpu / 8] |= 1 << (cpu % 8);
        }
    }
    map
}

/// Fields of proc(5) after the command, which may hold spaces and brackets.
fn parse(stat: &str) -> Option<Usage> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
    let ticks = |field: usize| {
        number(field).map(|count| Duration::from_secs_f64(count as f64 / host::system::clock_ticks() as f64))
    };
    let (user, system) = (ticks(14)?, ticks(15)?);
    Some(Usage {
        cpu_time: user + system,
        user,
        system,
        last_cpu: fields.get(39 - 3)?.parse().ok()?,
        resident_kib: number(24)? * 4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 99 1000 25 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 3 0 0";
        let usage = parse(stat).unwrap();
        assert_eq!((usage.last_cpu, usage.resident_kib), (3, 100));
        assert_eq!(usage.cpu_time, usage.user + usage.system);
        assert_eq!(parse("no stat"), None);
    }

    #[test]
    fn we_use_something() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(process(me).unwrap().resident_kib > 0);
        assert!(affinity(0).iter().any(|byte| *byte != 0));
    }
}
