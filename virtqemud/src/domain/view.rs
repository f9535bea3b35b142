//! What the world sees of a domain without asking its actor.

use std::sync::Arc;

use conf::domain::DomainDef;
use uuid::Uuid;

use super::state::State;

/// The published copy of a domain's state: whole, never changed, replaced.
#[derive(Debug, Clone)]
pub struct DomainView {
    /// Identity.
    pub uuid: Uuid,
    /// Name.
    pub name: String,
    /// Id while it runs.
    pub id: Option<i32>,
    /// State and reason.
    pub state: State,
    /// Definition of the running guest.
    pub live: Option<Arc<DomainDef>>,
    /// Definition of the next boot; none for a transient domain.
    pub persistent: Option<Arc<DomainDef>>,
    /// Starts with the host.
    pub autostart: bool,
    /// The running guest was changed after its start (`virDomainIsUpdated`).
    pub updated: bool,
    /// Process id of QEMU.
    pub pid: Option<i32>,
    /// Thread ids of the vCPUs, by number.
    pub vcpu_threads: Vec<i32>,
}

impl DomainView {
    /// The definition that describes the domain best now: the running one, else the stored one.
    pub fn definition(&self) -> &Arc<DomainDef> {
        self.live.as_ref().or(self.persistent.as_ref()).expect("a domain has one definition at least")
    }

    /// Whether QEMU runs (or is being started).
    pub fn is_active(&self) -> bool {
        self.id.is_some()
    }

    /// The domain as replies and events name it.
    pub fn wire(&self) -> protocol::remote::NonnullDomain {
        protocol::remote::NonnullDomain {
            name: self.name.clone(),
            uuid: self.uuid.into_bytes(),
            id: self.id.unwrap_or(-1),
        }
    }
}
