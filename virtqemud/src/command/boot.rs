//! What the guest boots from: `-boot`, kernel, SMBIOS.

use std::fmt::Write;

use conf::domain::DomainDef;
use conf::domain::device::disk::DiskDevice;
use conf::domain::os::{BootDevice, SmbiosMode};
use conf::domain::sysinfo::{Smbios, Sysinfo};
use error::Result;

use super::escape::{comma, on_off};
use super::plan::Builder;

/// `bootindex` of each disk and interface, by position.
#[derive(Debug, Default)]
pub struct BootOrder {
    disks: Vec<Option<u32>>,
    interfaces: Vec<Option<u32>>,
}

impl BootOrder {
    /// From `<boot order=>`, or from the device classes of `<os><boot dev=>`: the first device of each class gets the class's rank.
    pub fn of(def: &DomainDef) -> BootOrder {
        let mut order = BootOrder {
            disks: def.devices.disks.iter().map(|d| d.info.boot_index).collect(),
            interfaces: def.devices.interfaces.iter().map(|i| i.info.boot_index).collect(),
        };
        for (rank, class) in (1..).zip(&def.os.boot) {
            let wanted = |device: DiskDevice| match class {
                BootDevice::Floppy => device == DiskDevice::Floppy,
                BootDevice::Cdrom => device == DiskDevice::Cdrom,
                BootDevice::Disk => matches!(device, DiskDevice::Disk | DiskDevice::Lun),
                BootDevice::Network => false,
            };
            if let Some(first) = def.devices.disks.iter().position(|d| wanted(d.device)) {
                order.disks[first].get_or_insert(rank);
            }
            if *class == BootDevice::Network
                && let Some(first) = order.interfaces.first_mut()
            {
                first.get_or_insert(rank);
            }
        }
        order
    }

    /// Of the disk at this position.
    pub fn disk(&self, at: usize) -> Option<u32> {
        self.disks.get(at).copied().flatten()
    }

    /// Of the interface at this position.
    pub fn interface(&self, at: usize) -> Option<u32> {
        self.interfaces.get(at).copied().flatten()
    }
}

/// `loadparm` of the first boot device, for machines that take it.
pub fn machine_loadparm(b: &Builder) -> Option<String> {
    let disks = b.def.devices.disks.iter().map(|d| &d.info);
    let interfaces = b.def.devices.interfaces.iter().map(|i| &i.info);
    disks.chain(interfaces).find(|i| i.boot_index == Some(1)).and_then(|i| i.loadparm.clone())
}

/// `-boot`, then the kernel to be started directly.
pub fn boot(b: &mut Builder) -> Result<()> {
    let os = &b.def.os;
    let mut text = String::new();
    if let Some(menu) = os.boot_menu {
        let _ = write!(text, "menu={},", on_off(menu));
        if let Some(timeout) = os.boot_menu_timeout.filter(|_| menu) {
            let _ = write!(text, "splash-time={timeout},");
        }
    }
    if let Some(timeout) = os.bios.reboot_timeout {
        let _ = write!(text, "reboot-timeout={timeout},");
    }
    text.push_str("strict=on");
    b.option("-boot", text);
    for (option, value) in [
        ("-kernel", &os.kernel),
        ("-initrd", &os.initrd),
        ("-append", &os.cmdline),
        ("-dtb", &os.dtb),
        ("-shim", &os.shim),
    ] {
        if let Some(value) = value {
            b.option(option, value.clone());
        }
    }
    for table in &os.acpi_tables {
        let signature = if table.kind == "slic" { "sig=SLIC," } else { "" };
        b.option("-acpitable", format!("{signature}file={}", comma(&table.path)));
    }
    Ok(())
}

/// BIOS messages on the serial port.
pub fn serial_bios(b: &mut Builder) {
    if b.def.os.bios.useserial == Some(true) {
        b.option("-device", "sga");
    }
}

/// SMBIOS tables and firmware configuration.
pub fn sysinfo(b: &mut Builder) {
    if b.def.os.smbios == Some(SmbiosMode::Sysinfo) {
        let tables: Vec<Smbios> = b
            .def
            .sysinfo
            .iter()
            .filter_map(|s| if let Sysinfo::Smbios(t) = s { Some(t.clone()) } else { None })
            .collect();
        tables.iter().for_each(|t| smbios(b, t));
    }
    for entry in
        b.def.sysinfo.iter().filter_map(|s| if let Sysinfo::FwCfg(c) = s { Some(c.clone()) } else { None }).flatten()
    {
        let mut text = format!("name={}", comma(&entry.name));
        match (&entry.value, &entry.file) {
            (Some(value), _) => {
                let _ = write!(text, ",string={}", comma(value));
            }
            (None, Some(file)) => {
                let _ = write!(text, ",file={}", comma(file));
            }
            (None, None) => {}
        }
        b.option("-fw_cfg", text);
    }
}

fn smbios(b: &mut Builder, table: &Smbios) {
    let known: &[(u32, &[(&str, &str)], &Vec<(String, String)>)] = &[
        (0, &[("vendor", "vendor"), ("version", "version"), ("date", "date"), ("release", "release")], &table.bios),
        (
            1,
            &[
                ("manufacturer", "manufacturer"),
                ("product", "product"),
                ("version", "version"),
                ("serial", "serial"),
                ("uuid", "uuid"),
                ("sku", "sku"),
                ("family", "family"),
            ],
            &table.system,
        ),
    ];
    let board = [
        ("manufacturer", "manufacturer"),
        ("product", "product"),
        ("version", "version"),
        ("serial", "serial"),
        ("asset", "asset"),
        ("location", "location"),
    ];
    let chassis = [
        ("manufacturer", "manufacturer"),
        ("version", "version"),
        ("serial", "serial"),
        ("asset", "asset"),
        ("sku", "sku"),
    ];
    let mut lines = Vec::new();
    let mut line = |kind: u32, names: &[(&str, &str)], values: &Vec<(String, String)>| {
        let mut text = format!("type={kind}");
        for (ours, theirs) in names {
            if let Some((_, value)) = values.iter().find(|(n, _)| n == ours) {
                let _ = write!(text, ",{theirs}={}", comma(value));
            }
        }
        if !values.is_empty() {
            lines.push(text);
        }
    };
    known.iter().for_each(|(kind, names, values)| line(*kind, names, values));
    table.base_boards.iter().for_each(|values| line(2, &board, values));
    line(3, &chassis, &table.chassis);
    if !table.oem_strings.is_empty() {
        let mut text = String::from("type=11");
        table.oem_strings.iter().for_each(|s| {
            let _ = write!(text, ",value={}", comma(s));
        });
        lines.push(text);
    }
    lines.into_iter().for_each(|text| b.option("-smbios", text));
}
