//! Security labels of the domain and of single sources.

use error::Result;
use xml::text_enum;
use xml::{Node, Writer};

use super::fault::{unsupported, xml_detail, xml_error};

text_enum! {
    /// Kind of label.
    pub enum LabelKind { None = "none", Dynamic = "dynamic", Static = "static" }
}

/// `<seclabel>` of the domain.
#[derive(Clone, Debug, PartialEq)]
pub struct SecurityLabel {
    pub model: Option<String>,
    pub kind: LabelKind,
    pub relabel: bool,
    pub label: Option<String>,
    pub image_label: Option<String>,
    pub base_label: Option<String>,
    /// Added by us, not printed in inactive documents.
    pub implicit: bool,
}

/// `<seclabel>` of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceLabel {
    pub model: Option<String>,
    pub label: Option<String>,
    pub relabel: bool,
    pub label_skip: bool,
}

impl SecurityLabel {
    /// Reads all `<seclabel>` children.
    pub fn parse_all(node: Node<'_>, live: bool) -> Result<Vec<Self>> {
        let mut labels: Vec<Self> = Vec::new();
        for child in node.children("seclabel") {
            let label = Self::parse(child, live)?;
            if let Some(model) = &label.model
                && labels.iter().any(|l| l.model.as_ref() == Some(model))
            {
                return Err(xml_detail(format!("seclabel for model {model} is already provided")));
            }
            labels.push(label);
        }
        if labels.len() > 1 && labels.iter().any(|l| l.model.is_none()) {
            return Err(xml_error("missing security model when using multiple labels"));
        }
        Ok(labels)
    }

    fn parse(node: Node<'_>, live: bool) -> Result<Self> {
        let model = node.non_empty("model");
        let kind = node.word("type")?.unwrap_or(LabelKind::Dynamic);
        let kind = if model.as_deref() == Some("none") { LabelKind::None } else { kind };
        let relabel = match node.yes_no("relabel")? {
            Some(relabel) => {
                if kind == LabelKind::Dynamic && !relabel {
                    return Err(unsupported("dynamic label type must use resource relabeling"));
                }
                if kind == LabelKind::None && relabel {
                    return Err(unsupported("resource relabeling is not compatible with 'none' label type"));
                }
                relabel
            }
            None => kind == LabelKind::Dynamic,
        };
        let mut label =
            Self { model, kind, relabel, label: None, image_label: None, base_label: None, implicit: false };
        // a dynamic label is known of a running guest only
        if kind == LabelKind::Static || (live && kind != LabelKind::None) {
            label.label = node.child_text("label");
            if label.label.is_none() && kind == LabelKind::Static {
                return Err(xml_error("security label is missing"));
            }
        }
        if relabel && live {
            label.image_label = node.child_text("imagelabel");
        }
        if kind == LabelKind::Dynamic {
            label.base_label = node.child_text("baselabel");
        }
        Ok(label)
    }

    /// Writes `<seclabel>`.
    pub fn format(&self, w: &mut Writer, inactive: bool) {
        if self.implicit && inactive {
            return;
        }
        if self.model.as_deref() == Some("none") {
            w.element("seclabel", |w| {
                w.attr("type", "none");
                w.attr("model", "none");
            });
            return;
        }
        w.element("seclabel", |w| {
            w.attr("type", self.kind);
            w.attr_opt("model", self.model.as_deref());
            if self.kind == LabelKind::None {
                return;
            }
            w.yes_no("relabel", Some(self.relabel));
            let shown = |text: &Option<String>, always: bool| text.clone().filter(|_| always || !inactive);
            w.leaf_opt("label", shown(&self.label, self.kind == LabelKind::Static));
            w.leaf_opt("imagelabel", shown(&self.image_label, false).filter(|_| self.relabel));
            w.leaf_opt("baselabel", shown(&self.base_label, true));
        });
    }
}

impl DeviceLabel {
    /// Reads all `<seclabel>` children of a source.
    pub fn parse_all(node: Node<'_>) -> Result<Vec<Self>> {
        let mut labels: Vec<Self> = Vec::new();
        for child in node.children("seclabel") {
            let model = child.string("model");
            if labels.iter().any(|l| l.model == model) {
                return Err(xml_detail(format!(
                    "seclabel for model {} is already provided",
                    model.as_deref().unwrap_or("(null)")
                )));
            }
            let relabel = child.yes_no("relabel")?;
            let label = Self {
                label: child.child_text("label"),
                relabel: relabel.unwrap_or(true),
                label_skip: child.yes_no("labelskip")?.unwrap_or(false),
                model,
            };
            if label.label.is_some() && !label.relabel {
                return Err(xml_error(format!(
                    "Cannot specify a label if relabelling is turned off. model={}",
                    label.model.as_deref().unwrap_or("NULL")
                )));
            }
            labels.push(label);
        }
        Ok(labels)
    }

    /// Writes all labels.
    pub fn format_all(w: &mut Writer, labels: &[Self]) {
        for label in labels {
            w.element("seclabel", |w| {
                w.attr_opt("model", label.model.as_deref());
                if label.label_skip {
                    w.attr("labelskip", "yes");
                } else {
                    w.yes_no("relabel", Some(label.relabel));
                }
                w.leaf_opt("label", label.label.as_deref());
            });
        }
    }
}
