//! Memory amounts and the places of memory and vCPUs, as they follow from each other.

use error::Result;

use super::DomainDef;
use super::fault::{unsupported, xml_detail, xml_error};

impl DomainDef {
    /// Works out total, initial and current memory; `infer`: the sum of the NUMA cells outweighs `<memory>`, as on define.
    ///
    /// # Errors
    /// `XML_ERROR` and `CONFIG_UNSUPPORTED` as libvirt's.
    pub fn settle_memory(&mut self, infer: bool) -> Result<()> {
        let numa = if self.memory.total_kib == 0 || infer { self.numa.memory_kib() } else { 0 };
        let hotplug = self.hotplug_memory_kib();
        if numa > 0 {
            self.memory.total_kib = numa.saturating_add(hotplug);
        } else if hotplug > self.memory.total_kib {
            return Err(unsupported("Total size of memory devices exceeds the total memory size"));
        }
        if self.initial_memory_kib() == 0 {
            return Err(xml_error("Memory size must be specified via <memory> or in the <numa> configuration"));
        }
        if self.memory.current_kib == 0 || self.memory.current_kib > self.memory.total_kib {
            self.memory.current_kib = self.memory.total_kib;
        }
        self.settle_hugepages()?;
        if self.memory.slots > 0 && self.memory.max_kib == 0 {
            return Err(xml_error("both maximum memory size and memory slot count must be specified"));
        }
        if self.memory.max_kib > 0 && self.memory.max_kib < self.memory.total_kib {
            return Err(xml_error("maximum memory size must be equal or greater than the actual memory size"));
        }
        Ok(())
    }

    /// Sum of the memory devices.
    pub fn hotplug_memory_kib(&self) -> u64 {
        self.devices.memories.iter().fold(0u64, |sum, m| sum.saturating_add(m.size_kib))
    }

    /// Memory that the guest starts with, memory devices left out.
    pub fn initial_memory_kib(&self) -> u64 {
        self.memory.total_kib.saturating_sub(self.hotplug_memory_kib())
    }

    /// Without guest cells, pages for node 0 are pages for all of the guest.
    fn settle_hugepages(&mut self) -> Result<()> {
        let Some(pages) = self.memory_backing.hugepages.as_mut().filter(|_| self.numa.cells.is_empty()) else {
            return Ok(());
        };
        let only_zero = |p: &super::memory::HugePage| p.nodes.as_ref().is_some_and(|n| n.len() == 1 && n.contains(0));
        let masters: Vec<u64> =
            pages.iter().filter(|p| p.nodes.is_none() || only_zero(p)).map(|p| p.size_kib).collect();
        if let [first, second, ..] = masters[..] {
            return Err(xml_detail(format!("two master hugepages detected: {second} and {first}")));
        }
        Ok(())
    }

    /// Puts vCPUs that are in no cell into the first one, and gives a guest that can grow a cell to grow in.
    pub fn settle_numa(&mut self, update: bool) {
        let max = self.vcpu.max() as u32;
        if update && self.numa.cells.is_empty() && self.memory.max_kib > 0 {
            let cell = super::numa::NumaCell { memory_kib: self.initial_memory_kib(), ..Default::default() };
            self.numa.cells.push(cell);
        }
        let mut free = crate::Bitmap::first(max);
        for cell in &self.numa.cells {
            free = free.iter().filter(|n| !cell.cpus.as_ref().is_some_and(|c| c.contains(*n))).collect();
        }
        if let Some(first) = self.numa.cells.first_mut().filter(|_| !free.is_empty()) {
            first.cpus.get_or_insert_default().extend(&free);
        }
    }

    /// Automatic placement of vCPUs and of memory follow from each other.
    pub fn settle_placement(&mut self) {
        use super::numa::{NumaMemory, NumaMode};
        use super::vcpu::Placement;
        let memory_auto = self.numatune.memory.as_ref().is_some_and(|m| m.placement == Some(Placement::Auto));
        if memory_auto
            && self.vcpu.cpuset.is_none()
            && self.cputune.vcpu_pins.is_empty()
            && self.cputune.emulator_pin.is_none()
        {
            self.vcpu.placement = Some(Placement::Auto);
        }
        if self.vcpu.placement == Some(Placement::Auto) && self.numatune.memory.is_none() {
            self.numatune.memory =
                Some(NumaMemory { mode: Some(NumaMode::Strict), placement: Some(Placement::Auto), nodes: None });
        }
    }
}
