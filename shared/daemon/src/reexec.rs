//! A new program image in the same process: same pid, same pid file lock, same descriptors.
//!
//! The new image is started as the service manager would start it: sockets and kept descriptors from number 3 on, with
//! `LISTEN_FDS` and `LISTEN_FDNAMES`. So a daemon has one way to come back, whoever brings it back.

use std::collections::HashMap;
use std::env;
use std::ffi::{CString, OsStr};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use host::pid_file::PidFile;

use crate::status::{Failure, OrFail, Status};

const PID_FILE: &str = "VIRTD_REEXEC_PID_FILE";
const OWN_PATHS: &str = "VIRTD_REEXEC_SOCKETS";
const PROCESS: &str = "VIRTD_REEXEC_PID";
const FIRST: RawFd = 3;
/// Stands in `LISTEN_FDNAMES` for a number that is the pid file's.
pub(crate) const PID_FILE_NAME: &str = "pid-file";

/// What the new program gets.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Listening sockets by unit name.
    pub(crate) sockets: Vec<(String, OwnedFd)>,
    /// What the driver wants to keep.
    pub(crate) descriptors: Vec<(String, OwnedFd)>,
    /// Files of the sockets that we made.
    pub(crate) own_paths: Vec<PathBuf>,
}

/// What the program before us in this process left in the environment.
#[derive(Debug, Default)]
pub(crate) struct Resumed {
    same_process: bool,
    pid_file: Option<RawFd>,
    own_paths: Vec<PathBuf>,
}

impl Resumed {
    /// Takes it out of the environment.
    pub(crate) fn take() -> Resumed {
        let values: Vec<_> = [PROCESS, PID_FILE, OWN_PATHS].iter().map(env::var_os).collect();
        for name in [PROCESS, PID_FILE, OWN_PATHS] {
            host::system::forget_variable(name);
        }
        let number = |value: &Option<std::ffi::OsString>| value.as_ref()?.to_str()?.parse::<i64>().ok();
        if number(&values[0]) != Some(std::process::id().into()) {
            return Resumed::default();
        }
        let own_paths = values[2].as_deref().map(OsStr::as_bytes).unwrap_or_default();
        Resumed {
            same_process: true,
            pid_file: number(&values[1]).and_then(|number| RawFd::try_from(number).ok()),
            own_paths: own_paths
                .split(|&byte| byte == b'\n')
                .filter(|path| !path.is_empty())
                .map(|path| PathBuf::from(OsStr::from_bytes(path)))
                .collect(),
        }
    }

    /// Whether this process ran the daemon before.
    pub(crate) fn is_same_process(&self) -> bool {
        self.same_process
    }

    /// The locked pid file.
    pub(crate) fn pid_file(&self) -> Option<RawFd> {
        self.pid_file
    }

    /// Socket files to be removed at the end.
    pub(crate) fn own_paths(&self) -> &[PathBuf] {
        &self.own_paths
    }
}

/// Executes the program anew; returns only if that fails.
pub(crate) fn execute(plan: Plan, pid_file: PidFile) -> Failure {
    match try_execute(plan, pid_file) {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

fn try_execute(plan: Plan, pid_file: PidFile) -> Result<std::convert::Infallible, Failure> {
    let refused = || "cannot prepare the new program".to_owned();
    let program = env::current_exe().or_fail(Status::Reexec, refused)?;
    let program = PathBuf::from(program.to_string_lossy().trim_end_matches(" (deleted)"));
    // A classic lock goes when any descriptor of its file is closed, so the pid file keeps its number; if that lies among
    // the numbers to be filled, it is left out of the count by a name of its own.
    let lock = pid_file.keep_over_exec().or_fail(Status::Reexec, refused)?;
    let mut named: Vec<(String, Option<OwnedFd>)> =
        plan.sockets.into_iter().chain(plan.descriptors).map(|(name, fd)| (name, Some(fd))).collect();
    let place_of_lock = usize::try_from(lock - FIRST).unwrap_or(usize::MAX);
    if place_of_lock < named.len() {
        named.insert(place_of_lock, (PID_FILE_NAME.to_owned(), None));
    }
    let count = named.len();
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(":");
    let mut variables: HashMap<Vec<u8>, Vec<u8>> =
        env::vars_os().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    let own: Vec<&[u8]> = plan.own_paths.iter().map(|path| path.as_os_str().as_bytes()).collect();
    // Above the numbers that are going to be filled.
    let floor = FIRST + RawFd::try_from(count).or_fail(Status::Reexec, refused)?;
    let pid = std::process::id().to_string();
    let mut set = |name: &str, value: &[u8]| variables.insert(name.as_bytes().to_vec(), value.to_vec());
    set(PROCESS, pid.as_bytes());
    set(PID_FILE, lock.to_string().as_bytes());
    set(OWN_PATHS, &own.join(&b'\n'));
    set("LISTEN_PID", pid.as_bytes());
    set("LISTEN_FDS", count.to_string().as_bytes());
    set("LISTEN_FDNAMES", names.as_bytes());
    place_all(named, floor).or_fail(Status::Reexec, refused)?;
    let arguments: Result<Vec<CString>, _> = env::args_os().map(|word| CString::new(word.as_bytes())).collect();
    let environment: Result<Vec<CString>, _> =
        variables.iter().map(|(name, value)| CString::new([name, &b"="[..], value].concat())).collect();
    let arguments = arguments.or_fail(Status::Reexec, refused)?;
    let environment = environment.or_fail(Status::Reexec, refused)?;
    Err(host::fork::execute(&program, &arguments, &environment))
        .or_fail(Status::Reexec, || format!("cannot execute '{}'", program.display()))
}

/// Puts the descriptors at the numbers from 3 on. Whatever was there (of a runtime that has ended) is closed.
fn place_all(named: Vec<(String, Option<OwnedFd>)>, floor: RawFd) -> std::io::Result<()> {
    let mut above = Vec::new();
    for (_, fd) in named {
        // First all out of the way, so that none is overwritten before it is placed.
        above.push(fd.map(|fd| host::descriptor::duplicate_above(&fd, floor).map(|copy| (fd, copy))).transpose()?);
    }
    for (number, fds) in (FIRST..).zip(&above) {
        if let Some((_, copy)) = fds {
            host::descriptor::place(copy, number)?;
        }
    }
    // The originals' numbers may be taken now: closing them would close what was placed there. The exec cleans up.
    std::mem::forget(above);
    Ok(())
}
