//! Shared directories: 9p, virtiofs, MTP.

use conf::domain::DomainDef;
use conf::domain::device::filesystem::{AccessMode, FilesystemDef, FilesystemDriver};
use error::Result;

use super::{address, alias, unsupported, virtio};
use crate::command::escape::comma;
use crate::command::plan::Builder;
use crate::command::props::Props;

/// All shared directories.
pub fn build(b: &mut Builder) -> Result<()> {
    let def = b.def;
    for filesystem in &def.devices.filesystems {
        match filesystem.driver {
            Some(FilesystemDriver::VirtioFs) => virtiofs(b, filesystem),
            Some(FilesystemDriver::Mtp) => {
                let props = Props::driver("usb-mtp")
                    .with("id", alias(&filesystem.info))
                    .maybe("rootdir", filesystem.source.clone())
                    .with("desc", filesystem.target.clone())
                    .with("readonly", filesystem.readonly);
                b.device(address::place(props, def, &filesystem.info));
            }
            _ => nine_p(b, filesystem)?,
        }
    }
    Ok(())
}

fn nine_p(b: &mut Builder, filesystem: &FilesystemDef) -> Result<()> {
    let id = format!("fsdev-{}", alias(&filesystem.info));
    let mut text = match filesystem.driver {
        None | Some(FilesystemDriver::Path) => {
            let model = match filesystem.access_mode {
                Some(AccessMode::Mapped) => "mapped",
                Some(AccessMode::Squash) => "none",
                Some(AccessMode::Passthrough) | None => "passthrough",
            };
            let mut text = format!("local,security_model={model}");
            if let Some(multidevs) =
                filesystem.multidevs.filter(|m| *m != conf::domain::device::filesystem::Multidevs::Default)
            {
                text.push_str(&format!(",multidevs={multidevs}"));
            }
            if let Some(mode) = filesystem.fmode {
                text.push_str(&format!(",fmode={mode:04o}"));
            }
            if let Some(mode) = filesystem.dmode {
                text.push_str(&format!(",dmode={mode:04o}"));
            }
            text
        }
        Some(FilesystemDriver::Handle) => "handle".into(),
        Some(other) => return Err(unsupported(format!("filesystem driver type '{other}' is not supported"))),
    };
    if filesystem.write_policy_immediate {
        text.push_str(",writeout=immediate");
    }
    text.push_str(&format!(",id={id},path={}", comma(filesystem.source.as_deref().unwrap_or(""))));
    if filesystem.readonly {
        text.push_str(",readonly");
    }
    b.option("-fsdev", text);
    b.device(nine_p_props(b.def, filesystem));
    Ok(())
}

fn nine_p_props(def: &DomainDef, filesystem: &FilesystemDef) -> Props {
    let id = alias(&filesystem.info);
    let props = virtio::begin("virtio-9p", &filesystem.info, filesystem.model, &filesystem.virtio)
        .with("id", id.clone())
        .with("fsdev", format!("fsdev-{id}"))
        .with("mount_tag", filesystem.target.clone());
    address::place(props, def, &filesystem.info)
}

fn virtiofs(b: &mut Builder, filesystem: &FilesystemDef) {
    let id = alias(&filesystem.info);
    let chardev = format!("chr-vu-{id}");
    // Without a socket of the user's, virtiofsd is ours and listens in the guest's directory.
    let end = match (b.inputs.fds.get(&chardev), &filesystem.socket) {
        (Some(fd), _) => format!("fd={fd}"),
        (None, Some(path)) => format!("path={}", comma(path)),
        (None, None) => format!("path={}/{id}-fs.sock", b.inputs.domain_dir),
    };
    b.option("-chardev", format!("socket,id={chardev},{end}"));
    let props = virtio::begin("vhost-user-fs", &filesystem.info, filesystem.model, &filesystem.virtio)
        .with("id", id)
        .with("chardev", chardev)
        .nonzero("queue-size", filesystem.queue_size.unwrap_or(0))
        .with("tag", filesystem.target.clone())
        .maybe("bootindex", filesystem.info.boot_index);
    b.device(address::place(props, b.def, &filesystem.info));
}
