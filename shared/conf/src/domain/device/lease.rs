//! Leases of a lock manager.

/// `<lease>`
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseDef {
    pub lockspace: Option<String>,
    pub key: String,
    pub path: String,
    pub offset: u64,
}
