//! All objects of a kind, found by uuid or name.
//!
//! Holds handles (cheap clones), not state. The lock is never held across anything that waits.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use uuid::Uuid;

/// Why a uuid and name cannot be taken together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// The name belongs to an object with another uuid.
    #[error("'{name}' already exists with uuid {uuid}")]
    Name {
        /// The name in question.
        name: String,
        /// Who has it.
        uuid: Uuid,
    },
    /// The uuid belongs to an object with another name.
    #[error("'{name}' is already defined with uuid {uuid}")]
    Uuid {
        /// Name of the object that has the uuid.
        name: String,
        /// The uuid in question.
        uuid: Uuid,
    },
    /// This very object exists.
    #[error("'{name}' exists with uuid {uuid}")]
    Same {
        /// Its name.
        name: String,
        /// Its uuid.
        uuid: Uuid,
    },
}

/// Objects of one kind; `T` is their handle.
#[derive(Debug)]
pub struct Registry<T> {
    table: RwLock<Table<T>>,
}

#[derive(Debug)]
struct Table<T> {
    by_uuid: HashMap<Uuid, (String, T)>,
    by_name: BTreeMap<String, Uuid>,
}

impl<T: Clone> Default for Registry<T> {
    fn default() -> Self {
        Registry::new()
    }
}

impl<T: Clone> Registry<T> {
    /// An empty registry.
    pub fn new() -> Registry<T> {
        Registry { table: RwLock::new(Table { by_uuid: HashMap::new(), by_name: BTreeMap::new() }) }
    }

    /// The object with this uuid.
    pub fn by_uuid(&self, uuid: &Uuid) -> Option<T> {
        self.read().by_uuid.get(uuid).map(|(_, object)| object.clone())
    }

    /// The object with this name.
    pub fn by_name(&self, name: &str) -> Option<T> {
        let table = self.read();
        let uuid = table.by_name.get(name)?;
        table.by_uuid.get(uuid).map(|(_, object)| object.clone())
    }

    /// All objects in the order of their names.
    pub fn list(&self) -> Vec<T> {
        let table = self.read();
        table.by_name.values().map(|uuid| table.by_uuid[uuid].1.clone()).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.read().by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a definition with this uuid and name could be entered: `Ok(None)` as a new object, `Ok(Some)` as a new
    /// definition of that object.
    ///
    /// # Errors
    /// The clash with another object.
    pub fn admit(&self, uuid: &Uuid, name: &str) -> Result<Option<T>, Clash> {
        let table = self.read();
        match table.check(uuid, name) {
            None => Ok(None),
            Some(Clash::Same { .. }) => Ok(table.by_uuid.get(uuid).map(|(_, object)| object.clone())),
            Some(clash) => Err(clash),
        }
    }

    /// Enters a new object, made by `make` only when uuid and name are free; nobody can slip in between.
    ///
    /// # Errors
    /// The clash, [`Clash::Same`] included.
    pub fn insert_with(&self, uuid: Uuid, name: &str, make: impl FnOnce() -> T) -> Result<T, Clash> {
        let mut table = self.write();
        if let Some(clash) = table.check(&uuid, name) {
            return Err(clash);
        }
        let object = make();
        table.by_uuid.insert(uuid, (name.to_owned(), object.clone()));
        table.by_name.insert(name.to_owned(), uuid);
        Ok(object)
    }

    /// Enters a new object.
    ///
    /// # Errors
    /// The clash, [`Clash::Same`] included.
    pub fn insert(&self, uuid: Uuid, name: &str, object: T) -> Result<(), Clash> {
        self.insert_with(uuid, name, || object).map(drop)
    }

    /// Takes the object out.
    pub fn remove(&self, uuid: &Uuid) -> Option<T> {
        let mut table = self.write();
        let (name, object) = table.by_uuid.remove(uuid)?;
        table.by_name.remove(&name);
        Some(object)
    }

    /// Gives the object a new name. `Ok(false)`: there is no such object.
    ///
    /// # Errors
    /// The new name is taken.
    pub fn rename(&self, uuid: &Uuid, name: &str) -> Result<bool, Clash> {
        let mut table = self.write();
        if let Some(&owner) = table.by_name.get(name) {
            return if owner == *uuid { Ok(true) } else { Err(Clash::Name { name: name.to_owned(), uuid: owner }) };
        }
        let Some(entry) = table.by_uuid.get_mut(uuid) else {
            return Ok(false);
        };
        let old = std::mem::replace(&mut entry.0, name.to_owned());
        table.by_name.remove(&old);
        table.by_name.insert(name.to_owned(), *uuid);
        Ok(true)
    }

    // No code that can panic runs under the lock but `make`, which runs before anything is changed: a poisoned lock
    // guards a whole table.
    fn read(&self) -> RwLockReadGuard<'_, Table<T>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<T>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Table<T> {
    fn check(&self, uuid: &Uuid, name: &str) -> Option<Clash> {
        if let Some((holder, _)) = self.by_uuid.get(uuid) {
            let (same, name, uuid) = (holder == name, holder.clone(), *uuid);
            return Some(if same { Clash::Same { name, uuid } } else { Clash::Uuid { name, uuid } });
        }
        let holder = self.by_name.get(name)?;
        Some(Clash::Name { name: name.to_owned(), uuid: *holder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_and_name_are_each_unique() {
        let registry = Registry::new();
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        registry.insert(a, "one", 1).unwrap();
        registry.insert(b, "two", 2).unwrap();
        assert_eq!(registry.by_name("one"), Some(1));
        assert_eq!(registry.by_uuid(&b), Some(2));
        assert_eq!(registry.list(), [1, 2]);
        assert_eq!(registry.insert(a, "one", 9), Err(Clash::Same { name: "one".into(), uuid: a }));
        assert_eq!(registry.insert(a, "new", 9), Err(Clash::Uuid { name: "one".into(), uuid: a }));
        assert_eq!(registry.insert(Uuid::from_u128(3), "one", 9), Err(Clash::Name { name: "one".into(), uuid: a }));
        assert_eq!(registry.admit(&a, "one"), Ok(Some(1)));
        assert_eq!(registry.admit(&Uuid::from_u128(3), "three"), Ok(None));
        assert!(registry.admit(&a, "two").is_err());
        assert_eq!(registry.rename(&a, "two"), Err(Clash::Name { name: "two".into(), uuid: b }));
        assert_eq!(registry.rename(&a, "uno"), Ok(true));
        assert_eq!(registry.by_name("one"), None);
        assert_eq!(registry.by_name("uno"), Some(1));
        assert_eq!(registry.remove(&a), Some(1));
        assert_eq!(registry.by_name("uno"), None);
        assert_eq!(registry.rename(&a, "x"), Ok(false));
        assert_eq!(registry.len(), 1);
    }
}
