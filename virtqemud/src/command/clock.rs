//! `-rtc`, timers, power management.

use conf::domain::clock::{Adjustment, ClockBasis, ClockOffset, TickPolicy, TimerName, TimerTrack};
use error::{Code, Domain, Error, Result};

use super::plan::Builder;
use crate::address::machine as kind;

/// `-rtc` and the lost ticks of the PIT.
pub fn clock(b: &mut Builder) -> Result<()> {
    let mut text = format!("base={}", base(b));
    for timer in b.def.clock.timers.iter().filter(|t| t.name == TimerName::Rtc) {
        match timer.track {
            Some(TimerTrack::Boot) => return Err(unsupported("unsupported rtc timer track 'boot'")),
            Some(TimerTrack::Guest) => text.push_str(",clock=vm"),
            Some(TimerTrack::Wall) => text.push_str(",clock=host"),
            Some(TimerTrack::Realtime) => text.push_str(",clock=rt"),
            None => {}
        }
        match timer.tick_policy {
            Some(TickPolicy::Catchup) => text.push_str(",driftfix=slew"),
            Some(TickPolicy::Merge | TickPolicy::Discard) => {
                return Err(unsupported("unsupported rtc timer tickpolicy"));
            }
            Some(TickPolicy::Delay) | None => {}
        }
    }
    b.option("-rtc", text);
    for timer in &b.def.clock.timers {
        if timer.name != TimerName::Pit {
            continue;
        }
        match timer.tick_policy {
            Some(TickPolicy::Delay) if b.capability.has_type("kvm-pit") => {
                b.option("-global", "kvm-pit.lost_tick_policy=delay")
            }
            Some(TickPolicy::Discard) if b.capability.has_type("kvm-pit") => {
                b.option("-global", "kvm-pit.lost_tick_policy=discard")
            }
            Some(TickPolicy::Merge) => return Err(unsupported("unsupported pit tickpolicy 'merge'")),
            _ => {}
        }
    }
    Ok(())
}

fn unsupported(detail: &str) -> Error {
    Error::new(Domain::Qemu, Code::ConfigUnsupported, detail)
}

fn base(b: &Builder) -> String {
    let at = |seconds: i64| timestamp(seconds);
    match &b.def.clock.offset {
        ClockOffset::Utc { adjustment: Some(Adjustment::Seconds(s)) } => at(b.inputs.now + s),
        ClockOffset::Utc { .. } => "utc".into(),
        ClockOffset::Localtime { adjustment: Some(Adjustment::Seconds(s)) } => {
            at(b.inputs.now + b.inputs.utc_offset + s)
        }
        // A time zone is set in QEMU's environment.
        ClockOffset::Localtime { .. } | ClockOffset::Timezone(_) => "localtime".into(),
        ClockOffset::Variable { adjustment, basis, .. } => {
            let offset = if *basis == ClockBasis::Localtime { b.inputs.utc_offset } else { 0 };
            at(b.inputs.now + offset + adjustment)
        }
        ClockOffset::Absolute(seconds) => at(i64::try_from(*seconds).unwrap_or(i64::MAX)),
    }
}

/// `YYYY-MM-DDTHH:MM:SS` in UTC.
pub fn timestamp(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    // Days to a civil date, counting eras of 400 years from March of year 0.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// What a reset or power-off does to QEMU, and which sleep states the guest has.
pub fn power(b: &mut Builder) {
    b.flag("-no-shutdown");
    let (mem, disk) = (b.def.pm.suspend_to_mem, b.def.pm.suspend_to_disk);
    let device = if kind::is_q35(b.def) { "ICH9-LPC" } else { "PIIX4_PM" };
    if !kind::is_x86(b.def) {
        return;
    }
    for (property, allowed) in [("disable_s3", mem), ("disable_s4", disk)] {
        if let Some(allowed) = allowed {
            b.option("-global", format!("{device}.{property}={}", u8::from(!allowed)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00");
        assert_eq!(timestamp(253_402_300_799), "9999-12-31T23:59:59");
    }
}
