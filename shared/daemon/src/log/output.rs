//! Where lines go: standard error, a file, the journal, syslog.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::line::{Record, program};
use super::{Error, Level};

const JOURNAL: &str = "/run/systemd/journal/socket";
const SYSLOG: &str = "/dev/log";
/// syslog's facility "daemon".
const FACILITY_DAEMON: u8 = 3;

/// One place that gets lines from a level on.
#[derive(Clone, Debug)]
pub struct Output {
    /// From here on.
    pub level: Level,
    /// The place.
    pub destination: Destination,
    opened: Arc<AtomicBool>,
}

/// The places there are.
#[derive(Clone, Debug)]
pub enum Destination {
    /// Standard error.
    Stderr,
    /// A file that grows.
    File(PathBuf, Arc<File>),
    /// The journal's own protocol, with the fields that libvirt sets.
    Journal(Arc<UnixDatagram>),
    /// syslog, under this name.
    Syslog(String, Arc<UnixDatagram>),
}

impl Output {
    fn new(level: Level, destination: Destination) -> Output {
        Output { level, destination, opened: Arc::default() }
    }

    /// Standard error.
    pub fn stderr(level: Level) -> Output {
        Output::new(level, Destination::Stderr)
    }

    /// A file, made 0600 if missing, written at its end.
    pub fn file(level: Level, path: PathBuf) -> Result<Output, Error> {
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let file = opened.map_err(|source| Error::Open(path.display().to_string(), source))?;
        Ok(Output::new(level, Destination::File(path, Arc::new(file))))
    }

    /// The journal, when standard input is no terminal and the journal is there (libvirt's rule), and nobody else reads
    /// our standard error: it leads to the journal too, or nowhere.
    pub fn journal_if_ours() -> Option<Output> {
        let for_journal = std::env::var_os("JOURNAL_STREAM").is_some() || stderr_leads_nowhere();
        if io::stdin().is_terminal() || !for_journal { None } else { journal(Level::Debug).ok() }
    }

    /// Outputs separated by blanks.
    pub fn parse_list(text: &str) -> Result<Vec<Output>, Error> {
        text.split_ascii_whitespace().map(Output::parse).collect()
    }

    fn parse(text: &str) -> Result<Output, Error> {
        let malformed = || Error::Output(text.to_owned());
        let (level, rest) = text.split_once(':').ok_or_else(malformed)?;
        let level = level
            .parse()
            .ok()
            .and_then(Level::from_number)
            .ok_or_else(|| Error::OutputLevel { level: level.to_owned(), output: text.to_owned() })?;
        let kind = rest.split(':').next().unwrap_or_default();
        if !matches!(kind, "stderr" | "journald" | "file" | "syslog") {
            return Err(Error::Destination { kind: kind.to_owned(), output: text.to_owned() });
        }
        match rest.split_once(':') {
            None if rest == "stderr" => Ok(Output::stderr(level)),
            None if rest == "journald" => journal(level),
            Some(("file", path)) if path.starts_with('/') => Output::file(level, path.into()),
            Some(("syslog", name)) if !name.is_empty() => syslog(level, name),
            _ => Err(malformed()),
        }
    }

    /// Writes one record. Errors are swallowed: there is no place left to report them.
    pub(super) fn write(&self, record: &Record) {
        let first = !self.opened.swap(true, Ordering::Relaxed);
        let _ = match &self.destination {
            Destination::Stderr => self.write_line(&mut io::stderr(), record, first),
            Destination::File(_, file) => self.write_line(&mut &**file, record, first),
            Destination::Journal(socket) => socket.send(&journal_entry(record)).map(drop),
            Destination::Syslog(name, socket) => socket.send(syslog_entry(name, record).as_bytes()).map(drop),
        };
    }

    fn write_line(&self, to: &mut dyn Write, record: &Record, first: bool) -> io::Result<()> {
        // One write, so that lines of several threads and processes do not mix.
        let line = if first { record.opening() + &record.line() } else { record.line() };
        to.write_all(line.as_bytes())
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.level as u8)?;
        match &self.destination {
            Destination::Stderr => f.write_str("stderr"),
            Destination::File(path, _) => write!(f, "file:{}", path.display()),
            Destination::Journal(_) => f.write_str("journald"),
            Destination::Syslog(name, _) => write!(f, "syslog:{name}"),
        }
    }
}

fn stderr_leads_nowhere() -> bool {
    use std::os::unix::fs::MetadataExt;
    let target = |path: &str| std::fs::metadata(path).map(|meta| meta.rdev()).ok().filter(|&device| device != 0);
    target("/dev/null").is_some_and(|null| target("/proc/self/fd/2") == Some(null))
}

fn journal(level: Level) -> Result<Output, Error> {
    Ok(Output::new(level, Destination::Journal(datagram(JOURNAL)?)))
}

fn syslog(level: Level, name: &str) -> Result<Output, Error> {
    Ok(Output::new(level, Destination::Syslog(name.to_owned(), datagram(SYSLOG)?)))
}

fn datagram(path: &str) -> Result<Arc<UnixDatagram>, Error> {
    let connect = || {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Arc::new(socket))
    };
    connect().map_err(|source| Error::Open(path.to_owned(), source))
}

fn journal_entry(record: &Record) -> Vec<u8> {
    let mut entry = Vec::new();
    field(&mut entry, "MESSAGE", &record.message);
    field(&mut entry, "PRIORITY", &record.level.syslog().to_string());
    field(&mut entry, "LIBVIRT_SOURCE", &record.source);
    field(&mut entry, "SYSLOG_IDENTIFIER", program());
    field(&mut entry, "SYSLOG_FACILITY", &FACILITY_DAEMON.to_string());
    field(&mut entry, "CODE_FILE", record.file);
    field(&mut entry, "CODE_LINE", &record.line.to_string());
    field(&mut entry, "CODE_FUNC", &record.source);
    field(&mut entry, "TID", &record.thread.to_string());
    entry
}

/// Values with line ends have their length in front (systemd's native journal protocol).
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

fn syslog_entry(name: &str, record: &Record) -> String {
    let priority = FACILITY_DAEMON * 8 + record.level.syslog();
    let mut entry = format!("<{priority}>{name}[{}]: ", std::process::id());
    let _ = write!(entry, "{}", record.line().trim_end());
    entry
}
