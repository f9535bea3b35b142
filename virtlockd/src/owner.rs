//! Who holds a lock: the guest and its process.

use serde::{Deserialize, Serialize};

/// One holder of a resource, as registered by its lock client and proven by us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The process whose life is the life of the lock.
    pub pid: i32,
    /// Its start time in clock ticks since boot, so that a reused number is no owner.
    pub start_time: u64,
    /// The guest's UUID.
    pub uuid: String,
    /// The guest's name.
    pub name: String,
    /// The guest's id.
    pub id: u32,
    /// When it took the lock, in seconds since 1970.
    pub since: u64,
}

/// A process as one lock owner: number and start time.
pub type OwnerKey = (i32, u64);

impl Owner {
    /// The process.
    pub fn key(&self) -> OwnerKey {
        (self.pid, self.start_time)
    }
}
