//! `qemu:` extensions: command line, capabilities, device overrides, deprecation behaviour.

use error::{Code, Domain, Error, Result};
use xml::{Node, Vocabulary, Writer, text_enum};

/// Namespace of the extensions.
pub const URI: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

text_enum! {
    /// Kind of an overridden property.
    pub enum PropertyKind { String = "string", Signed = "signed", Unsigned = "unsigned", Bool = "bool", Remove = "remove" }
}

/// `<qemu:property>`
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    pub name: String,
    pub kind: PropertyKind,
    pub value: Option<String>,
}

/// `<qemu:device>` of the override.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceOverride {
    pub alias: String,
    pub frontend: Vec<Property>,
}

/// All extensions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QemuNamespace {
    pub args: Vec<String>,
    pub env: Vec<(String, Option<String>)>,
    pub capabilities_add: Vec<String>,
    pub capabilities_del: Vec<String>,
    pub overrides: Vec<DeviceOverride>,
    pub deprecation: Option<String>,
}

fn fail(detail: impl Into<String>) -> Error {
    Error::new(Domain::Qemu, Code::InternalError, detail)
}

impl QemuNamespace {
    /// Reads the `qemu:` children of `<domain>`, when there is anything in them.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` and `XML_ERROR` of the QEMU driver, as libvirt's.
    pub fn parse(domain: Node<'_>) -> Result<Option<Self>> {
        let mut def = Self::default();
        if let Some(line) = domain.child_ns(URI, "commandline") {
            for child in line.elements().filter(|c| c.namespace() == Some(URI)) {
                match child.name() {
                    "arg" => def
                        .args
                        .push(child.string("value").ok_or_else(|| fail("No qemu command-line argument specified"))?),
                    "env" => def.env.push(Self::parse_env(child)?),
                    _ => {}
                }
            }
        }
        if let Some(list) = domain.child_ns(URI, "capabilities") {
            for child in list.elements().filter(|c| c.namespace() == Some(URI)) {
                let name = child.string("capability").ok_or_else(|| fail("missing capability name"))?;
                match child.name() {
                    "add" => def.capabilities_add.push(name),
                    "del" => def.capabilities_del.push(name),
                    _ => {}
                }
            }
        }
        if let Some(list) = domain.child_ns(URI, "override") {
            for device in list.elements().filter(|c| c.namespace() == Some(URI) && c.name() == "device") {
                let alias = device.string("alias").ok_or_else(|| fail("missing 'alias' attribute in qemu override"))?;
                let properties = device
                    .child_ns(URI, "frontend")
                    .map(|f| f.elements().filter(|p| p.name() == "property").collect::<Vec<_>>());
                let frontend =
                    properties.unwrap_or_default().into_iter().map(Property::parse).collect::<Result<_>>()?;
                def.overrides.push(DeviceOverride { alias, frontend });
            }
        }
        def.deprecation = domain.child_ns(URI, "deprecation").and_then(|d| d.non_empty("behavior"));
        Ok((def != Self::default()).then_some(def))
    }

    fn parse_env(node: Node<'_>) -> Result<(String, Option<String>)> {
        let name = node.string("name").ok_or_else(|| fail("No qemu environment name specified"))?;
        if name.is_empty() {
            return Err(fail("Empty qemu environment name specified"));
        }
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Err(fail("Invalid environment name, it must begin with a letter or underscore"));
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(fail("Invalid environment name, it must contain only alphanumerics and underscore"));
        }
        Ok((name, node.string("value")))
    }

    /// Writes the extensions.
    pub fn format(&self, w: &mut Writer) {
        w.element_if_any("qemu:commandline", |w| {
            self.args.iter().for_each(|a| w.element("qemu:arg", |w| w.attr("value", a)));
            for (name, value) in &self.env {
                w.element("qemu:env", |w| {
                    w.attr("name", name);
                    w.attr_opt("value", value.as_deref());
                });
            }
        });
        w.element_if_any("qemu:capabilities", |w| {
            self.capabilities_add.iter().for_each(|c| w.element("qemu:add", |w| w.attr("capability", c)));
            self.capabilities_del.iter().for_each(|c| w.element("qemu:del", |w| w.attr("capability", c)));
        });
        w.element_if_any("qemu:override", |w| {
            for device in &self.overrides {
                w.element("qemu:device", |w| {
                    w.attr("alias", &device.alias);
                    w.element_if_any("qemu:frontend", |w| device.frontend.iter().for_each(|p| p.format(w)));
                });
            }
        });
        w.element_if_any("qemu:deprecation", |w| w.attr_opt("behavior", self.deprecation.as_deref()));
    }
}

impl Property {
    fn parse(node: Node<'_>) -> Result<Self> {
        let unsupported = |detail: String| Error::new(Domain::Qemu, Code::XmlError, detail);
        let name =
            node.string("name").ok_or_else(|| unsupported("missing 'name' attribute for qemu:property".into()))?;
        let word = node.attr("type").ok_or_else(|| unsupported("missing 'type' attribute for qemu:property".into()))?;
        let kind = PropertyKind::from_word(word)
            .ok_or_else(|| unsupported(format!("invalid 'type' attribute for qemu:property '{word}'")))?;
        let value = node.string("value");
        if value.is_none() && kind != PropertyKind::Remove {
            return Err(unsupported(format!("missing 'value' attribute for 'qemu:property' '{name}'")));
        }
        let sound = match (kind, value.as_deref()) {
            (PropertyKind::Signed, Some(v)) => xml::parse_i64(v, 0).is_some(),
            (PropertyKind::Unsigned, Some(v)) => xml::parse_u64(v, 0).is_some(),
            (PropertyKind::Bool, Some(v)) => ["true", "false", "yes", "no", "on", "off"].contains(&v),
            _ => true,
        };
        if !sound {
            return Err(unsupported(format!(
                "invalid value '{}' for 'qemu:property' '{name}'",
                value.unwrap_or_default()
            )));
        }
        Ok(Self { name, kind, value })
    }

    fn format(&self, w: &mut Writer) {
        w.element("qemu:property", |w| {
            w.attr("name", &self.name);
            w.attr("type", self.kind);
            w.attr_opt("value", self.value.as_deref());
        });
    }
}
