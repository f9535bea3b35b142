//! Telling clients what happens to pools.

use error::{Code, Domain, Error, Result};
use object::events::Style;
use protocol::remote;
use std::sync::Arc;
use uuid::Uuid;

use crate::driver::Driver;
use crate::pool::Pool;

/// `VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE`.
const LIFECYCLE: i32 = 0;
/// `VIR_STORAGE_POOL_EVENT_ID_REFRESH`.
const REFRESH: i32 = 1;

/// What happened, by libvirt's numbers (`virStoragePoolEventLifecycleType`).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lifecycle {
    Defined = 0,
    Undefined = 1,
    Started = 2,
    Stopped = 3,
    Created = 4,
    Deleted = 5,
}

/// How a pool is named on the wire.
pub(crate) fn wire_pool(pool: &Pool) -> remote::NonnullStoragePool {
    remote::NonnullStoragePool { name: pool.name.to_string(), uuid: *pool.uuid.as_bytes() }
}

impl Driver {
    /// Sends a lifecycle event.
    pub(crate) fn lifecycle(&self, pool: &Pool, what: Lifecycle) {
        for (client, style) in self.0.subscriptions.receivers(LIFECYCLE, &pool.uuid) {
            let Style::Callback(callback_id) = style else { continue };
            let message = remote::StoragePoolEventLifecycleMsg {
                callback_id,
                pool: wire_pool(pool),
                event: what as i32,
                detail: 0,
            };
            client.send_event(remote::PROGRAM, remote::proc::STORAGE_POOL_EVENT_LIFECYCLE, &message);
        }
    }

    /// Sends a refresh event.
    pub(crate) fn refreshed(&self, pool: &Pool) {
        for (client, style) in self.0.subscriptions.receivers(REFRESH, &pool.uuid) {
            let Style::Callback(callback_id) = style else { continue };
            let message = remote::StoragePoolEventRefreshMsg { callback_id, pool: wire_pool(pool) };
            client.send_event(remote::PROGRAM, remote::proc::STORAGE_POOL_EVENT_REFRESH, &message);
        }
    }

    /// Registers a client for an event, of one pool or of all.
    pub(crate) fn subscribe(&self, client: &Arc<rpc::Client>, event: i32, pool: Option<Uuid>) -> Result<i32> {
        if !(LIFECYCLE..=REFRESH).contains(&event) {
            return Err(failure(format!("unsupported storage pool event ID {event}")));
        }
        let first = client.data::<Registered>();
        if !first.0.swap(true, std::sync::atomic::Ordering::Relaxed) {
            let (driver, id) = (self.clone(), client.id());
            client.on_close(move || driver.0.subscriptions.remove_client(id));
        }
        self.0.subscriptions.register(client.id(), client.clone(), event, pool).map_err(|e| failure(e.to_string()))
    }

    /// Takes a registration back.
    pub(crate) fn unsubscribe(&self, client: &rpc::Client, callback_id: i32) -> Result<()> {
        self.0.subscriptions.deregister(client.id(), callback_id).map_err(|e| failure(e.to_string()))
    }
}

/// Whether a client's end is already watched.
#[derive(Debug, Default)]
struct Registered(std::sync::atomic::AtomicBool);

fn failure(detail: String) -> Error {
    Error::new(Domain::Rpc, Code::InternalError, detail)
}
