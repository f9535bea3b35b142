//! Confidential guests.

/// `<launchSecurity>`
#[derive(Clone, Debug, PartialEq)]
pub enum LaunchSecurity {
    Sev { common: SevCommon, policy: u32, dh_cert: Option<String>, session: Option<String> },
    SevSnp {
        common: SevCommon,
        policy: u64,
        guest_visible_workarounds: Option<String>,
        id_block: Option<String>,
        id_auth: Option<String>,
        host_data: Option<String>,
        author_key: Option<bool>,
        vcek: Option<bool>,
    },
    S390Pv,
}

/// What both generations share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SevCommon {
    pub cbitpos: Option<u32>,
    pub reduced_phys_bits: Option<u32>,
    pub kernel_hashes: Option<bool>,
}
