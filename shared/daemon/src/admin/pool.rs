//! The worker figures that tools read and set.
//!
//! Calls are tasks here and no thread stands behind a worker; the figures are kept because administrators' tools set
//! them and expect to read them back, and they are refused where libvirt refuses them.

use std::sync::{Mutex, PoisonError};

use error::Result;
use protocol::admin::{TypedParam, TypedParamValue};
use protocol::constants as c;

use super::invalid;
use crate::settings::Limits;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Figures {
    min: u32,
    max: u32,
    priority: u32,
}

/// The figures of one server.
#[derive(Debug)]
pub(super) struct Pool {
    figures: Mutex<Figures>,
}

impl Pool {
    pub(super) fn new(limits: &Limits, admin: bool) -> Pool {
        let priority = if admin { 0 } else { limits.prio_workers };
        Pool { figures: Mutex::new(Figures { min: limits.min_workers, max: limits.max_workers, priority }) }
    }

    pub(super) fn params(&self) -> Vec<TypedParam> {
        let figures = *self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = [
            (c::VIR_THREADPOOL_WORKERS_MIN, figures.min),
            (c::VIR_THREADPOOL_WORKERS_MAX, figures.max),
            (c::VIR_THREADPOOL_WORKERS_CURRENT, figures.min),
            (c::VIR_THREADPOOL_WORKERS_FREE, figures.min),
            (c::VIR_THREADPOOL_WORKERS_PRIORITY, figures.priority),
            (c::VIR_THREADPOOL_JOB_QUEUE_DEPTH, 0),
        ];
        rows.into_iter().map(|(field, value)| uint(field, value)).collect()
    }

    /// Changes min, max and priority workers; all or none.
    pub(super) fn set(&self, params: &[TypedParam]) -> Result<()> {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = *figures;
        for (field, value) in uints(params)? {
            match field {
                c::VIR_THREADPOOL_WORKERS_MIN => wanted.min = value,
                c::VIR_THREADPOOL_WORKERS_MAX => wanted.max = value,
                c::VIR_THREADPOOL_WORKERS_PRIORITY => wanted.priority = value,
                other => return Err(invalid(format!("parameter '{other}' not supported"))),
            }
        }
        if wanted.min > wanted.max {
            return Err(invalid("minWorkers cannot be larger than maxWorkers"));
        }
        *figures = wanted;
        Ok(())
    }
}

/// An unsigned parameter.
pub(super) fn uint(field: &str, value: u32) -> TypedParam {
    TypedParam { field: field.into(), value: TypedParamValue::Uint(value) }
}

/// All parameters as unsigned numbers; another type, or a name twice, is refused.
pub(super) fn uints(params: &[TypedParam]) -> Result<Vec<(&str, u32)>> {
    let mut rows: Vec<(&str, u32)> = Vec::with_capacity(params.len());
    for param in params {
        let field = param.field.as_str();
        let TypedParamValue::Uint(value) = param.value else {
            return Err(invalid(format!("invalid type for parameter '{field}', expected 'uint'")));
        };
        if rows.iter().any(|(known, _)| *known == field) {
            return Err(invalid(format!("parameter '{field}' occurs multiple times")));
        }
        rows.push((field, value));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool { figures: Mutex::new(Figures { min: 5, max: 20, priority: 5 }) }
    }

    #[test]
    fn all_or_nothing() {
        let pool = pool();
        let error = pool.set(&[uint("prioWorkers", 9), uint("minWorkers", 30)]).unwrap_err();
        assert_eq!(error.message, "invalid argument: minWorkers cannot be larger than maxWorkers");
        assert_eq!(pool.params()[4], uint("prioWorkers", 5));
        pool.set(&[uint("minWorkers", 6), uint("maxWorkers", 30)]).unwrap();
        assert_eq!(pool.params()[..2], [uint("minWorkers", 6), uint("maxWorkers", 30)]);
    }

    #[test]
    fn odd_parameters_are_refused() {
        let text = TypedParam { field: "minWorkers".into(), value: TypedParamValue::String("6".into()) };
        for params in [vec![text], vec![uint("nosuch", 1)], vec![uint("maxWorkers", 7), uint("maxWorkers", 8)]] {
            assert_eq!(pool().set(&params).unwrap_err().code, 8);
        }
    }
}
