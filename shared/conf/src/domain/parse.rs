//! Reads `<domain>`: the document as it stands, without defaults.

use error::{Code, Domain, Error, Result};
use xml::{Element, Node, Vocabulary};

use super::cpu::CpuDef;
use super::cputune::CpuTune;
use super::device::{Devices, throttle};
use super::fault::{internal, unsupported, xml_error};
use super::launch_security::LaunchSecurity;
use super::qemu_namespace::QemuNamespace;
use super::security::SecurityLabel;
use super::vcpu::{DefaultIothread, Iothread, Placement, Vcpus};
use super::{DomainDef, ParseContext, VirtType, clock, features, lifecycle, memory, numa, os, resource, sysinfo};

/// Events of the host's processor that can be counted for a guest.
const PERF_EVENTS: [&str; 22] = [
    "cmt",
    "mbmt",
    "mbml",
    "cpu_cycles",
    "instructions",
    "cache_references",
    "cache_misses",
    "branch_instructions",
    "branch_misses",
    "bus_cycles",
    "stalled_cycles_frontend",
    "stalled_cycles_backend",
    "ref_cpu_cycles",
    "cpu_clock",
    "task_clock",
    "page_faults",
    "context_switches",
    "cpu_migrations",
    "page_faults_min",
    "page_faults_maj",
    "alignment_faults",
    "emulation_faults",
];

impl DomainDef {
    /// Parses a document. A missing UUID is left zero, for the driver to choose one.
    ///
    /// # Errors
    /// libvirt's codes and texts for what the document alone gets wrong.
    pub fn parse(text: &str, ctx: ParseContext) -> Result<Self> {
        let document = xml::parse(text)?;
        let root = document.root();
        if root.name() != "domain" {
            let text = format!("expecting root element of 'domain', not '{}'", root.name());
            return Err(Error::new(Domain::Xml, Code::XmlError, text));
        }
        Self::from_node(root, ctx)
    }

    /// Reads the element.
    ///
    /// # Errors
    /// As [`DomainDef::parse`].
    pub fn from_node(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        let virt_type = match node.attr("type") {
            None => return Err(internal("missing domain type attribute")),
            Some(word) => {
                VirtType::from_word(word).ok_or_else(|| unsupported(format!("invalid domain type {word}")))?
            }
        };
        let id = if ctx.live { node.i32("id")? } else { None };
        let os = os::OsDef::parse(node)?;
        let name = parse_name(node)?;
        let uuid = parse_uuid(node, "uuid")?;
        let hwuuid = parse_uuid(node, "hwuuid")?;
        let genid = parse_genid(node)?;
        let title = node.child_text("title");
        if title.as_ref().is_some_and(|t| t.contains('\n')) {
            return Err(xml_error("Domain title can't contain newlines"));
        }
        let memory = memory::Memory::parse(node)?;
        let vcpu = Vcpus::parse(node)?;
        let iothreads = Iothread::parse_all(node)?;
        let cputune = CpuTune::parse(node, vcpu.max())?;
        let cpu_node = node.child("cpu");
        let numa = numa::Numa::parse(cpu_node)?;
        let numatune = numa::NumaTune::parse(node, vcpu.placement == Some(Placement::Auto))?;
        Ok(Self {
            virt_type,
            id,
            name,
            uuid: uuid.unwrap_or_default(),
            hwuuid,
            genid,
            title,
            description: node.child_text("description"),
            metadata: parse_metadata(node),
            memory,
            memory_backing: memory::MemoryBacking::parse(node)?,
            mem_tune: memory::MemTune::parse(node)?,
            blkio: resource::BlkioTune::parse(node)?,
            vcpu,
            iothreads,
            default_iothread: node.child("defaultiothread").map(DefaultIothread::parse).transpose()?,
            cputune,
            numatune,
            resource: resource::Resource::parse(node)?,
            throttle_groups: parse_throttle_groups(node)?,
            idmap: resource::IdMap::parse(node)?,
            sysinfo: sysinfo::Sysinfo::parse_all(node, uuid.as_ref())?,
            bootloader: node.child_text("bootloader"),
            bootloader_args: node.child_text("bootloader_args"),
            os,
            features: features::Features::parse(node)?,
            cpu: cpu_node.map(CpuDef::parse).transpose()?,
            numa,
            clock: clock::Clock::parse(node)?,
            lifecycle: lifecycle::Lifecycle::parse(node)?,
            pm: lifecycle::PowerManagement::parse(node)?,
            perf: parse_perf(node)?,
            devices: Devices::parse(node, ctx)?,
            labels: SecurityLabel::parse_all(node, ctx.live)?,
            keywrap: resource::KeyWrap::parse(node)?,
            launch_security: node.child("launchSecurity").map(LaunchSecurity::parse).transpose()?,
            qemu: QemuNamespace::parse(node)?,
        })
    }
}

fn parse_name(node: Node<'_>) -> Result<String> {
    let name = node.child_text("name").ok_or_else(|| Error::plain(Domain::Domain, Code::NoName))?;
    if name.contains('/') {
        return Err(xml_error(format!("name {name} cannot contain '/'")));
    }
    if name.contains('\n') {
        return Err(Error::new(Domain::Xml, Code::XmlDetail, "invalid char in name: \n"));
    }
    Ok(name)
}

fn parse_uuid(node: Node<'_>, name: &str) -> Result<Option<[u8; 16]>> {
    let Some(text) = node.child_text(name) else { return Ok(None) };
    xml::parse_uuid(&text).map(Some).ok_or_else(|| internal(format!("malformed {name} element")))
}

fn parse_genid(node: Node<'_>) -> Result<Option<([u8; 16], bool)>> {
    let mut genids = node.children("genid");
    let Some(genid) = genids.next() else { return Ok(None) };
    if genids.next().is_some() {
        return Err(xml_error("element 'genid' can only appear once"));
    }
    let text = genid.text();
    if text.trim().is_empty() {
        return Ok(Some(([0; 16], true)));
    }
    xml::parse_uuid(&text).map(|u| Some((u, false))).ok_or_else(|| internal("malformed genid element"))
}

fn parse_metadata(node: Node<'_>) -> Vec<Element> {
    let Some(metadata) = node.child("metadata") else { return Vec::new() };
    let mut kept: Vec<Element> = Vec::new();
    for child in metadata.elements() {
        // one element a namespace, and none without one
        let Some(namespace) = child.namespace() else { continue };
        if !kept.iter().any(|k| k.namespace.as_deref() == Some(namespace)) {
            kept.push(Element::from_node(child));
        }
    }
    kept
}

fn parse_throttle_groups(node: Node<'_>) -> Result<Vec<throttle::ThrottleGroup>> {
    let mut groups: Vec<throttle::ThrottleGroup> = Vec::new();
    for child in node.child("throttlegroups").into_iter().flat_map(|g| g.elements()).filter(|n| n.is("throttlegroup")) {
        let group = throttle::parse_group(child)?;
        if groups.iter().any(|g| g.group_name == group.group_name) {
            return Err(xml_error(format!("duplicate group name '{}' found", group.group_name.unwrap_or_default())));
        }
        groups.push(group);
    }
    Ok(groups)
}

fn parse_perf(node: Node<'_>) -> Result<Vec<(String, bool)>> {
    let mut events: Vec<(String, bool)> = Vec::new();
    for event in node.child("perf").into_iter().flat_map(|p| p.elements()).filter(|n| n.is("event")) {
        let name = event.required("name")?;
        if !PERF_EVENTS.contains(&name) {
            return Err(xml::invalid_value(event, "name", name, ""));
        }
        let enabled = event.yes_no("enabled")?.ok_or_else(|| xml::missing_attribute(event, "enabled"))?;
        if events.iter().any(|(n, _)| n == name) {
            return Err(xml_error(format!("perf event '{name}' was already specified")));
        }
        events.push((name.to_owned(), enabled));
    }
    Ok(events)
}
