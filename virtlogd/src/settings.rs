//! The keys of virtlogd.conf that are not those of every daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::{File, Result};

use crate::chain::BACKUPS_MAX;
use crate::log_file::Limits;

const MAX_SIZE: u64 = 2 * 1024 * 1024;
const MAX_BACKUPS: u32 = 3;
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// What the administrator decides about logs.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// When logs are rotated.
    pub limits: Limits,
    /// How long logs that nobody writes are kept; `None` = for ever.
    pub max_age: Option<Duration>,
    /// Below which folder they are looked for.
    pub log_root: PathBuf,
}

impl Settings {
    /// Reads them, with libvirt's defaults; `log_dir` is the default of `log_root`.
    pub fn read(file: &File, log_dir: &Path) -> Result<Settings> {
        let max_backups = file.uint("max_backups")?.unwrap_or(MAX_BACKUPS);
        if max_backups > BACKUPS_MAX {
            return Err(file.invalid("max_backups", format!("at most {BACKUPS_MAX} are possible")));
        }
        let limits = Limits { max_size: file.ulong("max_size")?.unwrap_or(MAX_SIZE), max_backups };
        let days = file.ulong("max_age_days")?.unwrap_or(0);
        let log_root = file.string("log_root")?.map_or_else(|| log_dir.to_owned(), PathBuf::from);
        if !log_root.is_absolute() {
            return Err(file.invalid("log_root", "must be an absolute path"));
        }
        let max_age = (days > 0).then(|| Duration::from_secs(days.saturating_mul(SECONDS_PER_DAY)));
        Ok(Settings { limits, max_age, log_root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings> {
        Settings::read(&File::parse(text).unwrap(), Path::new("/var/log/libvirt"))
    }

    #[test]
    fn defaults_are_those_of_the_shipped_file() {
        let shipped = read(
            &include_str!("../../etc/virtlogd.conf").replace("\n#max", "\nmax").replace("\n#log_root", "\nlog_root"),
        );
        assert_eq!(read("").unwrap(), shipped.unwrap());
    }

    #[test]
    fn values_and_refusals() {
        let read_all = read("max_size = 0\nmax_backups = 32\nmax_age_days = 2\nlog_root = \"/srv/logs\"").unwrap();
        assert_eq!(read_all.limits, Limits { max_size: 0, max_backups: 32 });
        assert_eq!(read_all.max_age, Some(Duration::from_secs(172_800)));
        assert_eq!(read_all.log_root, Path::new("/srv/logs"));
        for text in ["max_backups = 33", "max_size = \"big\"", "log_root = \"logs\"", "max_age_days = -1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
