//! Levels, and which source is logged from which level on.

use std::fmt;

use super::Error;

/// libvirt's four levels, the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 1; our trace events too.
    Debug = 1,
    /// 2
    Info = 2,
    /// 3
    Warning = 3,
    /// 4
    Error = 4,
}

impl Level {
    /// By libvirt's number.
    pub fn from_number(number: u32) -> Option<Level> {
        Some(match number {
            1 => Level::Debug,
            2 => Level::Info,
            3 => Level::Warning,
            4 => Level::Error,
            _ => return None,
        })
    }

    /// A number or a word, as `LIBVIRT_DEBUG` takes them.
    pub fn parse(text: &str) -> Option<Level> {
        Some(match text {
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warning" => Level::Warning,
            "error" => Level::Error,
            number => return Level::from_number(number.parse().ok()?),
        })
    }

    /// The level of a tracing event.
    pub fn of(level: &tracing::Level) -> Level {
        match *level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warning,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
        }
    }

    /// The word in a line.
    pub fn word(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }

    /// syslog's number for it.
    pub fn syslog(self) -> u8 {
        match self {
            Level::Debug => 7,
            Level::Info => 6,
            Level::Warning => 4,
            Level::Error => 3,
        }
    }
}

/// `LEVEL:MATCH`: sources with MATCH in their name are logged from LEVEL on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// From here on.
    pub level: Level,
    /// Part of the source's name.
    pub text: String,
}

impl Filter {
    /// Filters separated by blanks.
    pub fn parse_list(text: &str) -> Result<Vec<Filter>, Error> {
        text.split_ascii_whitespace().map(Filter::parse).collect()
    }

    fn parse(text: &str) -> Result<Filter, Error> {
        let malformed = || Error::Filter(text.to_owned());
        let (level, matched) = text.split_once(':').ok_or_else(malformed)?;
        // Older files ask for a stack trace with a plus; libvirt accepts and ignores it.
        let matched = matched.strip_prefix('+').unwrap_or(matched);
        if matched.is_empty() {
            return Err(malformed());
        }
        let level = level
            .parse()
            .ok()
            .and_then(Level::from_number)
            .ok_or_else(|| Error::FilterLevel { level: level.to_owned(), filter: text.to_owned() })?;
        Ok(Filter { level, text: matched.to_owned() })
    }

    /// Whether it is about this source. libvirt's patterns may end in stars, which add nothing to "contains".
    pub fn matches(&self, source: &str) -> bool {
        source.contains(self.text.trim_matches('*'))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // libvirt's form: a pattern with stars, which stand for "contains".
        write!(f, "{}:*{}*", self.level as u8, self.text.trim_matches('*'))
    }
}
