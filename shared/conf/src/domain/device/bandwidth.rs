//! Bandwidth limits of interfaces and networks.

use error::{Code, Domain, Error, Result};
use xml::{Node, Writer};

/// One direction, in KiB/s and KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    pub average: Option<u64>,
    pub peak: Option<u64>,
    pub floor: Option<u64>,
    pub burst: Option<u64>,
}

/// `<bandwidth>`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bandwidth {
    pub inbound: Option<Rate>,
    pub outbound: Option<Rate>,
}

impl Rate {
    fn parse(node: Node<'_>) -> Result<Self> {
        let number = |name: &str| node.u64(name);
        let rate = Self {
            average: number("average")?,
            peak: number("peak")?,
            floor: number("floor")?,
            burst: number("burst")?,
        };
        if rate.average.is_none() && rate.floor.is_none() {
            return Err(Error::new(Domain::None, Code::XmlDetail, "Missing mandatory average or floor attributes"));
        }
        if rate.average.is_none() && (rate.peak.is_some() || rate.burst.is_some()) {
            return Err(Error::new(Domain::None, Code::XmlDetail, "'peak' and 'burst' require 'average' attribute"));
        }
        Ok(rate)
    }

    fn format(&self, name: &str, w: &mut Writer) {
        w.element_if_any(name, |w| {
            let shown = |n: Option<u64>| n.filter(|n| *n > 0);
            w.attr_opt("average", shown(self.average));
            w.attr_opt("peak", shown(self.peak));
            w.attr_opt("floor", shown(self.floor));
            w.attr_opt("burst", shown(self.burst));
        });
    }
}

impl Bandwidth {
    /// Reads `<bandwidth>`; an empty one is none.
    ///
    /// # Errors
    /// As libvirt's: a number that is none, or neither average nor floor.
    pub fn parse(node: Node<'_>) -> Result<Option<Self>> {
        let side = |name: &str| node.child(name).map(Rate::parse).transpose();
        let bandwidth = Self { inbound: side("inbound")?, outbound: side("outbound")? };
        if bandwidth.outbound.is_some_and(|o| o.floor.is_some()) {
            return Err(Error::new(
                Domain::None,
                Code::XmlDetail,
                "'floor' attribute allowed only in <inbound> element",
            ));
        }
        Ok((bandwidth != Self::default()).then_some(bandwidth))
    }

    /// Writes `<bandwidth>`.
    pub fn format(&self, w: &mut Writer) {
        w.element("bandwidth", |w| {
            if let Some(rate) = &self.inbound {
                rate.format("inbound", w);
            }
            if let Some(rate) = &self.outbound {
                rate.format("outbound", w);
            }
        });
    }
}
