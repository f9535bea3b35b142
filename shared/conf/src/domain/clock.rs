//! Clock and timers.

use error::Result;
use xml::text_enum;
use xml::{Node, Vocabulary, Writer};

use super::fault::{internal, unsupported, xml_error};
use crate::FormatFlags;

text_enum! {
    /// Basis of a variable clock.
    pub enum ClockBasis { Utc = "utc", Localtime = "localtime" }
}

/// What happens to a clock that the guest has set, on the next start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Adjustment {
    /// `reset`, or nothing written.
    Reset,
    /// Seconds; the clock becomes variable.
    Seconds(i64),
}

/// `offset=`
#[derive(Clone, Debug, PartialEq)]
pub enum ClockOffset {
    Utc {
        adjustment: Option<Adjustment>,
    },
    Localtime {
        adjustment: Option<Adjustment>,
    },
    Variable {
        adjustment: i64,
        basis: ClockBasis,
        adjustment0: i64,
    },
    Timezone(String),
    /// Seconds since the epoch.
    Absolute(u64),
}

text_enum! {
    /// Timer.
    pub enum TimerName {
        Platform = "platform", Pit = "pit", Rtc = "rtc", Hpet = "hpet", Tsc = "tsc", Kvmclock = "kvmclock", Hypervclock = "hypervclock",
        Armvtimer = "armvtimer",
    }
}
text_enum! {
    /// Source of a timer.
    pub enum TimerTrack { Boot = "boot", Guest = "guest", Wall = "wall", Realtime = "realtime" }
}
text_enum! {
    /// What happens to missed ticks.
    pub enum TickPolicy { Delay = "delay", Catchup = "catchup", Merge = "merge", Discard = "discard" }
}
text_enum! {
    /// Mode of the TSC.
    pub enum TimerMode {
        Auto = "auto", Native = "native", Emulate = "emulate", Paravirt = "paravirt", Smpsafe = "smpsafe",
    }
}

/// `<timer>`
#[derive(Clone, Debug, PartialEq)]
pub struct Timer {
    pub name: TimerName,
    pub present: Option<bool>,
    pub tick_policy: Option<TickPolicy>,
    pub track: Option<TimerTrack>,
    pub frequency: Option<u64>,
    pub mode: Option<TimerMode>,
    /// threshold, slew, limit
    pub catchup: Option<[Option<u64>; 3]>,
}

/// `<clock>`
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    pub offset: ClockOffset,
    pub timers: Vec<Timer>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { offset: ClockOffset::Utc { adjustment: None }, timers: Vec::new() }
    }
}

impl Timer {
    fn parse(node: Node<'_>) -> Result<Self> {
        let catchup = match node.child("catchup") {
            None => None,
            Some(c) => {
                let number = |name: &str| match c.attr(name) {
                    None => Ok(None),
                    Some(text) => {
                        xml::parse_u64(text, 10).map(Some).ok_or_else(|| xml_error(format!("invalid catchup {name}")))
                    }
                };
                Some([number("threshold")?, number("slew")?, number("limit")?])
            }
        };
        Ok(Self {
            name: node.required_word("name")?,
            present: node.yes_no("present")?,
            tick_policy: node.word("tickpolicy")?,
            track: node.word("track")?,
            frequency: node.u64("frequency")?,
            mode: node.word("mode")?,
            catchup,
        })
    }

    fn format(&self, w: &mut Writer) {
        w.element("timer", |w| {
            w.attr("name", self.name);
            w.yes_no("present", self.present);
            w.attr_opt("tickpolicy", self.tick_policy);
            if matches!(self.name, TimerName::Platform | TimerName::Rtc) {
                w.attr_opt("track", self.track);
            }
            if self.name == TimerName::Tsc {
                w.attr_opt("frequency", self.frequency.filter(|f| *f > 0));
                w.attr_opt("mode", self.mode);
            }
            if let Some([threshold, slew, limit]) = self.catchup {
                w.element_if_any("catchup", |w| {
                    w.attr_opt("threshold", threshold.filter(|n| *n > 0));
                    w.attr_opt("slew", slew.filter(|n| *n > 0));
                    w.attr_opt("limit", limit.filter(|n| *n > 0));
                });
            }
        });
    }
}

impl Clock {
    /// Reads `<clock>`.
    ///
    /// # Errors
    /// `XML_ERROR` as libvirt's.
    pub(super) fn parse(domain: Node<'_>) -> Result<Self> {
        let Some(node) = domain.child("clock") else { return Ok(Self::default()) };
        let offset = match node.attr("offset") {
            None | Some("utc") => Self::simple(node, ClockBasis::Utc)?,
            Some("localtime") => Self::simple(node, ClockBasis::Localtime)?,
            Some("variable") => {
                let adjustment = node.attr("adjustment").and_then(|t| xml::parse_i64(t, 10)).unwrap_or(0);
                let adjustment0 = node.i64("adjustment0")?.unwrap_or(0);
                ClockOffset::Variable { adjustment, basis: node.word("basis")?.unwrap_or(ClockBasis::Utc), adjustment0 }
            }
            Some("timezone") => ClockOffset::Timezone(
                node.string("timezone")
                    .ok_or_else(|| internal("missing 'timezone' attribute for clock with offset='timezone'"))?,
            ),
            Some("absolute") => {
                ClockOffset::Absolute(node.u64("start")?.ok_or_else(|| xml::missing_attribute(node, "start"))?)
            }
            Some(word) => return Err(unsupported(format!("unknown clock offset '{word}'"))),
        };
        let timers = node.children("timer").map(Timer::parse).collect::<Result<_>>()?;
        Ok(Self { offset, timers })
    }

    /// An adjustment in seconds makes the clock variable.
    fn simple(node: Node<'_>, basis: ClockBasis) -> Result<ClockOffset> {
        let adjustment = match node.attr("adjustment") {
            None => None,
            Some("reset") => Some(Adjustment::Reset),
            Some(text) => {
                let adjustment =
                    xml::parse_i64(text, 10).ok_or_else(|| xml_error(format!("invalid clock adjustment '{text}'")))?;
                return Ok(ClockOffset::Variable { adjustment, basis, adjustment0: 0 });
            }
        };
        Ok(match basis {
            ClockBasis::Utc => ClockOffset::Utc { adjustment },
            ClockBasis::Localtime => ClockOffset::Localtime { adjustment },
        })
    }

    pub(super) fn format(&self, w: &mut Writer, flags: FormatFlags) {
        w.element("clock", |w| {
            let adjust = |w: &mut Writer, adjustment: Option<Adjustment>| {
                if adjustment == Some(Adjustment::Reset) {
                    w.attr("adjustment", "reset");
                }
            };
            match &self.offset {
                ClockOffset::Utc { adjustment } => {
                    w.attr("offset", "utc");
                    adjust(w, *adjustment);
                }
                ClockOffset::Localtime { adjustment } => {
                    w.attr("offset", "localtime");
                    adjust(w, *adjustment);
                }
                ClockOffset::Variable { adjustment, basis, adjustment0 } => {
                    w.attr("offset", "variable");
                    w.attr("adjustment", adjustment);
                    w.attr("basis", basis.word());
                    if flags.status && *adjustment0 != 0 {
                        w.attr("adjustment0", adjustment0);
                    }
                }
                ClockOffset::Timezone(zone) => {
                    w.attr("offset", "timezone");
                    w.attr("timezone", zone);
                }
                ClockOffset::Absolute(start) => {
                    w.attr("offset", "absolute");
                    w.attr("start", start);
                }
            }
            self.timers.iter().for_each(|t| t.format(w));
        });
    }
}
