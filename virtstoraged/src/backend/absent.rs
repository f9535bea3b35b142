//! Types that can be defined but not started yet: every operation says so.

use conf::pool::PoolDef;
use error::{Code, Domain, Error, Result};

use super::{Backend, Scan};

pub(crate) struct Absent;

fn refuse<T>(def: &PoolDef, what: &str) -> Result<T> {
    let detail = format!("{what} pools of type '{}' is not supported", def.kind);
    Err(Error::new(Domain::Storage, Code::NoSupport, detail))
}

impl Backend for Absent {
    fn is_up(&self, _def: &PoolDef) -> bool {
        false
    }

    fn build(&self, def: &PoolDef, _flags: u32) -> Result<()> {
        refuse(def, "building")
    }

    fn start(&self, def: &PoolDef) -> Result<()> {
        refuse(def, "starting")
    }

    fn stop(&self, def: &PoolDef) -> Result<()> {
        refuse(def, "stopping")
    }

    fn delete(&self, def: &PoolDef, _flags: u32) -> Result<()> {
        refuse(def, "deleting")
    }

    fn scan(&self, def: &PoolDef) -> Result<Scan> {
        refuse(def, "refreshing")
    }

    fn figures(&self, def: &PoolDef) -> Result<(u64, u64, u64)> {
        refuse(def, "measuring")
    }
}
