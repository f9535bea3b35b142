//! Control group partition, block I/O weights, id mapping, key wrapping and the perf events of a guest.

use error::Result;
use xml::{Node, Writer};

use super::device::filesystem::IdRange;
use super::fault::{internal, unsupported, xml_error};

/// `<resource>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    pub partition: Option<String>,
    pub fibrechannel_appid: Option<String>,
}

/// `<device>` of `<blkiotune>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlkioDevice {
    pub path: String,
    pub weight: u32,
    pub read_bytes_sec: u64,
    pub write_bytes_sec: u64,
    pub read_iops_sec: u32,
    pub write_iops_sec: u32,
}

/// `<blkiotune>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlkioTune {
    pub weight: u32,
    pub devices: Vec<BlkioDevice>,
}

/// `<idmap>`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdMap {
    pub uid: Vec<IdRange>,
    pub gid: Vec<IdRange>,
}

/// `<keywrap>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KeyWrap {
    pub aes: Option<bool>,
    pub dea: Option<bool>,
}

impl Resource {
    pub(super) fn parse(domain: Node<'_>) -> Result<Option<Self>> {
        let mut nodes = domain.children("resource");
        let Some(node) = nodes.next() else { return Ok(None) };
        if nodes.next().is_some() {
            return Err(xml_error("only one resource element is supported"));
        }
        Ok(Some(Self {
            partition: node.child_text("partition"),
            fibrechannel_appid: node.child("fibrechannel").and_then(|f| f.string("appid")),
        }))
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element_if_any("resource", |w| {
            w.leaf_opt("partition", self.partition.as_deref());
            w.element_if_any("fibrechannel", |w| w.attr_opt("appid", self.fibrechannel_appid.as_deref()));
        });
    }
}

impl BlkioTune {
    pub(super) fn parse(domain: Node<'_>) -> Result<Self> {
        let Some(node) = domain.child("blkiotune") else { return Ok(Self::default()) };
        let number = |node: Node<'_>, name: &str| match node.child(name) {
            None => Ok(0),
            Some(n) => xml::parse_u64(n.text().trim(), 10)
                .ok_or_else(|| xml_error(format!("could not parse {} {}", name.replace('_', " "), n.text()))),
        };
        let mut devices: Vec<BlkioDevice> = Vec::new();
        for device in node.children("device") {
            let path = device.child_text("path").ok_or_else(|| unsupported("missing per-device path"))?;
            if devices.iter().any(|d| d.path == path) {
                return Err(unsupported(format!("duplicate blkio device path '{path}'")));
            }
            let small = |name: &str| {
                number(device, name)
                    .and_then(|n| u32::try_from(n).map_err(|_| xml_error(format!("could not parse {name} {n}"))))
            };
            devices.push(BlkioDevice {
                path,
                weight: small("weight")?,
                read_bytes_sec: number(device, "read_bytes_sec")?,
                write_bytes_sec: number(device, "write_bytes_sec")?,
                read_iops_sec: small("read_iops_sec")?,
                write_iops_sec: small("write_iops_sec")?,
            });
        }
        let weight = number(node, "weight")?;
        Ok(Self {
            weight: weight.try_into().map_err(|_| xml_error(format!("could not parse weight {weight}")))?,
            devices,
        })
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element_if_any("blkiotune", |w| {
            w.leaf_opt("weight", Some(self.weight).filter(|n| *n > 0));
            for d in &self.devices {
                w.element("device", |w| {
                    w.leaf("path", &d.path);
                    let fields = [
                        ("weight", u64::from(d.weight)),
                        ("read_iops_sec", d.read_iops_sec.into()),
                        ("write_iops_sec", d.write_iops_sec.into()),
                        ("read_bytes_sec", d.read_bytes_sec),
                        ("write_bytes_sec", d.write_bytes_sec),
                    ];
                    fields.iter().filter(|(_, n)| *n > 0).for_each(|(name, n)| w.leaf(name, n));
                });
            }
        });
    }
}

impl IdMap {
    pub(super) fn parse(domain: Node<'_>) -> Result<Self> {
        let node = domain.child("idmap");
        let map = Self { uid: IdRange::parse_all(node, "uid")?, gid: IdRange::parse_all(node, "gid")? };
        if map.uid.is_empty() != map.gid.is_empty() {
            return Err(unsupported("uid and gid should be mapped both"));
        }
        Ok(map)
    }
}

impl KeyWrap {
    pub(super) fn parse(domain: Node<'_>) -> Result<Option<Self>> {
        let Some(node) = domain.child("keywrap") else { return Ok(None) };
        let mut wrap = Self::default();
        for cipher in node.children("cipher") {
            let name = cipher.required("name")?;
            let state = cipher.on_off("state")?.ok_or_else(|| xml::missing_attribute(cipher, "state"))?;
            let slot = match name {
                "aes" => &mut wrap.aes,
                "dea" => &mut wrap.dea,
                _ => return Err(xml::invalid_value(cipher, "name", name, "")),
            };
            if slot.replace(state).is_some() {
                return Err(internal(format!(
                    "A domain definition can have no more than one cipher node with name {name}"
                )));
            }
        }
        Ok((wrap != Self::default()).then_some(wrap))
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element_if_any("keywrap", |w| {
            for (name, state) in [("aes", self.aes), ("dea", self.dea)] {
                if state.is_some() {
                    w.element("cipher", |w| {
                        w.attr("name", name);
                        w.on_off("state", state);
                    });
                }
            }
        });
    }
}
