//! Firmware configuration and SMBIOS strings.

/// `<sysinfo>`
#[derive(Clone, Debug, PartialEq)]
pub enum Sysinfo {
    Smbios(Smbios),
    /// `type='fwcfg'`
    FwCfg(Vec<FwCfg>),
}

/// Entries by block, in order of libvirt's output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Smbios {
    pub bios: Vec<(String, String)>,
    pub system: Vec<(String, String)>,
    pub base_boards: Vec<Vec<(String, String)>>,
    pub chassis: Vec<(String, String)>,
    pub oem_strings: Vec<String>,
}

/// `<entry name= file=>`
#[derive(Clone, Debug, PartialEq)]
pub struct FwCfg {
    pub name: String,
    pub value: Option<String>,
    pub file: Option<String>,
}
