//! QEMU's output: where it goes, and the entries that we add.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use conf::domain::DomainDef;
use error::{Domain, Error};
use nix::libc;
use protocol::log::LogFilePosition;

use crate::driver::Driver;
use crate::peer;
use crate::settings::StdioHandler;

/// Most of QEMU's last words that go into an error message.
const TAIL_LEN_MAX: usize = 1024;

/// The log of one run.
#[derive(Debug)]
pub struct RunLog {
    /// For QEMU's standard output and error.
    pub output: OwnedFd,
    path: PathBuf,
    position: Option<LogFilePosition>,
    /// Bytes that are ours, at the start.
    header_len: usize,
}

impl RunLog {
    /// Opens the domain's log.
    ///
    /// # Errors
    /// With `stdio_handler = "logd"`, what connecting to virtlogd answers.
    pub async fn open(driver: &Driver, def: &DomainDef) -> error::Result<RunLog> {
        let path = driver.log_file(&def.name);
        match driver.settings.stdio_handler {
            StdioHandler::Logd => {
                let opened = peer::log::open(&driver.logd_socket(), def.uuid, &def.name, &path, false).await?;
                Ok(RunLog { output: opened.pipe, path, position: Some(opened.position), header_len: 0 })
            }
            StdioHandler::File => {
                let file = append(&path).map_err(|e| {
                    Error::system(Domain::Qemu, &e, format!("failed to create logfile {}", path.display()))
                })?;
                Ok(RunLog { output: file.into(), path, position: None, header_len: 0 })
            }
        }
    }

    /// Writes the entry that says what is started and how.
    pub fn write_header(&mut self, facts: &str, env: &[(String, String)], argv: &[String]) {
        let mut text = format!(
            "{}: starting up libvirt version: 11.3.0, package: oxvirt {}, {facts}\n",
            timestamp(),
            env!("CARGO_PKG_VERSION")
        );
        for (key, value) in env {
            text.push_str(&format!("{key}={value} \\\n"));
        }
        let words: Vec<String> = argv.iter().map(|word| quote(word)).collect();
        text.push_str(&words.join(" "));
        text.push('\n');
        self.header_len = text.len();
        if let Err(e) = write_all(&self.output, text.as_bytes()) {
            tracing::warn!(path = %self.path.display(), error = %e, "cannot write to the log");
        }
    }

    /// What QEMU said in this run, shortened to its end.
    pub async fn last_words(&self, driver: &Driver) -> String {
        let text = match &self.position {
            Some(position) => peer::log::read_since(&driver.logd_socket(), self.path.clone(), position.clone())
                .await
                .unwrap_or_default(),
            None => std::fs::read_to_string(&self.path).unwrap_or_default(),
        };
        let said = text.get(self.header_len.min(text.len())..).unwrap_or_default().trim_end();
        let start = said.len().saturating_sub(TAIL_LEN_MAX);
        let start = (start..=said.len()).find(|at| said.is_char_boundary(*at)).unwrap_or(said.len());
        said[start..].to_owned()
    }
}

/// Writes the entry that says how a run ended. virtlogd, when it has the file, knows where its end is.
pub async fn write_end(driver: &Driver, name: &str, uuid: [u8; 16], reason: &str) {
    let (path, line) = (driver.log_file(name), format!("{}: shutting down, reason={reason}\n", timestamp()));
    let written = match driver.settings.stdio_handler {
        StdioHandler::Logd => {
            peer::log::append(&driver.logd_socket(), uuid, name, &path, line).await.map_err(|e| e.to_string())
        }
        StdioHandler::File => {
            let written =
                host::run_blocking(move || append(&path).and_then(|mut file| file.write_all(line.as_bytes()))).await;
            written.map_err(|e| e.to_string())
        }
    };
    if let Err(error) = written {
        tracing::warn!(domain = name, error, "cannot write to the log");
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)
}

fn write_all(fd: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    File::from(fd.try_clone()?).write_all(bytes)
}

/// As a shell would need it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// UTC in libvirt's form: `2025-05-31 12:30:45.123+0000`.
fn timestamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:03}+0000", host::clock::utc(now.as_secs()).trim_end_matches('Z'), now.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(quote("-name"), "-name");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
