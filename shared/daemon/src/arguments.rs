//! The command line, as libvirt's daemons have it, plus `--root`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use crate::paths::Paths;
use crate::spec::{Kind, Spec};

/// libvirt's version that we report everywhere.
pub const LIBVIRT_VERSION: &str = "11.3.0";

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Parser)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub struct Arguments {
    /// Print help and leave.
    #[arg(short = 'h', long = "help")]
    pub help: bool,
    /// Log informational messages.
    #[arg(short = 'v', long = "verbose")]
    pub verbose: bool,
    /// Go to the background.
    #[arg(short = 'd', long = "daemon")]
    pub daemon: bool,
    /// Accepted for old scripts; TCP and TLS are sockets of the service manager.
    #[arg(short = 'l', long = "listen", hide = true)]
    pub listen: bool,
    /// Leave after so many seconds without clients and without work.
    #[arg(short = 't', long = "timeout", value_parser = clap::value_parser!(u32).range(1..=0x7fff_ffff))]
    pub timeout: Option<u32>,
    /// Configuration file.
    #[arg(short = 'f', long = "config")]
    pub config: Option<PathBuf>,
    /// Print the version and leave.
    #[arg(short = 'V', long = "version")]
    pub version: bool,
    /// Pid file.
    #[arg(short = 'p', long = "pid-file")]
    pub pid_file: Option<PathBuf>,
    /// Put every path of the suite below this folder.
    #[arg(long = "root")]
    pub root: Option<PathBuf>,
}

impl Arguments {
    /// Parses a command line, program name first.
    ///
    /// # Errors
    /// The text for standard error; the exit status is 1.
    pub fn parse_from_words(words: impl IntoIterator<Item = OsString>, kind: Kind) -> Result<Arguments, String> {
        let mut words: Vec<OsString> = words.into_iter().collect();
        if words.is_empty() {
            words.push("virtd".into());
        }
        let program = words[0].to_string_lossy().into_owned();
        let parsed = match Arguments::try_parse_from(&words) {
            Ok(parsed) => parsed,
            Err(error) => return Err(refusal(&program, &error)),
        };
        if parsed.listen && kind != Kind::Proxy {
            return Err(format!("{program}: unrecognized option '--listen'"));
        }
        Ok(parsed)
    }
}

fn refusal(program: &str, error: &clap::Error) -> String {
    use clap::error::{ContextKind, ErrorKind};
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            format!("{program}: unrecognized option '{argument}'")
        }
        ErrorKind::UnknownArgument => format!("{program}: unexpected, non-option, command line arguments"),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue if argument.contains("--timeout") => {
            format!("{program}: Invalid value for timeout")
        }
        _ => format!("{program}: {}", error.to_string().lines().next().unwrap_or_default()),
    }
}

/// The version line.
pub fn version(program: &str) -> String {
    format!("{program} (libvirt) {LIBVIRT_VERSION}")
}

/// The help text.
pub fn help(program: &str, spec: &Spec, paths: &Paths) -> String {
    let base = spec.socket_base();
    let mut sockets = vec![paths.socket(&format!("{base}-sock"))];
    if spec.has_read_only_socket(paths.privileged) {
        sockets.push(paths.socket(&format!("{base}-sock-ro")));
    }
    let sockets: String = sockets.iter().map(|path| format!("      {}\n", path.display())).collect();
    format!(
        "
Usage:
  {program} [options]

Options:
  -h | --help            Show this text
  -v | --verbose         Log informational messages too
  -d | --daemon          Run in the background, with a pid file
  -t | --timeout <secs>  Leave after that long without clients and work
  -f | --config <file>   Configuration file
  -V | --version         Show the version
  -p | --pid-file <file> Another name for the pid file
       --root <dir>      Put all paths below this folder

{name}, {about}:

  Default paths:

    Configuration file (unless overridden by -f):
      {config}

    Sockets:
{sockets}
    PID file (unless overridden by -p):
      {pid_file}
",
        name = spec.name,
        about = spec.about,
        config = paths.config_dir.join(format!("{}.conf", spec.name)).display(),
        pid_file = paths.pid_file(spec.name).display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        let words = std::iter::once("virtqemud").chain(words.iter().copied()).map(OsString::from);
        Arguments::parse_from_words(words, Kind::Driver)
    }

    #[test]
    fn options_of_libvirt() {
        let all = parse(&["-v", "-d", "-t", "120", "-f", "a.conf", "-p", "x.pid", "--root", "/r"]).unwrap();
        assert!(all.verbose && all.daemon);
        assert_eq!(all.timeout, Some(120));
        assert_eq!(all.root.as_deref(), Some(std::path::Path::new("/r")));
        let long =
            parse(&["--verbose", "--daemon", "--timeout=120", "--config=a.conf", "--pid-file=x.pid", "--root=/r"]);
        assert_eq!(long.unwrap(), all);
        assert_eq!(parse(&[]).unwrap(), Arguments::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (words, text) in [
            (&["--bogus"][..], "virtqemud: unrecognized option '--bogus'"),
            (&["extra"], "virtqemud: unexpected, non-option, command line arguments"),
            (&["-t", "abc"], "virtqemud: Invalid value for timeout"),
            (&["-t", "0"], "virtqemud: Invalid value for timeout"),
            (&["--listen"], "virtqemud: unrecognized option '--listen'"),
        ] {
            assert_eq!(parse(words).unwrap_err(), text, "{words:?}");
        }
        assert!(parse(&["-f"]).is_err());
    }

    #[test]
    fn version_line_is_libvirts() {
        assert_eq!(version("/usr/sbin/virtqemud"), "/usr/sbin/virtqemud (libvirt) 11.3.0");
    }
}
