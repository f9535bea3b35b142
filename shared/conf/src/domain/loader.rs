//! Firmware image and variable store of a guest.

use error::Result;
use xml::{Node, Vocabulary, Writer};

use super::device::source::{ImageFormat, SourceKind, StorageSource};
use super::fault::{unsupported, xml_detail, xml_error};
use super::os::{Firmware, Loader, LoaderKind};
use crate::FormatFlags;

impl Loader {
    pub(super) fn parse(loader: Option<Node<'_>>, nvram: Option<Node<'_>>) -> Result<Self> {
        let mut def = Self::default();
        if let Some(node) = loader {
            def.path = Some(node.text()).filter(|p| !p.is_empty());
            def.readonly = node.yes_no("readonly")?;
            def.kind = node.word("type")?;
            def.secure = node.yes_no("secure")?;
            def.stateless = node.yes_no("stateless")?;
            def.format = firmware_format(node, "format")?;
        }
        if let Some(node) = nvram {
            def.nvram_template = node.string("template");
            def.nvram_template_format = node.word("templateFormat")?;
            let format = firmware_format(node, "format")?;
            match node.attr("type") {
                None => {
                    let path = Some(node.text().trim().to_owned()).filter(|p| !p.is_empty());
                    if path.is_some() || format.is_some() {
                        let mut source = StorageSource::new(SourceKind::File);
                        source.path = path;
                        source.format = format;
                        def.nvram = Some(source);
                    }
                }
                Some(word) => {
                    let kind = SourceKind::from_word(word)
                        .filter(|k| *k != SourceKind::None)
                        .ok_or_else(|| xml_error(format!("unknown disk type '{word}'")))?;
                    let source = node
                        .child("source")
                        .ok_or_else(|| xml_error("Missing source element with nvram type attribute"))?;
                    let mut source = StorageSource::parse(kind, Some(source))?;
                    source.format = format;
                    def.nvram = Some(source);
                    def.nvram_new_style = true;
                }
            }
        }
        Ok(def)
    }

    pub(super) fn format(&self, w: &mut Writer, flags: FormatFlags) {
        let attributes = |w: &mut Writer| {
            w.yes_no("readonly", self.readonly);
            w.yes_no("secure", self.secure);
            w.attr_opt("type", self.kind);
            w.yes_no("stateless", self.stateless);
            w.attr_opt("format", self.format.filter(|_| self.path.is_some()));
        };
        match &self.path {
            Some(path) => w.leaf_with("loader", attributes, path),
            None => w.element_if_any("loader", attributes),
        }
        let template = |w: &mut Writer| {
            w.attr_opt("template", self.nvram_template.as_deref());
            w.attr_opt("templateFormat", self.nvram_template_format);
        };
        match &self.nvram {
            None => w.element_if_any("nvram", template),
            Some(source) if self.nvram_new_style => w.element("nvram", |w| {
                template(w);
                w.attr("type", source.kind);
                w.attr_opt("format", source.format);
                source.format(w, flags, |_| {});
            }),
            Some(source) => {
                let attributes = |w: &mut Writer| {
                    template(w);
                    w.attr_opt("format", source.format);
                };
                match &source.path {
                    Some(path) => w.leaf_with("nvram", attributes, path),
                    None => w.element("nvram", attributes),
                }
            }
        }
    }

    /// Checks what no firmware table is needed for.
    pub(super) fn check(&self, firmware: Option<Firmware>) -> Result<()> {
        if self.kind == Some(LoaderKind::None) && firmware.is_none() {
            return Ok(());
        }
        let has_nvram = self.nvram.is_some() || self.nvram_template.is_some();
        if firmware.is_none() && self.path.is_none() && (self.kind.is_some() || has_nvram || self.stateless.is_some()) {
            return Err(xml_detail("no loader path specified and firmware auto selection disabled"));
        }
        if self.stateless == Some(true) {
            if self.nvram_template.is_some() {
                return Err(xml_detail("NVRAM template is not permitted when loader is stateless"));
            }
            if self.nvram.is_some() {
                return Err(xml_detail("NVRAM is not permitted when loader is stateless"));
            }
        }
        if self.kind == Some(LoaderKind::Rom) {
            if has_nvram {
                return Err(xml_detail("Only pflash loader type permits NVRAM"));
            }
            if self.stateless == Some(false) {
                return Err(xml_detail("Only pflash loader type permits NVRAM"));
            }
        }
        Ok(())
    }
}

fn firmware_format(node: Node<'_>, name: &str) -> Result<Option<ImageFormat>> {
    let format = node.word(name)?;
    match format {
        Some(f) if !matches!(f, ImageFormat::Raw | ImageFormat::Qcow2) => {
            Err(unsupported(format!("Unsupported {} format '{f}'", node.name())))
        }
        f => Ok(f),
    }
}
