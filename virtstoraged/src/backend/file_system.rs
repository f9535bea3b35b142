//! Making the file system that an fs pool mounts.

use std::time::Duration;

use conf::pool::PoolDef;
use error::{Code, Domain, Error, Result, check_flags};
use protocol::constants::{VIR_STORAGE_POOL_BUILD_NO_OVERWRITE, VIR_STORAGE_POOL_BUILD_OVERWRITE};

use crate::pool::invalid;
use crate::tool;

/// How long formatting may take.
const FORMAT_LIMIT: Duration = Duration::from_secs(3600);
/// How long a look at a device may take.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// `blkid` found nothing it knows.
const NOTHING_FOUND: i32 = 2;

/// Checks the flags of a build; whether they ask for formatting.
pub(super) fn wants_formatting(flags: u32) -> Result<bool> {
    let formatting = VIR_STORAGE_POOL_BUILD_OVERWRITE | VIR_STORAGE_POOL_BUILD_NO_OVERWRITE;
    let function = "virStorageBackendFileSystemBuild";
    check_flags(Domain::Storage, function, flags, formatting)?;
    if flags & formatting == formatting {
        let text =
            "Flags 'VIR_STORAGE_POOL_BUILD_OVERWRITE' and 'VIR_STORAGE_POOL_BUILD_NO_OVERWRITE' are mutually exclusive";
        return Err(Error::invalid_argument(Domain::Storage, function, "flags", text));
    }
    Ok(flags != 0)
}

/// Formats the source device; without leave to overwrite only one that is empty.
pub(super) fn format(def: &PoolDef, flags: u32) -> Result<()> {
    let device = def.source.devices.first().map(|device| device.path.as_str()).filter(|_| def.kind.formats_device());
    let device =
        device.ok_or_else(|| invalid(format!("No source device specified when formatting pool '{}'", def.name)))?;
    if !std::path::Path::new(device).exists() {
        return Err(invalid(format!("Source device does not exist when formatting pool '{}'", def.name)));
    }
    let wanted = def.source.format.unwrap_or("auto");
    if flags & VIR_STORAGE_POOL_BUILD_OVERWRITE == 0 {
        require_empty(device, wanted)?;
    }
    let mut arguments = vec!["-t", wanted];
    match wanted {
        // these refuse what looks used; whether it is has been decided
        "xfs" => arguments.push("-f"),
        "vfat" => arguments.push("-I"),
        _ => {}
    }
    arguments.push(device);
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    tool::run_blocking("mkfs", &arguments, FORMAT_LIMIT)
}

fn require_empty(device: &str, wanted: &str) -> Result<()> {
    let built = |detail: String| Err(Error::new(Domain::Storage, Code::StoragePoolBuilt, detail));
    match content(device, "TYPE")? {
        Some(found) if found == wanted => built(format!("Device '{device}' already formatted using '{found}'")),
        Some(_) => built(format!(
            "Format of device '{device}' does not match the expected format '{wanted}', forced overwrite is necessary"
        )),
        None => match content(device, "PTTYPE")? {
            Some(_) => built(format!("Device '{device}' contains a partition table, forced overwrite is necessary")),
            None => Ok(()),
        },
    }
}

/// What `blkid` finds on the device.
fn content(device: &str, tag: &str) -> Result<Option<String>> {
    let arguments = ["-p", "-o", "value", "-s", tag, device].map(String::from);
    let text = tool::capture("blkid", &arguments, PROBE_LIMIT, &[NOTHING_FOUND])?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}
