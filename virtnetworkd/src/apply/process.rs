//! Runs a tool of the host to its end.

use std::process::Stdio;
use std::time::Duration;

use error::{Code, Domain, Error, Result};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Longest that nft, tc or dnsmasq may take before it counts as hung.
const DEADLINE: Duration = Duration::from_secs(30);
/// How much of a tool's complaint goes into an error.
const COMPLAINT_MAX: usize = 2048;

/// A tool of the host: found in PATH or where administrators' tools are, which a daemon's PATH may lack.
pub fn tool(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(Into::into));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    Command::new(found.unwrap_or_else(|| name.into()))
}

/// Runs `command` with `input` on its standard input; returns what it printed.
///
/// # Errors
/// libvirt's text for a child that failed, INTERNAL_ERROR; a tool that is missing says so by name.
pub async fn run(mut command: Command, input: Option<&str>) -> Result<Vec<u8>> {
    let shown = show(&command);
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).env("LC_ALL", "C");
    // a tool that outlived us would work against the clearing up that our successor does
    host::privilege::kill_with_parent(command.as_std_mut());
    let mut child = command.spawn().map_err(|e| {
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        match e.kind() {
            std::io::ErrorKind::NotFound => internal(format!("Cannot find '{name}' in path")),
            _ => Error::system(Domain::None, &e, format_args!("cannot execute binary {name}")),
        }
    })?;
    let feed = child.stdin.take();
    let work = async {
        if let (Some(mut pipe), Some(text)) = (feed, input) {
            // a tool that stops reading tells why on its standard error
            let _ = pipe.write_all(text.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(DEADLINE, work)
        .await
        .map_err(|_| {
            Error::new(
                Domain::None,
                Code::OperationTimeout,
                format!("'{shown}' did not finish in {} s", DEADLINE.as_secs()),
            )
        })?
        .map_err(|e| Error::system(Domain::None, &e, "cannot wait for child process"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let mut complaint = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    if let Some((at, _)) = complaint.char_indices().find(|(at, _)| *at >= COMPLAINT_MAX) {
        complaint.truncate(at);
    }
    let how = match output.status.code() {
        Some(code) => format!("exit status {code}"),
        None => "fatal signal".to_owned(),
    };
    Err(internal(format!("Child process ({shown}) unexpected {how}: {complaint}")))
}

fn internal(detail: String) -> Error {
    Error::new(Domain::None, Code::InternalError, detail)
}

/// The command line as libvirt's errors show it.
fn show(command: &Command) -> String {
    let std = command.as_std();
    let mut words: Vec<String> = std
        .get_envs()
        .filter_map(|(k, v)| v.map(|v| format!("{}={}", k.to_string_lossy(), v.to_string_lossy())))
        .collect();
    words.push(std.get_program().to_string_lossy().into_owned());
    words.extend(std.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}
