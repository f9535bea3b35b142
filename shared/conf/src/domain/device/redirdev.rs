//! USB redirection and its filter.

use error::Result;
use xml::{Node, Vocabulary, Writer};

use super::chardev::ChardevKind;
use super::chardev::ChardevSource;
use super::info::Allow;
use super::info::DeviceInfo;
use crate::FormatFlags;
use crate::domain::ParseContext;
use crate::domain::fault::{internal, unsupported, xml_error};

/// `<redirdev bus='usb'>`
#[derive(Clone, Debug, PartialEq)]
pub struct RedirdevDef {
    pub source: ChardevSource,
    pub info: DeviceInfo,
}

/// `<usbdev>` of the filter; absent means any.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RedirRule {
    pub class: Option<u32>,
    pub vendor: Option<u32>,
    pub product: Option<u32>,
    /// BCD: 1.10 is 0x0110.
    pub version: Option<u32>,
    pub allow: bool,
}

impl RedirdevDef {
    /// Reads `<redirdev>`.
    pub fn parse(node: Node<'_>, ctx: ParseContext) -> Result<Self> {
        if let Some(bus) = node.attr("bus")
            && bus != "usb"
        {
            return Err(xml::invalid_value(node, "bus", bus, ""));
        }
        let word = node.attr("type").ok_or_else(|| internal("missing type in redirdev"))?;
        let kind = ChardevKind::from_word(word)
            .ok_or_else(|| unsupported(format!("unknown redirdev character device type '{word}'")))?;
        Ok(Self {
            source: ChardevSource::parse(node, kind)?,
            info: DeviceInfo::parse(node, ctx, Allow { boot: true, rom: false })?,
        })
    }

    /// Writes `<redirdev>`.
    pub fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("redirdev", |w| {
            w.attr("bus", "usb");
            w.attr("type", self.source.backend.kind());
            self.source.format(w, flags);
            self.info.format(w, flags);
        });
    }
}

impl RedirRule {
    /// Reads `<redirfilter>`.
    pub fn parse_all(node: Node<'_>) -> Result<Vec<Self>> {
        node.children("usbdev").map(Self::parse).collect()
    }

    fn parse(node: Node<'_>) -> Result<Self> {
        let number = |name: &str, what: &str| match node.attr(name) {
            None | Some("-1") => Ok(None),
            Some(text) => xml::parse_u64(text, 0)
                .and_then(|n| u32::try_from(n).ok())
                .map(Some)
                .ok_or_else(|| xml_error(format!("Cannot parse USB {what} {text}"))),
        };
        let class = number("class", "Class code")?;
        if let Some(class) = class.filter(|c| *c > 0xff) {
            return Err(internal(format!("Invalid USB Class code 0x{class:x}")));
        }
        let version = match node.attr("version") {
            None | Some("-1") => None,
            Some(text) => {
                Some(parse_version(text).ok_or_else(|| xml_error(format!("Cannot parse USB version {text}")))?)
            }
        };
        let allow = match node.attr("allow") {
            None => return Err(xml_error("missing attribute 'allow'")),
            Some("yes") => true,
            Some("no") => false,
            Some(other) => return Err(xml::invalid_value(node, "allow", other, "")),
        };
        Ok(Self {
            class,
            vendor: number("vendor", "vendor ID")?,
            product: number("product", "product ID")?,
            version,
            allow,
        })
    }

    /// Writes `<redirfilter>`.
    pub fn format_all(w: &mut Writer, rules: &[Self]) {
        w.element("redirfilter", |w| {
            for rule in rules {
                w.element("usbdev", |w| {
                    w.attr_opt("class", rule.class.map(|n| format!("0x{n:02X}")));
                    w.attr_opt("vendor", rule.vendor.map(|n| format!("0x{n:04X}")));
                    w.attr_opt("product", rule.product.map(|n| format!("0x{n:04X}")));
                    w.attr_opt(
                        "version",
                        rule.version.map(|n| format!("{}.{:02}", from_bcd(n >> 8), from_bcd(n & 0xff))),
                    );
                    w.yes_no("allow", Some(rule.allow));
                });
            }
        });
    }
}

fn to_bcd(n: u32) -> u32 {
    n / 10 * 16 + n % 10
}

fn from_bcd(n: u32) -> u32 {
    (n >> 4) * 10 + (n & 15)
}

/// `1.10` or `1.1` (one digit counts tenths) as BCD.
fn parse_version(text: &str) -> Option<u32> {
    let (major, minor) = text.split_once('.')?;
    let digits =
        |t: &str| (t.len() <= 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<u32>().ok()).flatten();
    let low = digits(minor)? * if minor.len() == 1 { 10 } else { 1 };
    Some(to_bcd(digits(major)?) << 8 | to_bcd(low))
}
