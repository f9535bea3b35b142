//! The guest's CPU: mode, model, features, topology.

use xml::text_enum;

text_enum! {
    /// How the model is chosen.
    pub enum CpuMode { Custom = "custom", HostModel = "host-model", HostPassthrough = "host-passthrough", Maximum = "maximum" }
}
text_enum! {
    /// How strictly the host must match.
    pub enum CpuMatch { Minimum = "minimum", Exact = "exact", Strict = "strict" }
}
text_enum! {
    /// What is checked before start.
    pub enum CpuCheck { None = "none", Partial = "partial", Full = "full" }
}
text_enum! {
    /// Whether a close model may be used instead.
    pub enum CpuFallback { Allow = "allow", Forbid = "forbid" }
}
text_enum! {
    /// What to do with a feature.
    pub enum FeaturePolicy { Force = "force", Require = "require", Optional = "optional", Disable = "disable", Forbid = "forbid" }
}
text_enum! {
    /// Source of the L3 cache description.
    pub enum CpuCacheMode { Emulate = "emulate", Passthrough = "passthrough", Disable = "disable" }
}
text_enum! {
    /// Source of the physical address width.
    pub enum PhysAddrMode { Passthrough = "passthrough", Emulate = "emulate" }
}

/// `<topology>`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Topology {
    pub sockets: u32,
    pub dies: u32,
    pub clusters: u32,
    pub cores: u32,
    pub threads: u32,
}

/// `<maxphysaddr>`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxPhysAddr {
    pub mode: PhysAddrMode,
    pub bits: Option<u32>,
    pub limit: Option<u32>,
}

/// `<feature>`
#[derive(Clone, Debug, PartialEq)]
pub struct CpuFeature {
    pub name: String,
    pub policy: Option<FeaturePolicy>,
}

/// `<cpu>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuDef {
    /// `None`: no mode, match or model was written (topology or numa only).
    pub mode: Option<CpuMode>,
    pub match_: Option<CpuMatch>,
    pub check: Option<CpuCheck>,
    pub migratable: Option<bool>,
    pub deprecated_features: Option<bool>,
    pub model: Option<String>,
    pub fallback: Option<CpuFallback>,
    pub vendor_id: Option<String>,
    pub vendor: Option<String>,
    pub topology: Option<Topology>,
    /// level, mode
    pub cache: Option<(Option<u32>, CpuCacheMode)>,
    pub max_phys_addr: Option<MaxPhysAddr>,
    pub features: Vec<CpuFeature>,
}
