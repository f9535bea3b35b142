//! `<bandwidth>`: rate limits in KiB/s and KiB.

use error::{Code, Domain, Error, Result};
use xml::{Node, Writer};

/// `<bandwidth>`: what the host lets into and out of a network or port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bandwidth {
    /// Towards the guest.
    pub inbound: Option<Rate>,
    /// From the guest.
    pub outbound: Option<Rate>,
}

/// One direction; 0 is "not set".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// KiB/s on average.
    pub average: u64,
    /// KiB/s at most.
    pub peak: u64,
    /// KiB that may pass at peak speed.
    pub burst: u64,
    /// KiB/s guaranteed; inbound of a port only.
    pub floor: u64,
}

impl Bandwidth {
    /// Reads element `<bandwidth>`; `None` when it limits nothing.
    ///
    /// # Errors
    /// libvirt's texts, code XML_ERROR.
    pub fn parse(node: Node<'_>, allow_floor: bool) -> Result<Option<Self>> {
        if node.attr("classID").is_some() && !allow_floor {
            return Err(Error::new(
                Domain::None,
                Code::XmlDetail,
                "classID attribute not supported on <bandwidth> in this usage context",
            ));
        }
        let inbound = node.child("inbound").map(Rate::parse).transpose()?;
        let outbound = node.child("outbound").map(Rate::parse).transpose()?;
        if [inbound, outbound].iter().flatten().any(|r| r.floor > 0) && !allow_floor {
            return Err(Error::new(
                Domain::None,
                Code::ConfigUnsupported,
                "floor attribute is not supported for this config",
            ));
        }
        if outbound.is_some_and(|r| r.floor > 0) {
            return Err(fault("'floor' attribute allowed only in <inbound> element"));
        }
        Ok((inbound.is_some() || outbound.is_some()).then_some(Self { inbound, outbound }))
    }

    /// Writes element `<bandwidth>`.
    pub fn write(&self, w: &mut Writer) {
        if self.inbound.is_none() && self.outbound.is_none() {
            return;
        }
        w.element("bandwidth", |w| {
            w.content();
            for (name, rate) in [("inbound", self.inbound), ("outbound", self.outbound)] {
                if let Some(rate) = rate.filter(|r| r.average > 0 || r.floor > 0) {
                    w.element(name, |w| {
                        for (name, value) in [
                            ("average", rate.average),
                            ("peak", rate.peak),
                            ("floor", rate.floor),
                            ("burst", rate.burst),
                        ] {
                            if value > 0 {
                                w.attr(name, value);
                            }
                        }
                    });
                }
            }
        });
    }
}

fn fault(detail: impl Into<String>) -> Error {
    Error::new(Domain::None, Code::XmlDetail, detail)
}

impl Rate {
    fn parse(node: Node<'_>) -> Result<Self> {
        let value = |name: &str| node.u64(name).map(Option::unwrap_or_default);
        let has_average = node.attr("average").is_some();
        if !has_average && node.attr("floor").is_none() {
            return Err(fault("Missing mandatory average or floor attributes"));
        }
        if !has_average && (node.attr("peak").is_some() || node.attr("burst").is_some()) {
            return Err(fault("'peak' and 'burst' require 'average' attribute"));
        }
        Ok(Self { average: value("average")?, peak: value("peak")?, burst: value("burst")?, floor: value("floor")? })
    }
}
