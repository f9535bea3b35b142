//! Which event registrations a client has at a sibling: the only bodies a relay looks into.
//!
//! The sibling gives each registration a callback id. The client keeps the id it was first given, also when a
//! restarted sibling counts anew: ids are then replaced in events and deregistrations.

use crate::frame::Frame;
use bytes::Bytes;
use protocol::remote::proc as remote_proc;
use protocol::{Class, Kind, qemu, remote};

/// What a call does to the registrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// Registers; the reply carries a callback id.
    Register(Family),
    /// Removes the registration whose callback id the call carries.
    Deregister(Family),
    /// Registers for the event with this number, old style.
    RegisterEvent(i32),
    /// Removes it.
    DeregisterEvent(i32),
}

/// Callback ids are unique within a family: the program and the kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    program: u32,
    class: Class,
}

/// Number under which the oldest registration call, which has no argument, counts: lifecycle events.
const OLDEST_EVENT: i32 = -1;

/// What the call in this frame does.
pub(super) fn effect(frame: &Frame) -> Effect {
    let header = &frame.header;
    let family = |class| Family { program: header.program, class };
    match (header.program, header.procedure) {
        (remote::PROGRAM, number) => match number {
            remote_proc::CONNECT_DOMAIN_EVENT_REGISTER => Effect::RegisterEvent(OLDEST_EVENT),
            remote_proc::CONNECT_DOMAIN_EVENT_DEREGISTER => Effect::DeregisterEvent(OLDEST_EVENT),
            remote_proc::CONNECT_DOMAIN_EVENT_REGISTER_ANY => {
                frame.first_word().map_or(Effect::None, Effect::RegisterEvent)
            }
            remote_proc::CONNECT_DOMAIN_EVENT_DEREGISTER_ANY => {
                frame.first_word().map_or(Effect::None, Effect::DeregisterEvent)
            }
            remote_proc::CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY => Effect::Register(family(Class::Hypervisor)),
            remote_proc::CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY => Effect::Deregister(family(Class::Hypervisor)),
            remote_proc::CONNECT_NETWORK_EVENT_REGISTER_ANY => Effect::Register(family(Class::Network)),
            remote_proc::CONNECT_NETWORK_EVENT_DEREGISTER_ANY => Effect::Deregister(family(Class::Network)),
            remote_proc::CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY => Effect::Register(family(Class::Storage)),
            remote_proc::CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY => Effect::Deregister(family(Class::Storage)),
            remote_proc::CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY => Effect::Register(family(Class::Nodedev)),
            remote_proc::CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY => Effect::Deregister(family(Class::Nodedev)),
            remote_proc::CONNECT_SECRET_EVENT_REGISTER_ANY => Effect::Register(family(Class::Secret)),
            remote_proc::CONNECT_SECRET_EVENT_DEREGISTER_ANY => Effect::Deregister(family(Class::Secret)),
            _ => Effect::None,
        },
        (qemu::PROGRAM, qemu::proc::CONNECT_DOMAIN_MONITOR_EVENT_REGISTER) => {
            Effect::Register(family(Class::Hypervisor))
        }
        (qemu::PROGRAM, qemu::proc::CONNECT_DOMAIN_MONITOR_EVENT_DEREGISTER) => {
            Effect::Deregister(family(Class::Hypervisor))
        }
        _ => Effect::None,
    }
}

/// The family of a server message whose body begins with a callback id.
fn event_family(program: u32, number: i32) -> Option<Family> {
    let procedure = match program {
        remote::PROGRAM => remote::procedure(number),
        qemu::PROGRAM => qemu::procedure(number),
        _ => None,
    }?;
    let has_id = match program {
        remote::PROGRAM => procedure.event.is_some_and(|event| !event.global),
        _ => procedure.kind == Kind::Event,
    };
    has_id.then_some(Family { program, class: procedure.class })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Callback { family: Family, client: i32, upstream: i32 },
    Event(i32),
}

/// A call that has to be repeated after the sibling's restart.
#[derive(Debug, Clone)]
pub(super) struct Registration {
    pub(super) program: u32,
    pub(super) procedure: i32,
    pub(super) payload: Bytes,
    key: Key,
}

/// One client's registrations at one sibling.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    list: Vec<Registration>,
}

impl Registrations {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn all(&self) -> Vec<Registration> {
        self.list.clone()
    }

    /// The sibling's id for an id of the client's.
    pub(super) fn upstream_id(&self, family: Family, client_id: i32) -> i32 {
        self.callbacks(family).find(|(client, _)| *client == client_id).map_or(client_id, |(_, upstream)| upstream)
    }

    /// A registration succeeded: notes it and gives the id that the client is to know it by.
    pub(super) fn add(&mut self, family: Family, procedure: i32, payload: Bytes, upstream: i32) -> i32 {
        let taken = self.callbacks(family).any(|(client, _)| client == upstream);
        let next = self.callbacks(family).map(|(client, _)| client.saturating_add(1)).max().unwrap_or(0);
        let client = if taken { next } else { upstream };
        let key = Key::Callback { family, client, upstream };
        self.list.push(Registration { program: family.program, procedure, payload, key });
        client
    }

    /// An old-style registration succeeded.
    pub(super) fn add_event(&mut self, program: u32, procedure: i32, payload: Bytes, event: i32) {
        self.list.push(Registration { program, procedure, payload, key: Key::Event(event) });
    }

    /// A deregistration succeeded.
    pub(super) fn remove(&mut self, family: Family, client_id: i32) {
        self.list.retain(
            |one| !matches!(one.key, Key::Callback { family: of, client, .. } if of == family && client == client_id),
        );
    }

    /// An old-style deregistration succeeded.
    pub(super) fn remove_event(&mut self, event: i32) {
        if let Some(at) = self.list.iter().position(|one| one.key == Key::Event(event)) {
            self.list.remove(at);
        }
    }

    /// A repeated registration has a new id at the sibling.
    pub(super) fn renew(&mut self, repeated: &Registration, reply: &Frame) {
        let (Some(id), Some(one)) = (reply.first_word(), self.list.iter_mut().find(|one| one.key == repeated.key))
        else {
            return;
        };
        if let Key::Callback { upstream, .. } = &mut one.key {
            *upstream = id;
        }
    }

    /// Puts the client's callback id into an event.
    pub(super) fn translate(&self, event: &mut Frame) {
        let Some(family) = event_family(event.header.program, event.header.procedure) else { return };
        let Some(id) = event.first_word() else { return };
        if let Some((client, _)) = self.callbacks(family).find(|(_, upstream)| *upstream == id)
            && client != id
        {
            event.set_first_word(client);
        }
    }

    fn callbacks(&self, family: Family) -> impl Iterator<Item = (i32, i32)> + '_ {
        self.list.iter().filter_map(move |one| match one.key {
            Key::Callback { family: of, client, upstream } if of == family => Some((client, upstream)),
            _ => None,
        })
    }
}
