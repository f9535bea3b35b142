//! virtlockd: short connections on behalf of a guest that runs already. The guest's own connection is the launcher's.

use protocol::lock::{self, proc};
use rpc::ClientConnection;

use crate::launcher::{Lease, Resource};

/// Takes a running guest's locks; those taken are given back when one is refused.
///
/// # Errors
/// RESOURCE_BUSY when somebody else holds one; what connecting answers.
pub async fn acquire(lease: &Lease, pid: i32) -> error::Result<()> {
    let connection = register(lease, pid).await?;
    for (done, resource) in lease.resources.iter().enumerate() {
        let args = lock::AcquireResourceArgs {
            path: resource.space.clone(),
            name: resource.name.clone(),
            flags: resource.flags,
        };
        if let Err(e) = connection.call::<_, ()>(lock::PROGRAM, proc::ACQUIRE_RESOURCE, &args).await {
            for taken in &lease.resources[..done] {
                release_one(&connection, taken).await?;
            }
            return Err(e);
        }
    }
    Ok(())
}

/// Gives a running guest's locks back.
///
/// # Errors
/// What virtlockd answers.
pub async fn release(lease: &Lease, pid: i32) -> error::Result<()> {
    let connection = register(lease, pid).await?;
    for resource in &lease.resources {
        release_one(&connection, resource).await?;
    }
    Ok(())
}

async fn release_one(connection: &ClientConnection, resource: &Resource) -> error::Result<()> {
    // AUTOCREATE belongs to taking; releasing accepts no flags.
    let args = lock::ReleaseResourceArgs { path: resource.space.clone(), name: resource.name.clone(), flags: 0 };
    connection.call(lock::PROGRAM, proc::RELEASE_RESOURCE, &args).await
}

async fn register(lease: &Lease, pid: i32) -> error::Result<ClientConnection> {
    let connection = ClientConnection::connect(&lease.socket).await?;
    let owner = lock::Owner {
        uuid: lease.owner.uuid,
        name: lease.owner.name.clone(),
        id: lease.owner.id,
        pid: pid.unsigned_abs(),
    };
    let () = connection.call(lock::PROGRAM, proc::REGISTER, &lock::RegisterArgs { owner, flags: 0 }).await?;
    Ok(connection)
}
