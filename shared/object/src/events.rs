//! Who wants to hear of which events.
//!
//! A table and nothing more: it says who gets an event, the driver formats the message and sends it. New clients get a
//! callback id with each registration and see it in each message; old ones register an event id as a whole and their
//! messages carry none.

use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// Most registrations that one client may hold; libvirt's own clients need a few dozen.
pub const REGISTRATIONS_MAX: usize = 1024;

/// How a client registered, and so how its messages look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// By event id; messages without a callback id.
    Global,
    /// Messages carry this callback id.
    Callback(i32),
}

/// Why a registration could not be made or taken back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such callback id with this client.
    #[error("{kind} event callback {id} not registered")]
    NoCallback {
        /// Kind of object, as libvirt's messages call it ("domain", "storage pool", ...).
        kind: &'static str,
        /// The callback id.
        id: i32,
    },
    /// The client has not registered this event as a whole.
    #[error("{kind} event {event} not registered")]
    NoEvent {
        /// Kind of object.
        kind: &'static str,
        /// The event id.
        event: i32,
    },
    /// The client holds [`REGISTRATIONS_MAX`] registrations.
    #[error("too many {kind} event registrations")]
    TooMany {
        /// Kind of object.
        kind: &'static str,
    },
}

impl From<Error> for error::Error {
    fn from(value: Error) -> error::Error {
        error::Error::new(error::Domain::Rpc, error::Code::InternalError, value.to_string())
    }
}

/// Registrations for the events of one kind of object. `R` is the way to a client: a cheap clone.
#[derive(Debug)]
pub struct Subscriptions<R> {
    kind: &'static str,
    table: Mutex<Table<R>>,
}

#[derive(Debug)]
struct Table<R> {
    next_callback: i32,
    rows: Vec<Row<R>>,
}

#[derive(Debug)]
struct Row<R> {
    client: u64,
    receiver: R,
    event: i32,
    /// Only events of this object.
    object: Option<Uuid>,
    style: Style,
}

impl<R: Clone> Subscriptions<R> {
    /// `kind`: the kind of object as libvirt's messages call it.
    pub fn new(kind: &'static str) -> Subscriptions<R> {
        Subscriptions { kind, table: Mutex::new(Table { next_callback: 0, rows: Vec::new() }) }
    }

    /// Registers a client for an event, of one object or of all; returns the callback id.
    ///
    /// # Errors
    /// [`Error::TooMany`].
    pub fn register(&self, client: u64, receiver: R, event: i32, object: Option<Uuid>) -> Result<i32, Error> {
        let mut table = self.lock();
        self.check_room(&table, client)?;
        let mut id = table.next_callback;
        // After two billion registrations the ids start again; skip those in use.
        while table.rows.iter().any(|row| row.style == Style::Callback(id)) {
            id = id.checked_add(1).unwrap_or(0);
        }
        table.next_callback = id.checked_add(1).unwrap_or(0);
        table.rows.push(Row { client, receiver, event, object, style: Style::Callback(id) });
        Ok(id)
    }

    /// Registers a client for an event in the old style.
    ///
    /// # Errors
    /// [`Error::TooMany`].
    pub fn register_global(&self, client: u64, receiver: R, event: i32) -> Result<(), Error> {
        let mut table = self.lock();
        self.check_room(&table, client)?;
        table.rows.push(Row { client, receiver, event, object: None, style: Style::Global });
        Ok(())
    }

    /// Takes a registration back.
    ///
    /// # Errors
    /// [`Error::NoCallback`], also for an id that belongs to another client.
    pub fn deregister(&self, client: u64, id: i32) -> Result<(), Error> {
        self.take(|row| row.client == client && row.style == Style::Callback(id))
            .then_some(())
            .ok_or(Error::NoCallback { kind: self.kind, id })
    }

    /// Takes an old-style registration back.
    ///
    /// # Errors
    /// [`Error::NoEvent`].
    pub fn deregister_global(&self, client: u64, event: i32) -> Result<(), Error> {
        self.take(|row| row.client == client && row.style == Style::Global && row.event == event)
            .then_some(())
            .ok_or(Error::NoEvent { kind: self.kind, event })
    }

    /// Forgets a client that is gone.
    pub fn remove_client(&self, client: u64) {
        self.lock().rows.retain(|row| row.client != client);
    }

    /// Who hears of this event of this object, in the order of registration.
    pub fn receivers(&self, event: i32, object: &Uuid) -> Vec<(R, Style)> {
        self.lock()
            .rows
            .iter()
            .filter(|row| row.event == event && row.object.is_none_or(|only| only == *object))
            .map(|row| (row.receiver.clone(), row.style))
            .collect()
    }

    /// Whether anyone hears of this event; formatting can be saved otherwise.
    pub fn is_wanted(&self, event: i32) -> bool {
        self.lock().rows.iter().any(|row| row.event == event)
    }

    fn check_room(&self, table: &Table<R>, client: u64) -> Result<(), Error> {
        let held = table.rows.iter().filter(|row| row.client == client).count();
        if held < REGISTRATIONS_MAX { Ok(()) } else { Err(Error::TooMany { kind: self.kind }) }
    }

    fn take(&self, which: impl Fn(&Row<R>) -> bool) -> bool {
        let mut table = self.lock();
        let found = table.rows.iter().position(which);
        found.map(|at| table.rows.remove(at)).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Table<R>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_reaches_those_who_asked() {
        let subscriptions = Subscriptions::new("domain");
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = subscriptions.register(1, "ann", 0, None).unwrap();
        let second = subscriptions.register(2, "bob", 0, Some(a)).unwrap();
        subscriptions.register_global(3, "old", 0).unwrap();
        subscriptions.register(1, "ann", 7, None).unwrap();
        assert_ne!(first, second);
        assert_eq!(
            subscriptions.receivers(0, &a),
            [("ann", Style::Callback(first)), ("bob", Style::Callback(second)), ("old", Style::Global)]
        );
        assert_eq!(subscriptions.receivers(0, &b).len(), 2);
        assert!(subscriptions.is_wanted(7) && !subscriptions.is_wanted(8));
        assert_eq!(
            subscriptions.deregister(1, second).unwrap_err().to_string(),
            format!("domain event callback {second} not registered"),
            "another client's id"
        );
        subscriptions.deregister(2, second).unwrap();
        assert_eq!(subscriptions.deregister(2, second), Err(Error::NoCallback { kind: "domain", id: second }));
        subscriptions.deregister_global(3, 0).unwrap();
        assert_eq!(subscriptions.deregister_global(3, 0), Err(Error::NoEvent { kind: "domain", event: 0 }));
        subscriptions.remove_client(1);
        assert!(subscriptions.receivers(0, &a).is_empty());
    }

    #[test]
    fn one_client_cannot_fill_the_table() {
        let subscriptions = Subscriptions::new("network");
        for _ in 0..REGISTRATIONS_MAX {
            subscriptions.register(1, (), 0, None).unwrap();
        }
        assert_eq!(subscriptions.register(1, (), 0, None), Err(Error::TooMany { kind: "network" }));
        subscriptions.register(2, (), 0, None).unwrap();
    }
}
