//! Running the image tool: explicit formats, bounded memory and processor time, files passed as descriptors.
//!
//! The tool works on images that guests have written, so it is treated as a parser of hostile input. It is given no path of an
//! image but `/proc/PID/fd/N`, a descriptor that this process holds open, so that nothing can be swapped under it. (Standard
//! output would not do: whatever the tool prints would go into the image.)

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use error::{Code, Domain, Error, Result};

/// Address space that the tool may use: libvirt's own bound for `qemu-img info` is 1 GiB.
const MEMORY_MAX: u64 = 1 << 30;
/// Most of its error text that is shown.
const ERROR_MAX: usize = 4096;
/// Stands in arguments for the image that is read.
pub(crate) const INPUT: &str = "<input>";
/// Stands in arguments for the image that is written.
pub(crate) const OUTPUT: &str = "<output>";

/// One run of `qemu-img`.
#[derive(Debug)]
pub(crate) struct ImageTool {
    arguments: Vec<String>,
    input: Option<(File, String)>,
    output: Option<(File, String)>,
    processor_seconds: Option<u64>,
}

impl ImageTool {
    /// `qemu-img VERB`.
    pub(crate) fn new(verb: &str) -> Self {
        ImageTool { arguments: vec![verb.into()], input: None, output: None, processor_seconds: None }
    }

    /// Adds arguments.
    pub(crate) fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The image that `INPUT` names; `path` stands for it in messages.
    pub(crate) fn input(mut self, file: File, path: &str) -> Self {
        self.input = Some((file, path.to_owned()));
        self
    }

    /// The image that `OUTPUT` names; `path` stands for it in messages.
    pub(crate) fn output(mut self, file: File, path: &str) -> Self {
        self.output = Some((file, path.to_owned()));
        self
    }

    /// Bounds the processor time; work on headers needs little, copying as much as there is data.
    pub(crate) fn processor_seconds(mut self, seconds: u64) -> Self {
        self.processor_seconds = Some(seconds);
        self
    }

    /// Runs it and waits.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` in libvirt's words, with the tool's own message; the tool's paths are shown as the caller knows them.
    pub(crate) async fn run(self) -> Result<()> {
        let program = find("qemu-img")?;
        let shown = self.shown(&program.display().to_string());
        let mut command = tokio::process::Command::new(prlimit().unwrap_or(program.clone()));
        if prlimit().is_some() {
            command.arg(format!("--as={MEMORY_MAX}")).arg("--core=0");
            if let Some(seconds) = self.processor_seconds {
                command.arg(format!("--cpu={seconds}"));
            }
            command.arg("--").arg(&program);
        }
        let images = self.images();
        let arguments = self.arguments.iter().map(|argument| {
            images.iter().fold(argument.clone(), |argument, (mark, name, _)| argument.replace(mark, name))
        });
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin")))
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(|e| Error::system(Domain::None, &e, format!("Cannot run {}", program.display())))?;
        let output = child.wait_with_output().await;
        let output =
            output.map_err(|e| Error::system(Domain::None, &e, format!("Cannot wait for {}", program.display())))?;
        if output.status.success() {
            return Ok(());
        }
        let text = &output.stderr[..output.stderr.len().min(ERROR_MAX)];
        // it tries to remove what it could not finish, by a name that cannot be removed; we remove the file ourselves
        let text = String::from_utf8_lossy(text);
        let text: String =
            text.split_inclusive('\n').filter(|line| !line.contains("Error when deleting file")).collect();
        let text = images.iter().fold(text, |text, (_, name, path)| text.replace(name, path));
        let how = match output.status.code() {
            Some(status) => format!("unexpected exit status {status}"),
            None => format!("unexpected {}", output.status),
        };
        Err(Error::new(Domain::None, Code::InternalError, format!("Child process ({shown}) {how}: {text}")))
    }

    /// For each image: its mark in the arguments, the name that the tool gets, the path that people know.
    fn images(&self) -> Vec<(&'static str, String, String)> {
        let name = |file: &File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        [(INPUT, &self.input), (OUTPUT, &self.output)]
            .into_iter()
            .filter_map(|(mark, image)| image.as_ref().map(|(file, path)| (mark, name(file), path.clone())))
            .collect()
    }

    /// The command as a user would have typed it.
    fn shown(&self, program: &str) -> String {
        let images = self.images();
        let shown = self.arguments.iter().map(|argument| {
            images.iter().fold(argument.clone(), |argument, (mark, _, path)| argument.replace(mark, path))
        });
        std::iter::once(program.to_owned()).chain(shown).collect::<Vec<_>>().join(" ")
    }
}

/// util-linux's `prlimit`, which sets limits before the tool's first instruction.
fn prlimit() -> Option<PathBuf> {
    search("prlimit")
}

fn search(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin:/usr/sbin:/sbin"));
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// The full path of a program.
///
/// # Errors
/// `SYSTEM_ERROR` in libvirt's words when it is not installed.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    search(program).ok_or_else(|| {
        let missing = std::io::Error::from_raw_os_error(nix::libc::ENOENT);
        Error::system(Domain::None, &missing, format!("Cannot find '{program}' in path"))
    })
}

/// Runs a program that is no image tool, such as `mount`, and waits at most `limit`.
///
/// # Errors
/// As [`ImageTool::run`].
pub(crate) fn run_blocking(program: &str, arguments: &[String], limit: Duration) -> Result<()> {
    capture(program, arguments, limit, &[]).map(drop)
}

/// As [`run_blocking`], for a program whose output counts; `fine` are exit statuses besides 0 that are no failure.
///
/// # Errors
/// As [`ImageTool::run`].
pub(crate) fn capture(program: &str, arguments: &[String], limit: Duration, fine: &[i32]) -> Result<String> {
    let path = find(program)?;
    let shown = format!("{} {}", path.display(), arguments.join(" "));
    let fail = |detail: String| Error::new(Domain::None, Code::InternalError, detail);
    let system = |e: std::io::Error| Error::system(Domain::None, &e, format!("Cannot run {}", path.display()));
    let mut child = std::process::Command::new(&path)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(system)?;
    let (output, error) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let pid = host::Pid::open(i32::try_from(child.id()).unwrap_or(0)).map_err(system)?;
    let mut fds = [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&pid), nix::poll::PollFlags::POLLIN)];
    let wait = nix::poll::PollTimeout::try_from(limit).unwrap_or(nix::poll::PollTimeout::MAX);
    if nix::poll::poll(&mut fds, wait).is_ok_and(|ready| ready == 0) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(fail(format!("Child process ({shown}) did not end within {} seconds", limit.as_secs())));
    }
    let status = child.wait().map_err(system)?;
    let text = |reader: Reader| reader.map(|r| r.join().unwrap_or_default()).unwrap_or_default();
    match status.code() {
        Some(code) if code == 0 || fine.contains(&code) => Ok(text(output)),
        Some(code) => Err(fail(format!("Child process ({shown}) unexpected exit status {code}: {}", text(error)))),
        None => Err(fail(format!("Child process ({shown}) unexpected {status}"))),
    }
}

type Reader = Option<std::thread::JoinHandle<String>>;

/// Reads what a program prints, so that it never waits for us; what is beyond the limit is dropped.
fn drain<R: Read + Send + 'static>(source: Option<R>) -> Reader {
    source.map(|mut source| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = source.by_ref().take(ERROR_MAX as u64).read_to_end(&mut bytes);
            let _ = std::io::copy(&mut source, &mut std::io::sink());
            String::from_utf8_lossy(&bytes).into_owned()
        })
    })
}
