//! Settings in namespaces of their own: mount options and RBD configuration.

use xml::{Node, Writer};

use super::xml_error;

const FS_NAMESPACE: &str = "http://libvirt.org/schemas/storagepool/fs/1.0";
const RBD_NAMESPACE: &str = "http://libvirt.org/schemas/storagepool/rbd/1.0";

/// `<fs:mount_opts>`: extra options of mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions(pub Vec<String>);

/// `<rbd:config_opts>`: settings of librados.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RbdOptions(pub Vec<(String, String)>);

fn entries<'a>(root: Node<'a>, namespace: &'static str, group: &str) -> Vec<Node<'a>> {
    let Some(group) = root.child_ns(namespace, group) else { return Vec::new() };
    group.elements().filter(|n| n.name() == "option" && n.namespace() == Some(namespace)).collect()
}

impl MountOptions {
    pub(crate) fn from_node(root: Node<'_>) -> error::Result<Self> {
        let mut options = Vec::new();
        for node in entries(root, FS_NAMESPACE, "mount_opts") {
            options.push(node.string("name").ok_or_else(|| xml_error("no fs mount option name specified"))?);
        }
        Ok(Self(options))
    }

    pub(crate) fn declare(&self, w: &mut Writer) {
        if !self.0.is_empty() {
            w.attr("xmlns:fs", FS_NAMESPACE);
        }
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        if !self.0.is_empty() {
            w.element("fs:mount_opts", |w| {
                for name in &self.0 {
                    w.element("fs:option", |w| w.attr("name", name));
                }
            });
        }
    }
}

impl RbdOptions {
    pub(crate) fn from_node(root: Node<'_>) -> error::Result<Self> {
        let mut options: Vec<(String, String)> = Vec::new();
        for node in entries(root, RBD_NAMESPACE, "config_opts") {
            let name = node.non_empty("name").ok_or_else(|| xml_error("no rbd option name specified"))?;
            let value = node
                .non_empty("value")
                .ok_or_else(|| xml_error(format!("no rbd option value specified for name '{name}'")))?;
            options.push((name, value));
        }
        Ok(Self(options))
    }

    pub(crate) fn declare(&self, w: &mut Writer) {
        if !self.0.is_empty() {
            w.attr("xmlns:rbd", RBD_NAMESPACE);
        }
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        if !self.0.is_empty() {
            w.element("rbd:config_opts", |w| {
                for (name, value) in &self.0 {
                    w.element("rbd:option", |w| {
                        w.attr("name", name);
                        w.attr("value", value);
                    });
                }
            });
        }
    }
}
