//! Virtual CPUs and I/O threads: how many and which.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::fault::{internal, unsupported, xml_error};
use crate::Bitmap;

text_enum! {
    /// Who chooses the host CPUs.
    pub enum Placement { Static = "static", Auto = "auto" }
}

/// One entry of `<vcpus>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vcpu {
    pub online: bool,
    pub hotpluggable: Option<bool>,
    pub order: Option<u32>,
}

/// `<vcpu>` and `<vcpus>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vcpus {
    /// One per possible vCPU; `len()` is the maximum.
    pub vcpus: Vec<Vcpu>,
    pub placement: Option<Placement>,
    pub cpuset: Option<Bitmap>,
    /// `<vcpus>` was given, so each is printed.
    pub individual: bool,
}

impl Vcpus {
    /// Online vCPUs.
    pub fn online(&self) -> usize {
        self.vcpus.iter().filter(|v| v.online).count()
    }

    /// Possible vCPUs.
    pub fn max(&self) -> usize {
        self.vcpus.len()
    }
}

/// `<iothread id=>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Iothread {
    pub id: u32,
    /// It was listed in `<iothreadids>`, not only counted.
    pub listed: bool,
    pub poll_max: Option<u64>,
    pub poll_grow: Option<u64>,
    pub poll_shrink: Option<u64>,
    pub thread_pool_min: Option<i32>,
    pub thread_pool_max: Option<i32>,
}

/// `<defaultiothread>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DefaultIothread {
    pub thread_pool_min: Option<i32>,
    pub thread_pool_max: Option<i32>,
}

impl Vcpus {
    /// Reads `<vcpu>` and `<vcpus>`.
    ///
    /// # Errors
    /// `XML_ERROR`, `XML_DETAIL` and `INTERNAL_ERROR` as libvirt's.
    pub(super) fn parse(domain: Node<'_>) -> Result<Self> {
        let node = domain.child("vcpu");
        let text = node.map(|n| n.text()).filter(|t| !t.is_empty());
        let max = match text {
            None => 1,
            Some(text) => xml::parse_u64(text.trim(), 10)
                .and_then(|n| u32::try_from(n).ok())
                .ok_or_else(|| xml_error("maximum vcpus count must be an integer"))?,
        };
        let current = match node.and_then(|n| n.attr("current")) {
            None => max,
            Some(text) => xml::parse_u64(text, 10)
                .and_then(|n| u32::try_from(n).ok())
                .ok_or_else(|| xml_error("current vcpus count must be an integer"))?,
        };
        if max == 0 {
            return Err(internal("CPU IDs in <numa> exceed the <vcpu> count"));
        }
        if max > Bitmap::LIMIT {
            return Err(xml_error(format!("maximum vCPU limit is '{}' (got '{max}')", Bitmap::LIMIT)));
        }
        if current > max {
            return Err(unsupported("maximum vCPU count must not be less than current vCPU count"));
        }
        let mut def = Self {
            vcpus: (0..max).map(|n| Vcpu { online: n < current, ..Vcpu::default() }).collect(),
            placement: node.map(|n| n.word("placement")).transpose()?.flatten(),
            cpuset: None,
            individual: false,
        };
        if def.placement != Some(Placement::Auto)
            && let Some(text) = node.and_then(|n| n.attr("cpuset"))
        {
            let set = Bitmap::parse(text)?;
            if set.is_empty() {
                return Err(unsupported(format!("Invalid value of 'cpuset': {text}")));
            }
            def.cpuset = Some(set);
        }
        if let Some(list) = domain.child("vcpus") {
            def.parse_individual(list)?;
        }
        Ok(def)
    }

    fn parse_individual(&mut self, list: Node<'_>) -> Result<()> {
        self.individual = true;
        self.vcpus.iter_mut().for_each(|v| v.online = false);
        for node in list.children("vcpu") {
            let id = node.u32("id")?.ok_or_else(|| xml_error("missing or invalid vcpu id"))?;
            let max = self.max();
            let vcpu = self.vcpus.get_mut(id as usize).ok_or_else(|| xml_error(format!("invalid vcpu id '{id}'")))?;
            vcpu.online = node.yes_no("enabled")?.ok_or_else(|| xml_error("missing vcpu enabled state"))?;
            vcpu.hotpluggable = node.yes_no("hotpluggable")?;
            vcpu.order = node.u32("order")?;
            if vcpu.order.is_some_and(|o| o == 0 || o as usize > max) {
                return Err(xml_error("vcpu order is out of range"));
            }
        }
        Ok(())
    }

    /// Checks the individual states.
    pub(super) fn check(&self) -> Result<()> {
        if !self.individual {
            return Ok(());
        }
        let first = &self.vcpus[0];
        if !first.online {
            return Err(unsupported("vcpu 0 can't be offline"));
        }
        if first.hotpluggable == Some(true) {
            return Err(unsupported("vcpu0 can't be hotpluggable"));
        }
        if first.order.is_some_and(|o| o != 1) {
            return Err(unsupported("vcpu0 must be enabled first"));
        }
        let mut orders: Vec<u32> = self.vcpus.iter().filter_map(|v| v.order).collect();
        orders.sort_unstable();
        for vcpu in &self.vcpus {
            if vcpu.order.is_some() && !vcpu.online {
                return Err(unsupported("boot order can only be set for online vCPUs"));
            }
        }
        if orders.windows(2).any(|w| w[0] == w[1]) {
            return Err(internal("vcpu order is not unique"));
        }
        Ok(())
    }

    pub(super) fn format(&self, w: &mut Writer) {
        let attributes = |w: &mut Writer| {
            w.attr("placement", self.placement.unwrap_or(Placement::Static));
            w.attr_opt("cpuset", self.cpuset.as_ref());
            w.attr_opt("current", Some(self.online()).filter(|n| *n != self.max()));
        };
        w.leaf_with("vcpu", attributes, self.max());
        if self.individual || self.vcpus.iter().any(|v| v.hotpluggable.is_some()) {
            w.element("vcpus", |w| {
                for (id, vcpu) in self.vcpus.iter().enumerate() {
                    w.element("vcpu", |w| {
                        w.attr("id", id);
                        w.yes_no("enabled", Some(vcpu.online));
                        w.yes_no("hotpluggable", Some(vcpu.hotpluggable.unwrap_or(!vcpu.online)));
                        w.attr_opt("order", vcpu.order.filter(|o| *o != 0));
                    });
                }
            });
        }
    }
}

impl Iothread {
    /// Reads `<iothreads>` and `<iothreadids>`; numbers that are not listed are filled in from 1.
    pub(super) fn parse_all(domain: Node<'_>) -> Result<Vec<Self>> {
        let count = match domain.child("iothreads").map(|n| n.text()).filter(|t| !t.is_empty()) {
            None => 0,
            Some(text) => xml::parse_u64(text.trim(), 10)
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| *n <= 4096)
                .ok_or_else(|| xml_error(format!("invalid iothreads count '{text}'")))?,
        };
        let mut threads: Vec<Self> = Vec::new();
        for node in domain.child("iothreadids").into_iter().flat_map(|l| l.children("iothread")) {
            let thread = Self::parse(node)?;
            if threads.iter().any(|t| t.id == thread.id) {
                return Err(xml_error(format!("duplicate iothread id '{}' found", thread.id)));
            }
            threads.push(thread);
        }
        for id in 1..=u32::MAX {
            if threads.len() >= count as usize {
                break;
            }
            if !threads.iter().any(|t| t.id == id) {
                threads.push(Self { id, ..Self::default() });
            }
        }
        Ok(threads)
    }

    fn parse(node: Node<'_>) -> Result<Self> {
        let poll = node.child("poll");
        let number = |name: &str| poll.map(|p| p.u64(name)).transpose().map(Option::flatten);
        Ok(Self {
            id: node.u32_nonzero("id")?.ok_or_else(|| xml::missing_attribute(node, "id"))?,
            listed: true,
            poll_max: number("max")?,
            poll_grow: number("grow")?,
            poll_shrink: number("shrink")?,
            thread_pool_min: node.i32_non_negative("thread_pool_min")?,
            thread_pool_max: node.i32_non_negative("thread_pool_max")?,
        })
    }

    pub(super) fn format_all(w: &mut Writer, threads: &[Self]) {
        if threads.is_empty() {
            return;
        }
        w.leaf("iothreads", threads.len());
        if !threads.iter().any(|t| t.listed) {
            return;
        }
        w.element("iothreadids", |w| {
            for thread in threads {
                w.element("iothread", |w| {
                    w.attr("id", thread.id);
                    w.attr_opt("thread_pool_min", thread.thread_pool_min);
                    w.attr_opt("thread_pool_max", thread.thread_pool_max);
                    w.element_if_any("poll", |w| {
                        w.attr_opt("max", thread.poll_max);
                        w.attr_opt("grow", thread.poll_grow);
                        w.attr_opt("shrink", thread.poll_shrink);
                    });
                });
            }
        });
    }
}

impl DefaultIothread {
    pub(super) fn parse(node: Node<'_>) -> Result<Self> {
        Ok(Self {
            thread_pool_min: node.i32_non_negative("thread_pool_min")?,
            thread_pool_max: node.i32_non_negative("thread_pool_max")?,
        })
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element_if_any("defaultiothread", |w| {
            w.attr_opt("thread_pool_min", self.thread_pool_min);
            w.attr_opt("thread_pool_max", self.thread_pool_max);
        });
    }
}
