//! The procedures of the storage class.

use std::sync::Arc;

use conf::pool::PoolType;
use error::{Code, Domain, Error, Result};
use protocol::constants as c;
use protocol::remote::{self, *};
use rpc::Call;
use uuid::Uuid;
use xml::Vocabulary;

use super::{bounded, figures, flags, list, names, wire_volume};
use crate::backend;
use crate::driver::Driver;
use crate::event::{Lifecycle, wire_pool};
use crate::pool::Pool;
use crate::volume::{CloneFlags, CreateFlags, DeleteFlags, ResizeFlags};

/// Limits of lists in the protocol.
const POOLS_MAX: usize = 4096;
const VOLUMES_MAX: usize = 16384;

impl Driver {
    fn pool(&self, named: &NonnullStoragePool) -> Result<Pool> {
        self.by_uuid(&named.uuid, Some(&named.name))
    }

    /// The pool of a volume; it must be up.
    fn pool_of(&self, vol: &NonnullStorageVol) -> Result<Pool> {
        let pool = self.by_name(&vol.pool)?;
        pool.view().require_active()?;
        Ok(pool)
    }
}

fn has(flags: u32, flag: u32) -> bool {
    flags & flag != 0
}

/// The check of a volume's document that the client asked for.
fn validate(flags: u32, text: &str) -> Result<()> {
    if has(flags, c::VIR_STORAGE_VOL_CREATE_VALIDATE) { conf::pool::validate_volume(text) } else { Ok(()) }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl remote::Storage<Call> for Driver {
    async fn connect_num_of_storage_pools(&self, _call: &Call) -> Result<ConnectNumOfStoragePoolsRet> {
        Ok(ConnectNumOfStoragePoolsRet { num: count(names(self.0.pools.list(), |v| v.active).len()) })
    }

    async fn connect_list_storage_pools(
        &self,
        _call: &Call,
        args: ConnectListStoragePoolsArgs,
    ) -> Result<ConnectListStoragePoolsRet> {
        Ok(ConnectListStoragePoolsRet {
            names: bounded(names(self.0.pools.list(), |v| v.active), args.maxnames, POOLS_MAX)?,
        })
    }

    async fn connect_num_of_defined_storage_pools(&self, _call: &Call) -> Result<ConnectNumOfDefinedStoragePoolsRet> {
        Ok(ConnectNumOfDefinedStoragePoolsRet { num: count(names(self.0.pools.list(), |v| !v.active).len()) })
    }

    async fn connect_list_defined_storage_pools(
        &self,
        _call: &Call,
        args: ConnectListDefinedStoragePoolsArgs,
    ) -> Result<ConnectListDefinedStoragePoolsRet> {
        let names = bounded(names(self.0.pools.list(), |v| !v.active), args.maxnames, POOLS_MAX)?;
        Ok(ConnectListDefinedStoragePoolsRet { names })
    }

    async fn connect_list_all_storage_pools(
        &self,
        _call: &Call,
        args: ConnectListAllStoragePoolsArgs,
    ) -> Result<ConnectListAllStoragePoolsRet> {
        flags::check("storageConnectListAllStoragePools", args.flags, list::all())?;
        let found: Vec<Pool> =
            self.0.pools.list().into_iter().filter(|pool| list::matches(&pool.view(), args.flags)).collect();
        let ret = found.len() as u32;
        let pools = if args.need_results != 0 { found.iter().map(wire_pool).collect() } else { Vec::new() };
        Ok(ConnectListAllStoragePoolsRet { pools, ret })
    }

    async fn connect_find_storage_pool_sources(
        &self,
        _call: &Call,
        args: ConnectFindStoragePoolSourcesArgs,
    ) -> Result<ConnectFindStoragePoolSourcesRet> {
        let unknown = || crate::pool::internal(format!("unknown storage pool type {}", args.type_));
        let kind = PoolType::from_word(&args.type_).ok_or_else(unknown)?;
        backend::of(kind)?;
        let detail = format!("pool type '{kind}' does not support source discovery");
        Err(Error::new(Domain::Storage, Code::NoSupport, detail))
    }

    async fn connect_get_storage_pool_capabilities(
        &self,
        _call: &Call,
        args: ConnectGetStoragePoolCapabilitiesArgs,
    ) -> Result<ConnectGetStoragePoolCapabilitiesRet> {
        flags::check("storageConnectGetStoragePoolCapabilities", args.flags, 0)?;
        Ok(ConnectGetStoragePoolCapabilitiesRet { capabilities: conf::pool::capabilities(backend::can_start) })
    }

    async fn storage_pool_define_xml(
        &self,
        _call: &Call,
        args: StoragePoolDefineXmlArgs,
    ) -> Result<StoragePoolDefineXmlRet> {
        flags::check("storagePoolDefineXML", args.flags, c::VIR_STORAGE_POOL_DEFINE_VALIDATE)?;
        if has(args.flags, c::VIR_STORAGE_POOL_DEFINE_VALIDATE) {
            conf::pool::validate_pool(&args.xml)?;
        }
        Ok(StoragePoolDefineXmlRet { pool: wire_pool(&self.define(&args.xml).await?) })
    }

    async fn storage_pool_create_xml(
        &self,
        _call: &Call,
        args: StoragePoolCreateXmlArgs,
    ) -> Result<StoragePoolCreateXmlRet> {
        flags::start("storagePoolCreateXML", args.flags)?;
        Ok(StoragePoolCreateXmlRet { pool: wire_pool(&self.create(&args.xml, args.flags).await?) })
    }

    async fn storage_pool_create(&self, _call: &Call, args: StoragePoolCreateArgs) -> Result<()> {
        flags::start("storagePoolCreate", args.flags)?;
        self.start_pool(&self.pool(&args.pool)?, args.flags).await
    }

    async fn storage_pool_build(&self, _call: &Call, args: StoragePoolBuildArgs) -> Result<()> {
        let pool = self.pool(&args.pool)?;
        pool.turn(move |state| state.build(args.flags)).await?;
        self.lifecycle(&pool, Lifecycle::Created);
        Ok(())
    }

    async fn storage_pool_destroy(&self, _call: &Call, args: StoragePoolDestroyArgs) -> Result<()> {
        self.stop_pool(&self.pool(&args.pool)?).await
    }

    async fn storage_pool_delete(&self, _call: &Call, args: StoragePoolDeleteArgs) -> Result<()> {
        let pool = self.pool(&args.pool)?;
        pool.turn(move |state| state.delete(args.flags)).await?;
        self.lifecycle(&pool, Lifecycle::Deleted);
        Ok(())
    }

    async fn storage_pool_undefine(&self, _call: &Call, args: StoragePoolUndefineArgs) -> Result<()> {
        self.undefine(&self.pool(&args.pool)?).await
    }

    async fn storage_pool_refresh(&self, _call: &Call, args: StoragePoolRefreshArgs) -> Result<()> {
        flags::check("storagePoolRefresh", args.flags, 0)?;
        let pool = self.pool(&args.pool)?;
        pool.refresh().await?;
        self.refreshed(&pool);
        Ok(())
    }

    async fn storage_pool_lookup_by_name(
        &self,
        _call: &Call,
        args: StoragePoolLookupByNameArgs,
    ) -> Result<StoragePoolLookupByNameRet> {
        Ok(StoragePoolLookupByNameRet { pool: wire_pool(&self.by_name(&args.name)?) })
    }

    async fn storage_pool_lookup_by_uuid(
        &self,
        _call: &Call,
        args: StoragePoolLookupByUuidArgs,
    ) -> Result<StoragePoolLookupByUuidRet> {
        Ok(StoragePoolLookupByUuidRet { pool: wire_pool(&self.by_uuid(&args.uuid, None)?) })
    }

    async fn storage_pool_lookup_by_volume(
        &self,
        _call: &Call,
        args: StoragePoolLookupByVolumeArgs,
    ) -> Result<StoragePoolLookupByVolumeRet> {
        Ok(StoragePoolLookupByVolumeRet { pool: wire_pool(&self.by_name(&args.vol.pool)?) })
    }

    async fn storage_pool_lookup_by_target_path(
        &self,
        _call: &Call,
        args: StoragePoolLookupByTargetPathArgs,
    ) -> Result<StoragePoolLookupByTargetPathRet> {
        let path = conf::pool::sanitize_path(&args.path);
        let found = self.0.pools.list().into_iter().find(|pool| {
            let view = pool.view();
            view.active && view.def.kind.has_target() && view.def.target() == path
        });
        let detail = format!("no storage pool with matching target path '{}'", args.path);
        let pool = found.ok_or_else(|| Error::new(Domain::Storage, Code::NoStoragePool, detail))?;
        Ok(StoragePoolLookupByTargetPathRet { pool: wire_pool(&pool) })
    }

    async fn storage_pool_get_info(&self, _call: &Call, args: StoragePoolGetInfoArgs) -> Result<StoragePoolGetInfoRet> {
        let view = self.pool(&args.pool)?.view();
        let state = if view.active { c::VIR_STORAGE_POOL_RUNNING } else { c::VIR_STORAGE_POOL_INACTIVE };
        let def = &view.def;
        Ok(StoragePoolGetInfoRet {
            state: state as u8,
            capacity: def.capacity,
            allocation: def.allocation,
            available: def.available,
        })
    }

    async fn storage_pool_get_xml_desc(
        &self,
        _call: &Call,
        args: StoragePoolGetXmlDescArgs,
    ) -> Result<StoragePoolGetXmlDescRet> {
        flags::check("storagePoolGetXMLDesc", args.flags, c::VIR_STORAGE_XML_INACTIVE)?;
        let view = self.pool(&args.pool)?.view();
        let def = if has(args.flags, c::VIR_STORAGE_XML_INACTIVE) { view.inactive_def() } else { &view.def };
        Ok(StoragePoolGetXmlDescRet { xml: def.format() })
    }

    async fn storage_pool_get_autostart(
        &self,
        _call: &Call,
        args: StoragePoolGetAutostartArgs,
    ) -> Result<StoragePoolGetAutostartRet> {
        Ok(StoragePoolGetAutostartRet { autostart: self.pool(&args.pool)?.view().autostart.into() })
    }

    async fn storage_pool_set_autostart(&self, _call: &Call, args: StoragePoolSetAutostartArgs) -> Result<()> {
        let store = self.0.store.clone();
        self.pool(&args.pool)?.turn(move |state| state.set_autostart(args.autostart != 0, &store)).await
    }

    async fn storage_pool_is_active(
        &self,
        _call: &Call,
        args: StoragePoolIsActiveArgs,
    ) -> Result<StoragePoolIsActiveRet> {
        Ok(StoragePoolIsActiveRet { active: self.pool(&args.pool)?.view().active.into() })
    }

    async fn storage_pool_is_persistent(
        &self,
        _call: &Call,
        args: StoragePoolIsPersistentArgs,
    ) -> Result<StoragePoolIsPersistentRet> {
        Ok(StoragePoolIsPersistentRet { persistent: self.pool(&args.pool)?.view().persistent.into() })
    }

    async fn storage_pool_num_of_volumes(
        &self,
        _call: &Call,
        args: StoragePoolNumOfVolumesArgs,
    ) -> Result<StoragePoolNumOfVolumesRet> {
        let view = self.pool(&args.pool)?.view();
        view.require_active()?;
        Ok(StoragePoolNumOfVolumesRet { num: count(view.volumes.len()) })
    }

    async fn storage_pool_list_volumes(
        &self,
        _call: &Call,
        args: StoragePoolListVolumesArgs,
    ) -> Result<StoragePoolListVolumesRet> {
        let view = self.pool(&args.pool)?.view();
        view.require_active()?;
        Ok(StoragePoolListVolumesRet {
            names: bounded(view.volumes.keys().cloned().collect(), args.maxnames, VOLUMES_MAX)?,
        })
    }

    async fn storage_pool_list_all_volumes(
        &self,
        _call: &Call,
        args: StoragePoolListAllVolumesArgs,
    ) -> Result<StoragePoolListAllVolumesRet> {
        flags::check("storagePoolListAllVolumes", args.flags, 0)?;
        let pool = self.pool(&args.pool)?;
        let view = pool.view();
        view.require_active()?;
        let ret = view.volumes.len() as u32;
        let vols = if args.need_results != 0 {
            view.volumes.values().map(|def| wire_volume(&pool, def)).collect()
        } else {
            Vec::new()
        };
        Ok(StoragePoolListAllVolumesRet { vols, ret })
    }

    async fn storage_vol_create_xml(
        &self,
        _call: &Call,
        args: StorageVolCreateXmlArgs,
    ) -> Result<StorageVolCreateXmlRet> {
        let preallocate = c::VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA;
        flags::check("storageVolCreateXML", args.flags, preallocate | c::VIR_STORAGE_VOL_CREATE_VALIDATE)?;
        let pool = self.pool(&args.pool)?;
        validate(args.flags, &args.xml)?;
        let def =
            self.create_volume(&pool, &args.xml, CreateFlags { preallocate: has(args.flags, preallocate) }).await?;
        Ok(StorageVolCreateXmlRet { vol: wire_volume(&pool, &def) })
    }

    async fn storage_vol_create_xml_from(
        &self,
        _call: &Call,
        args: StorageVolCreateXmlFromArgs,
    ) -> Result<StorageVolCreateXmlFromRet> {
        let (preallocate, reflink) = (c::VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA, c::VIR_STORAGE_VOL_CREATE_REFLINK);
        flags::check(
            "storageVolCreateXMLFrom",
            args.flags,
            preallocate | reflink | c::VIR_STORAGE_VOL_CREATE_VALIDATE,
        )?;
        let pool = self.pool(&args.pool)?;
        let from = self.by_name(&args.clonevol.pool)?;
        validate(args.flags, &args.xml)?;
        let how = CloneFlags { preallocate: has(args.flags, preallocate), reflink: has(args.flags, reflink) };
        let def = self.clone_volume(&pool, &args.xml, &from, &args.clonevol.name, how).await?;
        Ok(StorageVolCreateXmlFromRet { vol: wire_volume(&pool, &def) })
    }

    async fn storage_vol_delete(&self, _call: &Call, args: StorageVolDeleteArgs) -> Result<()> {
        self.delete_volume(&self.pool_of(&args.vol)?, &args.vol.name, DeleteFlags(args.flags)).await
    }

    async fn storage_vol_wipe(&self, _call: &Call, args: StorageVolWipeArgs) -> Result<()> {
        flags::check("storageVolWipePattern", args.flags, 0)?;
        self.wipe_volume(&self.pool_of(&args.vol)?, &args.vol.name, c::VIR_STORAGE_VOL_WIPE_ALG_ZERO as u32).await
    }

    async fn storage_vol_wipe_pattern(&self, _call: &Call, args: StorageVolWipePatternArgs) -> Result<()> {
        flags::check("storageVolWipePattern", args.flags, 0)?;
        self.wipe_volume(&self.pool_of(&args.vol)?, &args.vol.name, args.algorithm).await
    }

    async fn storage_vol_resize(&self, _call: &Call, args: StorageVolResizeArgs) -> Result<()> {
        let (allocate, delta, shrink) =
            (c::VIR_STORAGE_VOL_RESIZE_ALLOCATE, c::VIR_STORAGE_VOL_RESIZE_DELTA, c::VIR_STORAGE_VOL_RESIZE_SHRINK);
        flags::check("storageVolResize", args.flags, allocate | delta | shrink)?;
        let how = ResizeFlags {
            allocate: has(args.flags, allocate),
            delta: has(args.flags, delta),
            shrink: has(args.flags, shrink),
        };
        self.resize_volume(&self.pool_of(&args.vol)?, &args.vol.name, args.capacity, how).await
    }

    async fn storage_vol_upload(&self, call: &Call, args: StorageVolUploadArgs) -> Result<()> {
        flags::check("storageVolUpload", args.flags, c::VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)?;
        self.upload(call, &self.pool_of(&args.vol)?, &args.vol.name, args.offset, args.length).await
    }

    async fn storage_vol_download(&self, call: &Call, args: StorageVolDownloadArgs) -> Result<()> {
        let sparse = c::VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM;
        flags::check("storageVolDownload", args.flags, sparse)?;
        let pool = self.pool_of(&args.vol)?;
        self.download(call, &pool, &args.vol.name, args.offset, args.length, has(args.flags, sparse)).await
    }

    async fn storage_vol_lookup_by_name(
        &self,
        _call: &Call,
        args: StorageVolLookupByNameArgs,
    ) -> Result<StorageVolLookupByNameRet> {
        let pool = self.pool(&args.pool)?;
        let def = pool.volume(&args.name).await?;
        Ok(StorageVolLookupByNameRet { vol: wire_volume(&pool, &def) })
    }

    async fn storage_vol_lookup_by_key(
        &self,
        _call: &Call,
        args: StorageVolLookupByKeyArgs,
    ) -> Result<StorageVolLookupByKeyRet> {
        let (pool, def) = self.volume_by_key(&args.key)?;
        Ok(StorageVolLookupByKeyRet { vol: wire_volume(&pool, &def) })
    }

    async fn storage_vol_lookup_by_path(
        &self,
        _call: &Call,
        args: StorageVolLookupByPathArgs,
    ) -> Result<StorageVolLookupByPathRet> {
        let (pool, def) = self.volume_by_path(&args.path).await?;
        Ok(StorageVolLookupByPathRet { vol: wire_volume(&pool, &def) })
    }

    async fn storage_vol_get_path(&self, _call: &Call, args: StorageVolGetPathArgs) -> Result<StorageVolGetPathRet> {
        let def = self.pool_of(&args.vol)?.volume(&args.vol.name).await?;
        Ok(StorageVolGetPathRet { name: def.path().to_owned() })
    }

    async fn storage_vol_get_info(&self, _call: &Call, args: StorageVolGetInfoArgs) -> Result<StorageVolGetInfoRet> {
        let def = self.pool_of(&args.vol)?.volume_now(&args.vol.name).await?;
        let (type_, capacity, allocation) = figures(&Arc::new(def), false);
        Ok(StorageVolGetInfoRet { type_, capacity, allocation })
    }

    async fn storage_vol_get_info_flags(
        &self,
        _call: &Call,
        args: StorageVolGetInfoFlagsArgs,
    ) -> Result<StorageVolGetInfoFlagsRet> {
        let physical = c::VIR_STORAGE_VOL_GET_PHYSICAL;
        flags::check("storageVolGetInfoFlags", args.flags, physical)?;
        let def = self.pool_of(&args.vol)?.volume_now(&args.vol.name).await?;
        let (type_, capacity, allocation) = figures(&Arc::new(def), has(args.flags, physical));
        Ok(StorageVolGetInfoFlagsRet { type_, capacity, allocation })
    }

    async fn storage_vol_get_xml_desc(
        &self,
        _call: &Call,
        args: StorageVolGetXmlDescArgs,
    ) -> Result<StorageVolGetXmlDescRet> {
        flags::check("storageVolGetXMLDesc", args.flags, 0)?;
        let def = self.pool_of(&args.vol)?.volume_now(&args.vol.name).await?;
        Ok(StorageVolGetXmlDescRet { xml: def.format() })
    }

    async fn connect_storage_pool_event_register_any(
        &self,
        call: &Call,
        args: ConnectStoragePoolEventRegisterAnyArgs,
    ) -> Result<ConnectStoragePoolEventRegisterAnyRet> {
        let pool = match &args.pool {
            Some(pool) => Some(self.pool(pool)?.uuid),
            None => None,
        };
        let callback_id = self.subscribe(call.client(), args.event_id, pool.map(|uuid: Uuid| uuid))?;
        Ok(ConnectStoragePoolEventRegisterAnyRet { callback_id })
    }

    async fn connect_storage_pool_event_deregister_any(
        &self,
        call: &Call,
        args: ConnectStoragePoolEventDeregisterAnyArgs,
    ) -> Result<()> {
        self.unsubscribe(call.client(), args.callback_id)
    }
}
