//! The log, in libvirt's line form and with libvirt's settings.
//!
//! A line is `TIME: THREAD: LEVEL : SOURCE:LINE : MESSAGE`; clients of the suite parse it. SOURCE is the module, with
//! dots; filters match a part of it. Settings come from the command line, the environment and the configuration file,
//! in this order, and can be changed while the daemon runs.
//!
//! - `filter`: levels, and which source is logged from which level on.
//! - `output`: where lines go: standard error, a file, the journal, syslog.
//! - `line`: how an event becomes text.

mod filter;
mod line;
mod output;

use std::env;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::Settings;
pub use filter::{Filter, Level};
pub use output::{Destination, Output};

/// Why log settings were refused; texts as libvirt's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A level is not between 1 and 4.
    #[error("invalid argument: Invalid priority '{0}'")]
    Level(String),
    /// A filter is not `LEVEL:MATCH`.
    #[error("invalid argument: Malformed format for filter '{0}'")]
    Filter(String),
    /// The level of a filter is not between 1 and 4.
    #[error("invalid argument: Invalid priority '{level}' for filter '{filter}'")]
    FilterLevel {
        /// What stands for the level.
        level: String,
        /// The whole filter.
        filter: String,
    },
    /// The level of an output is not between 1 and 4.
    #[error("invalid argument: Invalid priority '{level}' for log output '{output}'")]
    OutputLevel {
        /// What stands for the level.
        level: String,
        /// The whole output.
        output: String,
    },
    /// An output of an unknown kind.
    #[error("invalid argument: Invalid log destination '{kind}' for log output '{output}'")]
    Destination {
        /// What stands for the kind.
        kind: String,
        /// The whole output.
        output: String,
    },
    /// An output is not `LEVEL:KIND[:WHERE]`.
    #[error("invalid argument: Malformed format for log output '{0}'")]
    Output(String),
    /// A file or socket cannot be opened.
    #[error("failed to open log output '{0}'")]
    Open(String, #[source] std::io::Error),
}

/// What is logged, and where to.
#[derive(Debug)]
pub struct Config {
    /// From this level on, unless a filter says otherwise.
    pub level: Level,
    /// The first that matches a source decides.
    pub filters: Vec<Filter>,
    /// All of them get each line from their level on.
    pub outputs: Vec<Output>,
}

/// The handle by which settings are changed.
#[derive(Clone)]
pub struct Control {
    config: Arc<ArcSwap<Config>>,
}

static CONTROL: OnceLock<Control> = OnceLock::new();

/// The default output of a daemon when nobody names one.
#[derive(Clone, Debug)]
pub enum Default {
    /// To the journal if that is where we come from, else to standard error.
    Foreground,
    /// To this file: we are in the background.
    File(PathBuf),
}

impl Control {
    /// Starts logging to standard error from warnings on; to be called once, before anything is logged.
    pub fn install(program: &'static str) -> Control {
        line::set_program(program);
        let config = Config { level: Level::Warning, filters: Vec::new(), outputs: vec![Output::stderr(Level::Debug)] };
        let control = Control { config: Arc::new(ArcSwap::from_pointee(config)) };
        let layer = Lines { config: control.config.clone() };
        if tracing_subscriber::registry().with(layer).try_init().is_err() {
            tracing::debug!("a log subscriber is installed already");
        }
        CONTROL.get_or_init(|| control).clone()
    }

    /// The control of this process, once installed.
    pub fn get() -> Option<Control> {
        CONTROL.get().cloned()
    }

    /// Applies the settings: environment over file over defaults; `verbose` lowers the default level to info.
    pub fn configure(&self, settings: &Settings, verbose: bool, default: &Default) -> Result<(), Error> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let mut level = match settings.log_level {
            Some(number) => Level::from_number(number).ok_or_else(|| Error::Level(number.to_string()))?,
            None => Level::Warning,
        };
        if let Some(text) = variable("LIBVIRT_DEBUG") {
            level = Level::parse(&text).ok_or(Error::Level(text))?;
        }
        if verbose {
            level = level.min(Level::Info);
        }
        let filters = variable("LIBVIRT_LOG_FILTERS").or_else(|| settings.log_filters.clone());
        let outputs = variable("LIBVIRT_LOG_OUTPUTS").or_else(|| settings.log_outputs.clone());
        let outputs = match outputs {
            Some(text) => Output::parse_list(&text)?,
            None => vec![default.output()?],
        };
        let filters = Filter::parse_list(filters.as_deref().unwrap_or_default())?;
        self.replace(Config { level, filters, outputs });
        Ok(())
    }

    /// Replaces the filters (admin interface).
    pub fn set_filters(&self, text: &str) -> Result<(), Error> {
        let filters = Filter::parse_list(text)?;
        let old = self.config.load();
        self.replace(Config { level: old.level, filters, outputs: old.outputs.clone() });
        Ok(())
    }

    /// Replaces the outputs (admin interface).
    pub fn set_outputs(&self, text: &str) -> Result<(), Error> {
        let outputs = Output::parse_list(text)?;
        let old = self.config.load();
        self.replace(Config { level: old.level, filters: old.filters.clone(), outputs });
        Ok(())
    }

    /// The filters in their text form, and how many there are.
    pub fn filters(&self) -> (String, usize) {
        let config = self.config.load();
        let texts: Vec<String> = config.filters.iter().map(ToString::to_string).collect();
        (texts.join(" "), texts.len())
    }

    /// The outputs in their text form, and how many there are.
    pub fn outputs(&self) -> (String, usize) {
        let config = self.config.load();
        let texts: Vec<String> = config.outputs.iter().map(ToString::to_string).collect();
        (texts.join(" "), texts.len())
    }

    fn replace(&self, config: Config) {
        self.config.store(Arc::new(config));
        // What is off costs one load per event; the answer is remembered, so it has to be asked again.
        tracing::callsite::rebuild_interest_cache();
    }
}

impl Default {
    fn output(&self) -> Result<Output, Error> {
        match self {
            Default::File(path) => Output::file(Level::Debug, path.clone()),
            Default::Foreground => Ok(Output::journal_if_ours().unwrap_or_else(|| Output::stderr(Level::Debug))),
        }
    }
}

struct Lines {
    config: Arc<ArcSwap<Config>>,
}

impl Lines {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.config.load().level_of(metadata.target()) <= Level::of(metadata.level())
    }
}

impl Config {
    fn level_of(&self, target: &str) -> Level {
        let source = target.replace("::", ".");
        self.filters.iter().find(|filter| filter.matches(&source)).map_or(self.level, |filter| filter.level)
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_event() && self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_event() && self.wants(metadata)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let config = self.config.load();
        let level = Level::of(event.metadata().level());
        let record = line::Record::of(event, level);
        for output in config.outputs.iter().filter(|output| output.level <= level) {
            output.write(&record);
        }
    }
}

#[cfg(test)]
mod tests;
