//! How an event becomes text.

use std::fmt::{self, Write};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::Event;
use tracing::field::{Field, Visit};

use super::Level;

static PROGRAM: OnceLock<&'static str> = OnceLock::new();

pub(super) fn set_program(name: &'static str) {
    PROGRAM.get_or_init(|| name);
}

pub(super) fn program() -> &'static str {
    PROGRAM.get().copied().unwrap_or("virtd")
}

/// An event with everything that outputs need.
pub(super) struct Record {
    pub(super) level: Level,
    pub(super) thread: i32,
    pub(super) time: SystemTime,
    /// The module, with dots.
    pub(super) source: String,
    pub(super) file: &'static str,
    pub(super) line: u32,
    pub(super) message: String,
}

impl Record {
    pub(super) fn of(event: &Event<'_>, level: Level) -> Record {
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        let mut message = text.message;
        message.push_str(&text.fields);
        Record {
            level,
            thread: nix::unistd::gettid().as_raw(),
            time: SystemTime::now(),
            source: metadata.target().replace("::", "."),
            file: metadata.file().unwrap_or(""),
            line: metadata.line().unwrap_or(0),
            message,
        }
    }

    /// The line with its end.
    pub(super) fn line(&self) -> String {
        let mut line = prefix(self.time, self.thread, self.level);
        let _ = write!(line, "{}:{} : ", self.source, self.line);
        // Text that comes from outside must not be able to look like another line.
        for c in self.message.chars() {
            match c {
                '\n' => line.push_str("\\n"),
                '\t' => line.push('\t'),
                c if c.is_control() => {
                    let _ = write!(line, "\\x{:02x}", c as u32);
                }
                c => line.push(c),
            }
        }
        line.push('\n');
        line
    }

    /// The lines that open a log, as libvirt writes them.
    pub(super) fn opening(&self) -> String {
        let start = prefix(self.time, self.thread, Level::Info);
        let version = crate::arguments::LIBVIRT_VERSION;
        let package = env!("CARGO_PKG_VERSION");
        let mut lines = format!("{start}libvirt version: {version}, package: oxvirt {package}\n");
        if let Ok(host) = host::system::hostname() {
            let _ = writeln!(lines, "{start}hostname: {host}");
        }
        lines
    }
}

fn prefix(time: SystemTime, thread: i32, level: Level) -> String {
    format!("{}: {thread}: {} : ", timestamp(time), level.word())
}

/// `2026-11-20 12:40:56.910+0000`: always UTC, as in libvirt.
pub(super) fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / 86_400);
    let second = since.as_secs() % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:03}+0000", since.subsec_millis())
}

/// Year, month and day of a day number since 1970-01-01 (Gregorian; eras of 400 years that begin in March).
fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, of_year - (153 * month_from_march + 2) / 5 + 1)
}

/// Sentence and fields of an event; fields follow the sentence as ` name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.record_debug(field, &format_args!("{text}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
