//! The filters of `virConnectListAllStoragePools`: groups of flags; a pool must match one of each group that is given.

use conf::pool::PoolType;
use protocol::constants as c;

use crate::pool::View;

fn bit(kind: PoolType) -> u32 {
    match kind {
        PoolType::Dir => c::VIR_CONNECT_LIST_STORAGE_POOLS_DIR,
        PoolType::Fs => c::VIR_CONNECT_LIST_STORAGE_POOLS_FS,
        PoolType::Netfs => c::VIR_CONNECT_LIST_STORAGE_POOLS_NETFS,
        PoolType::Logical => c::VIR_CONNECT_LIST_STORAGE_POOLS_LOGICAL,
        PoolType::Disk => c::VIR_CONNECT_LIST_STORAGE_POOLS_DISK,
        PoolType::Iscsi => c::VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI,
        PoolType::IscsiDirect => c::VIR_CONNECT_LIST_STORAGE_POOLS_ISCSI_DIRECT,
        PoolType::Scsi => c::VIR_CONNECT_LIST_STORAGE_POOLS_SCSI,
        PoolType::Mpath => c::VIR_CONNECT_LIST_STORAGE_POOLS_MPATH,
        PoolType::Rbd => c::VIR_CONNECT_LIST_STORAGE_POOLS_RBD,
        PoolType::Sheepdog => c::VIR_CONNECT_LIST_STORAGE_POOLS_SHEEPDOG,
        PoolType::Gluster => c::VIR_CONNECT_LIST_STORAGE_POOLS_GLUSTER,
        PoolType::Zfs => c::VIR_CONNECT_LIST_STORAGE_POOLS_ZFS,
        PoolType::Vstorage => c::VIR_CONNECT_LIST_STORAGE_POOLS_VSTORAGE,
    }
}

/// All flags that the call knows.
pub(super) fn all() -> u32 {
    let types = <PoolType as xml::Vocabulary>::WORDS.iter().fold(0, |all, (kind, _)| all | bit(*kind));
    GROUPS.iter().fold(types, |all, (yes, no)| all | yes | no)
}

const GROUPS: [(u32, u32); 3] = [
    (c::VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE, c::VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE),
    (c::VIR_CONNECT_LIST_STORAGE_POOLS_PERSISTENT, c::VIR_CONNECT_LIST_STORAGE_POOLS_TRANSIENT),
    (c::VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART, c::VIR_CONNECT_LIST_STORAGE_POOLS_NO_AUTOSTART),
];

/// Whether a pool passes the filters.
pub(super) fn matches(view: &View, flags: u32) -> bool {
    let facts = [view.active, view.persistent, view.autostart];
    let groups = GROUPS.iter().zip(facts).all(|((yes, no), fact)| {
        let given = flags & (yes | no);
        given == 0 || given & (if fact { yes } else { no }) != 0
    });
    let types = flags & !GROUPS.iter().fold(0, |all, (yes, no)| all | yes | no);
    groups && (types == 0 || types & bit(view.def.kind) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conf::pool::PoolDef;
    use std::sync::Arc;

    #[test]
    fn one_of_each_group() {
        let def = PoolDef::parse("<pool type='dir'><name>p</name><target><path>/p</path></target></pool>").unwrap();
        let view = View {
            def: Arc::new(def),
            next: None,
            active: true,
            persistent: true,
            autostart: false,
            volumes: Arc::default(),
        };
        // inactive 1, active 2, persistent 4, transient 8, autostart 16, no autostart 32, dir 64, fs 128
        for (flags, fits) in [
            (0, true),
            (2, true),
            (1, false),
            (3, true),
            (2 | 8, false),
            (2 | 4 | 32, true),
            (16, false),
            (64, true),
            (128, false),
            (64 | 128, true),
        ] {
            assert_eq!(matches(&view, flags), fits, "{flags}");
        }
        assert_eq!(all(), (1 << 20) - 1);
    }
}
