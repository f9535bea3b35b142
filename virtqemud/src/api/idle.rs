//! Calls for features that are not served yet, on domains: what can be said truly is said (no such domain, not running,
//! none of these exist), the rest is "not supported".

use error::{Code, Domain as From, Error};
use protocol::remote::{self, NonnullDomain};
use rpc::Call;

use super::{Api, invalid, not_running};

/// The answer of a call that needs a running guest: first libvirt's reasons why it cannot be, then that we cannot.
pub(super) fn needs_guest<T>(api: &Api, call: &Call, dom: &NonnullDomain) -> error::Result<T> {
    if !api.find(dom)?.view().is_active() {
        return Err(not_running());
    }
    Err(Error::no_support(call.procedure().api))
}

/// Handlers of that kind: `function: Args -> Ret;`
macro_rules! need_guest {
    ($( $function:ident: $args:ident -> $ret:ty; )*) => { $(
        pub(super) async fn $function(api: &Api, call: &Call, args: remote::$args) -> error::Result<$ret> {
            needs_guest(api, call, &args.dom)
        }
    )* };
}

need_guest! {
    save: DomainSaveArgs -> ();
    save_flags: DomainSaveFlagsArgs -> ();
    managed_save: DomainManagedSaveArgs -> ();
    core_dump: DomainCoreDumpArgs -> ();
    core_dump_format: DomainCoreDumpWithFormatArgs -> ();
    file_systems: DomainGetFsinfoArgs -> remote::DomainGetFsinfoRet;
    time: DomainGetTimeArgs -> remote::DomainGetTimeRet;
    guest_info: DomainGetGuestInfoArgs -> remote::DomainGetGuestInfoRet;
    ssh_keys: DomainAuthorizedSshKeysGetArgs -> remote::DomainAuthorizedSshKeysGetRet;
    screenshot: DomainScreenshotArgs -> remote::DomainScreenshotRet;
    abort_job: DomainAbortJobArgs -> ();
    block_job_info: DomainGetBlockJobInfoArgs -> remote::DomainGetBlockJobInfoRet;
}

pub(super) async fn snapshot_count(
    api: &Api,
    _: &Call,
    args: remote::DomainSnapshotNumArgs,
) -> error::Result<remote::DomainSnapshotNumRet> {
    api.find(&args.dom)?;
    Ok(remote::DomainSnapshotNumRet { num: 0 })
}

pub(super) async fn snapshots(
    api: &Api,
    _: &Call,
    args: remote::DomainListAllSnapshotsArgs,
) -> error::Result<remote::DomainListAllSnapshotsRet> {
    api.find(&args.dom)?;
    Ok(remote::DomainListAllSnapshotsRet { snapshots: Vec::new(), ret: 0 })
}

pub(super) async fn has_current_snapshot(
    api: &Api,
    _: &Call,
    args: remote::DomainHasCurrentSnapshotArgs,
) -> error::Result<remote::DomainHasCurrentSnapshotRet> {
    api.find(&args.dom)?;
    Ok(remote::DomainHasCurrentSnapshotRet { result: 0 })
}

pub(super) async fn checkpoints(
    api: &Api,
    _: &Call,
    args: remote::DomainListAllCheckpointsArgs,
) -> error::Result<remote::DomainListAllCheckpointsRet> {
    api.find(&args.dom)?;
    Ok(remote::DomainListAllCheckpointsRet { checkpoints: Vec::new(), ret: 0 })
}

pub(super) async fn managed_save_xml(
    api: &Api,
    _: &Call,
    args: remote::DomainManagedSaveGetXmlDescArgs,
) -> error::Result<remote::DomainManagedSaveGetXmlDescRet> {
    let view = api.find(&args.dom)?.view();
    if !api.driver.managed_save_file(&view.name).exists() {
        return Err(invalid("domain does not have managed save image"));
    }
    Err(Error::new(From::Qemu, Code::NoSupport, "virDomainManagedSaveGetXMLDesc"))
}

/// `virsh domlaunchsecinfo` prints what there is: nothing without launch security.
pub(super) async fn launch_security(
    api: &Api,
    _: &Call,
    args: remote::DomainGetLaunchSecurityInfoArgs,
) -> error::Result<remote::DomainGetLaunchSecurityInfoRet> {
    let view = api.find(&args.dom)?.view();
    if view.definition().launch_security.is_none() {
        return Ok(remote::DomainGetLaunchSecurityInfoRet { params: Vec::new() });
    }
    Err(Error::new(From::Qemu, Code::NoSupport, "virDomainGetLaunchSecurityInfo"))
}
