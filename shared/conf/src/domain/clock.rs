//! Clock and timers.

use xml::text_enum;

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
    Utc { adjustment: Option<Adjustment> },
    Localtime { adjustment: Option<Adjustment> },
    Variable { adjustment: i64, basis: ClockBasis, adjustment0: i64 },
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
