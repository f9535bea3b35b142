//! Status documents and pid files on disk.

use std::sync::Arc;

use conf::FormatFlags;
use conf::domain::DomainDef;
use error::{Domain, Error};
use host::run_blocking;
use object::file;

use crate::domain::status::Status;
use crate::driver::Driver;

/// A status document holds all that a new daemon needs, secrets included.
const STATUS: FormatFlags = FormatFlags { inactive: false, secure: true, migratable: false, status: true };

/// Writes the status document of a running domain; the next daemon finds it however this one ends. It means nothing after
/// a reboot, so the disk is not waited for.
///
/// # Errors
/// SYSTEM_ERROR with what the file system says.
pub async fn write(driver: &Driver, name: &str, status: Status, def: Arc<DomainDef>) -> error::Result<()> {
    let path = driver.status_file(name);
    let text = format!("Failed to save status of domain '{name}'");
    run_blocking(move || file::write_volatile(&path, status.format(&def.format(STATUS)).as_bytes(), 0o600))
        .await
        .map_err(|e| Error::system(Domain::Qemu, &e, text))
}

/// Writes the pid file, for clients that look for QEMU there.
///
/// # Errors
/// SYSTEM_ERROR with what the file system says.
pub async fn write_pid(driver: &Driver, name: &str, pid: i32) -> error::Result<()> {
    let path = driver.pid_file(name);
    let text = format!("Failed to write pid file of domain '{name}'");
    run_blocking(move || std::fs::write(path, pid.to_string())).await.map_err(|e| Error::system(Domain::Qemu, &e, text))
}
