//! Security labels of the domain and of single sources.

use xml::text_enum;

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
