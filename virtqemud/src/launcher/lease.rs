//! The future guest's own connection to the lock daemon.

use std::os::fd::OwnedFd;

use protocol::lock::{self, proc};
use rpc::blocking::BlockingConnection;

use super::message::Lease;

/// The lock daemon makes the resource's file.
const AUTOCREATE: u32 = 2;

/// Registers `pid`, which must be the calling process, takes the locks, restricts the connection and returns it: the
/// locks live as long as it is open.
///
/// # Errors
/// RESOURCE_BUSY when somebody else holds a lock; what connecting answers.
pub(super) fn acquire(lease: &Lease, pid: i32) -> error::Result<OwnedFd> {
    let mut connection = BlockingConnection::connect(&lease.socket)?;
    let owner = lock::Owner {
        uuid: lease.owner.uuid,
        name: lease.owner.name.clone(),
        id: lease.owner.id,
        pid: pid.unsigned_abs(),
    };
    let () = connection.call(lock::PROGRAM, proc::REGISTER, &lock::RegisterArgs { owner, flags: 0 })?;
    for resource in &lease.resources {
        // Spaces of our own making are made when they are first needed; making one again is fine.
        if resource.flags & AUTOCREATE != 0 {
            let args = lock::CreateLockSpaceArgs { path: resource.space.clone() };
            let () = connection.call(lock::PROGRAM, proc::CREATE_LOCKSPACE, &args)?;
        }
        let args = lock::AcquireResourceArgs {
            path: resource.space.clone(),
            name: resource.name.clone(),
            flags: resource.flags,
        };
        let () = connection.call(lock::PROGRAM, proc::ACQUIRE_RESOURCE, &args)?;
    }
    let () = connection.call(lock::PROGRAM, proc::RESTRICT, &lock::RestrictArgs { flags: 0 })?;
    Ok(connection.into_fd())
}
