//! Firmware configuration and SMBIOS strings.

use error::Result;
use xml::{Node, Writer};

use super::fault::{xml_detail, xml_error};

/// `<sysinfo>`
#[derive(Clone, Debug, PartialEq)]
pub enum Sysinfo {
    Smbios(Smbios),
    /// `type='fwcfg'`
    FwCfg(Vec<FwCfg>),
}

/// Entries by block, in order of libvirt's output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Smbios {
    pub bios: Vec<(String, String)>,
    pub system: Vec<(String, String)>,
    pub base_boards: Vec<Vec<(String, String)>>,
    pub chassis: Vec<(String, String)>,
    pub oem_strings: Vec<String>,
}

/// `<entry name= file=>`
#[derive(Clone, Debug, PartialEq)]
pub struct FwCfg {
    pub name: String,
    pub value: Option<String>,
    pub file: Option<String>,
}

/// Names of the entries of each block, in libvirt's order of output.
const BIOS: [&str; 4] = ["vendor", "version", "date", "release"];
const SYSTEM: [&str; 7] = ["manufacturer", "product", "version", "serial", "uuid", "sku", "family"];
const BASE_BOARD: [&str; 6] = ["manufacturer", "product", "version", "serial", "asset", "location"];
const CHASSIS: [&str; 5] = ["manufacturer", "version", "serial", "asset", "sku"];

fn entries(node: Option<Node<'_>>, names: &[&str]) -> Vec<(String, String)> {
    let Some(node) = node else { return Vec::new() };
    let find = |name: &str| {
        node.children("entry").find(|e| e.attr("name") == Some(name)).map(|e| e.text()).filter(|t| !t.is_empty())
    };
    names.iter().filter_map(|name| Some((name.to_string(), find(name)?))).collect()
}

fn format_entries(w: &mut Writer, block: &str, entries: &[(String, String)]) {
    w.element_if_any(block, |w| {
        entries.iter().for_each(|(name, value)| w.leaf_with("entry", |w| w.attr("name", name), value))
    });
}

impl Sysinfo {
    /// Reads all `<sysinfo>`; `uuid` is the domain's, which the system block must repeat.
    ///
    /// # Errors
    /// `XML_ERROR`, `XML_DETAIL` and `INTERNAL_ERROR` as libvirt's.
    pub(super) fn parse_all(domain: Node<'_>, uuid: Option<&[u8; 16]>) -> Result<Vec<Self>> {
        domain
            .children("sysinfo")
            .map(|node| match node.attr("type") {
                None => Err(xml_error("Missing required attribute 'type' in element 'sysinfo'")),
                Some("smbios") => Self::parse_smbios(node, uuid),
                Some("fwcfg") => Self::parse_fw_cfg(node),
                Some(word) => Err(xml::invalid_value(node, "type", word, "")),
            })
            .collect()
    }

    fn parse_smbios(node: Node<'_>, uuid: Option<&[u8; 16]>) -> Result<Self> {
        let mut system = entries(node.child("system"), &SYSTEM);
        if let Some((_, text)) = system.iter_mut().find(|(name, _)| name == "uuid") {
            let parsed = xml::parse_uuid(text).ok_or_else(|| xml_detail("malformed <sysinfo> uuid element"))?;
            if uuid.is_some_and(|u| *u != parsed) {
                return Err(xml_detail("UUID mismatch between <uuid> and <sysinfo>"));
            }
            *text = xml::format_uuid(&parsed);
        }
        Ok(Self::Smbios(Smbios {
            bios: entries(node.child("bios"), &BIOS),
            system,
            base_boards: node
                .children("baseBoard")
                .map(|b| entries(Some(b), &BASE_BOARD))
                .filter(|b| !b.is_empty())
                .collect(),
            chassis: entries(node.child("chassis"), &CHASSIS),
            oem_strings: node
                .child("oemStrings")
                .map(|o| o.children("entry").map(|e| e.text()).collect())
                .unwrap_or_default(),
        }))
    }

    fn parse_fw_cfg(node: Node<'_>) -> Result<Self> {
        let list: Result<Vec<FwCfg>> = node
            .children("entry")
            .map(|entry| {
                let name =
                    entry.non_empty("name").ok_or_else(|| xml_error("Firmware entry is missing 'name' attribute"))?;
                let value = Some(entry.text()).filter(|t| !t.is_empty());
                let file = entry.non_empty("file");
                if value.is_none() == file.is_none() {
                    return Err(xml_error("Firmware entry must have either value or 'file' attribute"));
                }
                Ok(FwCfg { name, value, file })
            })
            .collect();
        Ok(Self::FwCfg(list?))
    }

    pub(super) fn format(&self, w: &mut Writer) {
        w.element("sysinfo", |w| match self {
            Self::Smbios(s) => {
                w.attr("type", "smbios");
                format_entries(w, "bios", &s.bios);
                format_entries(w, "system", &s.system);
                s.base_boards.iter().for_each(|b| format_entries(w, "baseBoard", b));
                format_entries(w, "chassis", &s.chassis);
                w.element_if_any("oemStrings", |w| s.oem_strings.iter().for_each(|e| w.leaf("entry", e)));
            }
            Self::FwCfg(list) => {
                w.attr("type", "fwcfg");
                for entry in list {
                    let attributes = |w: &mut Writer| {
                        w.attr("name", &entry.name);
                        w.attr_opt("file", entry.file.as_deref());
                    };
                    match &entry.value {
                        Some(value) => w.leaf_with("entry", attributes, value),
                        None => w.element("entry", attributes),
                    }
                }
            }
        });
    }

    /// The entries of the BIOS date must read as one.
    pub(super) fn check(&self) -> Result<()> {
        let Self::Smbios(s) = self else { return Ok(()) };
        match s.bios.iter().find(|(name, _)| name == "date") {
            Some((_, date)) if date.split('/').count() != 3 => Err(xml_detail("Invalid BIOS 'date' format")),
            _ => Ok(()),
        }
    }
}
