//! One request at a time for each resource, while its file is worked on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::space::Key;

type Table = Arc<Mutex<HashMap<Key, Arc<Notify>>>>;

/// The claims; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    taken: Table,
}

/// The right to work on one resource, until dropped.
#[derive(Debug)]
pub struct Claim {
    key: Key,
    taken: Table,
}

impl Claims {
    /// Waits until nobody else works on the resource.
    pub async fn take(&self, key: &Key) -> Claim {
        loop {
            let busy = {
                let mut taken = lock(&self.taken);
                match taken.get(key) {
                    // Registered under the lock, so that the end of the claim cannot fall in between.
                    Some(end) => end.clone().notified_owned(),
                    None => {
                        taken.insert(key.clone(), Arc::default());
                        return Claim { key: key.clone(), taken: self.taken.clone() };
                    }
                }
            };
            busy.await;
        }
    }
}

impl Claim {
    /// What is claimed.
    pub fn key(&self) -> &Key {
        &self.key
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(end) = lock(&self.taken).remove(&self.key) {
            end.notify_waiters();
        }
    }
}

fn lock(taken: &Table) -> MutexGuard<'_, HashMap<Key, Arc<Notify>>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_after_the_other_and_others_beside() {
        let claims = Claims::default();
        let key = |name: &str| Key { space: String::new(), name: name.into() };
        let first = claims.take(&key("a")).await;
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let claims = claims.clone();
                tokio::spawn(async move { drop(claims.take(&key("a")).await) })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(claims.take(&key("b")).await);
        assert!(waiting.iter().all(|task| !task.is_finished()));
        drop(first);
        for task in waiting {
            task.await.unwrap();
        }
        assert!(lock(&claims.taken).is_empty());
    }
}
