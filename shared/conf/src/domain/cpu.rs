//! The guest's CPU: mode, model, features, topology.

use error::{Code, Domain, Error, Result};
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

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

fn cpu_error(detail: impl Into<String>) -> Error {
    Error::new(Domain::Cpu, Code::XmlError, detail)
}

impl Topology {
    fn parse(node: Node<'_>) -> Result<Self> {
        let need = |name: &str| node.u32_nonzero(name)?.ok_or_else(|| xml::missing_attribute(node, name));
        Ok(Self {
            sockets: need("sockets")?,
            dies: node.u32_nonzero("dies")?.unwrap_or(1),
            clusters: node.u32_nonzero("clusters")?.unwrap_or(1),
            cores: need("cores")?,
            threads: need("threads")?,
        })
    }

    /// How many vCPUs it makes.
    pub fn count(&self) -> u64 {
        [self.dies, self.clusters, self.cores, self.threads]
            .iter()
            .fold(u64::from(self.sockets), |n, f| n.saturating_mul(u64::from(*f)))
    }
}

impl CpuDef {
    /// Reads `<cpu>`.
    ///
    /// # Errors
    /// `XML_ERROR` of the CPU code, as libvirt's.
    pub fn parse(node: Node<'_>) -> Result<Self> {
        let model_node = node.child("model");
        let model = model_node.map(|m| m.text().trim().to_owned()).filter(|m| !m.is_empty());
        let mode = match node.attr("mode") {
            None => None,
            Some(word) => Some(CpuMode::from_word(word).ok_or_else(|| {
                Error::new(Domain::Cpu, Code::ConfigUnsupported, format!("Invalid mode attribute '{word}'"))
            })?),
        };
        let custom = mode.unwrap_or(CpuMode::Custom) == CpuMode::Custom;
        let mut def = Self {
            mode: mode
                .filter(|m| *m != CpuMode::Custom || model.is_some())
                .or_else(|| model.as_ref().map(|_| CpuMode::Custom)),
            check: node.word("check")?,
            migratable: node.on_off("migratable")?,
            deprecated_features: node.on_off("deprecated_features")?,
            vendor_id: model_node.and_then(|m| m.string("vendor_id")),
            vendor: node.child_text("vendor"),
            fallback: model_node.map(|m| m.word("fallback")).transpose()?.flatten(),
            ..Self::default()
        };
        if custom {
            def.match_ = node.word("match")?.or_else(|| model.as_ref().map(|_| CpuMatch::Exact));
        }
        if def.migratable.is_some() && !matches!(mode, Some(CpuMode::HostPassthrough | CpuMode::Maximum)) {
            return Err(Error::new(
                Domain::Cpu,
                Code::ConfigUnsupported,
                "Attribute migratable is only allowed for 'host-passthrough' / 'maximum' CPU mode",
            ));
        }
        if let Some(id) = &def.vendor_id
            && (id.len() != 12 || id.contains(','))
        {
            return Err(cpu_error("vendor_id must be exactly 12 characters long"));
        }
        if def.vendor.is_some() && model.is_none() && custom {
            return Err(cpu_error("CPU vendor specified without CPU model"));
        }
        def.model = model.filter(|_| custom);
        def.topology = node.child("topology").map(Topology::parse).transpose()?;
        def.parse_cache(node)?;
        def.parse_features(node, custom)?;
        Ok(def)
    }

    fn parse_cache(&mut self, node: Node<'_>) -> Result<()> {
        if let Some(cache) = node.child("cache") {
            let level = cache.i32("level")?;
            if level.is_some_and(|l| !(1..=3).contains(&l)) {
                return Err(cpu_error("invalid CPU cache level, must be in range [1,3]"));
            }
            self.cache = Some((level.map(i32::cast_unsigned), cache.required_word("mode")?));
        }
        if let Some(max) = node.child("maxphysaddr") {
            self.max_phys_addr = Some(MaxPhysAddr {
                mode: max.required_word("mode")?,
                bits: max.u32("bits")?,
                limit: max.u32("limit")?,
            });
        }
        Ok(())
    }

    fn parse_features(&mut self, node: Node<'_>, custom: bool) -> Result<()> {
        for feature in node.children("feature") {
            let Some(name) = feature.non_empty("name") else {
                return Err(cpu_error("Invalid CPU feature name"));
            };
            if self.features.iter().any(|f| f.name == name) {
                return Err(cpu_error(format!("CPU feature '{name}' specified more than once")));
            }
            let policy = match feature.attr("policy") {
                None => FeaturePolicy::Require,
                Some(word) => FeaturePolicy::from_word(word)
                    .ok_or_else(|| Error::new(Domain::Cpu, Code::InternalError, "Invalid CPU feature policy"))?,
            };
            self.features.push(CpuFeature { name, policy: Some(policy) });
        }
        if custom && self.model.is_none() && !self.features.is_empty() {
            return Err(cpu_error("Non-empty feature list specified without CPU model"));
        }
        Ok(())
    }

    /// Writes `<cpu>` with the guest's NUMA cells inside.
    pub fn format(&self, w: &mut Writer, numa: impl FnOnce(&mut Writer)) {
        w.element_if_any("cpu", |w| {
            w.attr_opt("mode", self.mode);
            if self.model.is_some() && self.mode == Some(CpuMode::Custom) {
                w.attr_opt("match", self.match_);
            }
            w.attr_opt("check", self.check);
            w.on_off("migratable", self.migratable);
            w.on_off("deprecated_features", self.deprecated_features);
            if let Some(model) = &self.model {
                let attributes = |w: &mut Writer| {
                    w.attr("fallback", self.fallback.unwrap_or(CpuFallback::Allow));
                    w.attr_opt("vendor_id", self.vendor_id.as_deref());
                };
                w.leaf_with("model", attributes, model);
            } else if self.mode == Some(CpuMode::HostModel) && self.vendor_id.is_some() {
                w.element("model", |w| {
                    w.attr("fallback", self.fallback.unwrap_or(CpuFallback::Allow));
                    w.attr_opt("vendor_id", self.vendor_id.as_deref());
                });
            }
            w.leaf_opt("vendor", self.vendor.as_deref());
            if let Some(t) = &self.topology {
                w.element("topology", |w| {
                    for (name, n) in [
                        ("sockets", t.sockets),
                        ("dies", t.dies),
                        ("clusters", t.clusters),
                        ("cores", t.cores),
                        ("threads", t.threads),
                    ] {
                        w.attr(name, n);
                    }
                });
            }
            if let Some((level, mode)) = &self.cache {
                w.element("cache", |w| {
                    w.attr_opt("level", *level);
                    w.attr("mode", mode);
                });
            }
            if let Some(max) = &self.max_phys_addr {
                w.element("maxphysaddr", |w| {
                    w.attr("mode", max.mode);
                    w.attr_opt("bits", max.bits);
                    w.attr_opt("limit", max.limit.filter(|l| *l > 0));
                });
            }
            for feature in &self.features {
                w.element("feature", |w| {
                    w.attr_opt("policy", feature.policy);
                    w.attr("name", &feature.name);
                });
            }
            numa(w);
        });
    }
}
