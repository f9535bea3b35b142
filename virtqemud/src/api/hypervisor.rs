//! Which procedure of the hypervisor class is served by which handler.

use protocol::{qemu, remote};
use rpc::Call;

use super::Api;
use super::{block, connect, console, cpu, define, device, events, idle, info, interface, life, list, metadata, node};
use super::{parameters, pin, rename, stats, tune, xml_desc};

/// `method(Args) -> Ret = module::function;` for each procedure; `method() -> Ret` for those without arguments.
macro_rules! serve {
    ($program:ident : $( $method:ident ( $($args:ident)? ) -> $ret:ty = $module:ident :: $function:ident; )*) => {
        impl $program::Hypervisor<Call> for Api {
            $( async fn $method(&self, call: &Call $(, args: $program::$args)?) -> error::Result<$ret> {
                serve!(@call $module::$function, self, call $(, args as $args)?)
            } )*
        }
    };
    (@call $module:ident :: $function:ident, $api:expr, $call:expr) => { $module::$function($api, $call).await };
    (@call $module:ident :: $function:ident, $api:expr, $call:expr, $args:ident as $name:ident) => { $module::$function($api, $call, $args).await };
}

serve! { remote:
    connect_get_version() -> remote::ConnectGetVersionRet = connect::version;
    connect_get_hostname() -> remote::ConnectGetHostnameRet = connect::hostname;
    connect_get_max_vcpus(ConnectGetMaxVcpusArgs) -> remote::ConnectGetMaxVcpusRet = connect::max_vcpus;
    connect_get_cpu_model_names(ConnectGetCpuModelNamesArgs) -> remote::ConnectGetCpuModelNamesRet = cpu::model_names;
    connect_compare_cpu(ConnectCompareCpuArgs) -> remote::ConnectCompareCpuRet = cpu::compare_host;
    connect_baseline_cpu(ConnectBaselineCpuArgs) -> remote::ConnectBaselineCpuRet = cpu::baseline_host;
    connect_compare_hypervisor_cpu(ConnectCompareHypervisorCpuArgs) -> remote::ConnectCompareHypervisorCpuRet = cpu::compare_hypervisor;
    connect_baseline_hypervisor_cpu(ConnectBaselineHypervisorCpuArgs) -> remote::ConnectBaselineHypervisorCpuRet = cpu::baseline_hypervisor;
    connect_get_capabilities() -> remote::ConnectGetCapabilitiesRet = connect::capabilities;
    connect_get_domain_capabilities(ConnectGetDomainCapabilitiesArgs) -> remote::ConnectGetDomainCapabilitiesRet = connect::domain_capabilities;
    connect_domain_xml_to_native(ConnectDomainXmlToNativeArgs) -> remote::ConnectDomainXmlToNativeRet = connect::xml_to_native;
    node_get_info() -> remote::NodeGetInfoRet = node::info;
    node_get_security_model() -> remote::NodeGetSecurityModelRet = node::security_model;
    node_get_free_memory() -> remote::NodeGetFreeMemoryRet = node::free_memory;
    node_get_cpu_map(NodeGetCpuMapArgs) -> remote::NodeGetCpuMapRet = node::cpu_map;

    connect_num_of_domains() -> remote::ConnectNumOfDomainsRet = list::count_active;
    connect_list_domains(ConnectListDomainsArgs) -> remote::ConnectListDomainsRet = list::active_ids;
    connect_num_of_defined_domains() -> remote::ConnectNumOfDefinedDomainsRet = list::count_inactive;
    connect_list_defined_domains(ConnectListDefinedDomainsArgs) -> remote::ConnectListDefinedDomainsRet = list::inactive_names;
    connect_list_all_domains(ConnectListAllDomainsArgs) -> remote::ConnectListAllDomainsRet = list::all;
    domain_lookup_by_id(DomainLookupByIdArgs) -> remote::DomainLookupByIdRet = list::by_id;
    domain_lookup_by_uuid(DomainLookupByUuidArgs) -> remote::DomainLookupByUuidRet = list::by_uuid;
    domain_lookup_by_name(DomainLookupByNameArgs) -> remote::DomainLookupByNameRet = list::by_name;

    domain_define_xml(DomainDefineXmlArgs) -> remote::DomainDefineXmlRet = define::define;
    domain_define_xml_flags(DomainDefineXmlFlagsArgs) -> remote::DomainDefineXmlFlagsRet = define::define_flags;
    domain_undefine(DomainUndefineArgs) -> () = define::undefine;
    domain_undefine_flags(DomainUndefineFlagsArgs) -> () = define::undefine_flags;
    domain_get_autostart(DomainGetAutostartArgs) -> remote::DomainGetAutostartRet = define::autostart;
    domain_set_autostart(DomainSetAutostartArgs) -> () = define::set_autostart;

    domain_create_xml(DomainCreateXmlArgs) -> remote::DomainCreateXmlRet = life::create_xml;
    domain_create(DomainCreateArgs) -> () = life::create;
    domain_create_with_flags(DomainCreateWithFlagsArgs) -> remote::DomainCreateWithFlagsRet = life::create_with_flags;
    domain_suspend(DomainSuspendArgs) -> () = life::suspend;
    domain_resume(DomainResumeArgs) -> () = life::resume;
    domain_shutdown(DomainShutdownArgs) -> () = life::shutdown;
    domain_shutdown_flags(DomainShutdownFlagsArgs) -> () = life::shutdown_flags;
    domain_reboot(DomainRebootArgs) -> () = life::reboot;
    domain_reset(DomainResetArgs) -> () = life::reset;
    domain_destroy(DomainDestroyArgs) -> () = life::destroy;
    domain_destroy_flags(DomainDestroyFlagsArgs) -> () = life::destroy_flags;
    domain_pm_wakeup(DomainPmWakeupArgs) -> () = life::wake_up;

    domain_get_info(DomainGetInfoArgs) -> remote::DomainGetInfoRet = info::info;
    domain_get_state(DomainGetStateArgs) -> remote::DomainGetStateRet = info::state;
    domain_get_os_type(DomainGetOsTypeArgs) -> remote::DomainGetOsTypeRet = info::os_type;
    domain_get_max_memory(DomainGetMaxMemoryArgs) -> remote::DomainGetMaxMemoryRet = info::max_memory;
    domain_get_max_vcpus(DomainGetMaxVcpusArgs) -> remote::DomainGetMaxVcpusRet = info::max_vcpus;
    domain_get_vcpus_flags(DomainGetVcpusFlagsArgs) -> remote::DomainGetVcpusFlagsRet = info::vcpu_count;
    domain_get_vcpus(DomainGetVcpusArgs) -> remote::DomainGetVcpusRet = info::vcpus;
    domain_is_active(DomainIsActiveArgs) -> remote::DomainIsActiveRet = info::is_active;
    domain_is_persistent(DomainIsPersistentArgs) -> remote::DomainIsPersistentRet = info::is_persistent;
    domain_is_updated(DomainIsUpdatedArgs) -> remote::DomainIsUpdatedRet = info::is_updated;
    domain_get_control_info(DomainGetControlInfoArgs) -> remote::DomainGetControlInfoRet = info::control_info;
    domain_get_scheduler_type(DomainGetSchedulerTypeArgs) -> remote::DomainGetSchedulerTypeRet = info::scheduler_type;
    domain_get_security_label(DomainGetSecurityLabelArgs) -> remote::DomainGetSecurityLabelRet = info::security_label;
    domain_has_managed_save_image(DomainHasManagedSaveImageArgs) -> remote::DomainHasManagedSaveImageRet = info::has_managed_save;
    domain_managed_save_remove(DomainManagedSaveRemoveArgs) -> () = info::managed_save_remove;
    domain_get_job_info(DomainGetJobInfoArgs) -> remote::DomainGetJobInfoRet = info::job_info;
    domain_get_xml_desc(DomainGetXmlDescArgs) -> remote::DomainGetXmlDescRet = xml_desc::xml_desc;

    domain_get_metadata(DomainGetMetadataArgs) -> remote::DomainGetMetadataRet = metadata::get;
    domain_set_metadata(DomainSetMetadataArgs) -> () = metadata::set;
    domain_set_max_memory(DomainSetMaxMemoryArgs) -> () = tune::set_max_memory;
    domain_set_memory(DomainSetMemoryArgs) -> () = tune::set_memory;
    domain_set_memory_flags(DomainSetMemoryFlagsArgs) -> () = tune::set_memory_flags;
    domain_set_vcpus(DomainSetVcpusArgs) -> () = tune::set_vcpus;
    domain_set_vcpus_flags(DomainSetVcpusFlagsArgs) -> () = tune::set_vcpus_flags;

    domain_rename(DomainRenameArgs) -> remote::DomainRenameRet = rename::rename;
    domain_attach_device(DomainAttachDeviceArgs) -> () = device::attach;
    domain_attach_device_flags(DomainAttachDeviceFlagsArgs) -> () = device::attach_flags;
    domain_detach_device_flags(DomainDetachDeviceFlagsArgs) -> () = device::detach_flags;
    domain_update_device_flags(DomainUpdateDeviceFlagsArgs) -> () = device::update_flags;

    domain_get_memory_parameters(DomainGetMemoryParametersArgs) -> remote::DomainGetMemoryParametersRet = parameters::memory;
    domain_set_memory_parameters(DomainSetMemoryParametersArgs) -> () = parameters::set_memory;
    domain_get_blkio_parameters(DomainGetBlkioParametersArgs) -> remote::DomainGetBlkioParametersRet = parameters::blkio;
    domain_set_blkio_parameters(DomainSetBlkioParametersArgs) -> () = parameters::set_blkio;
    domain_get_block_io_tune(DomainGetBlockIoTuneArgs) -> remote::DomainGetBlockIoTuneRet = parameters::io_tune;
    domain_set_block_io_tune(DomainSetBlockIoTuneArgs) -> () = parameters::set_io_tune;
    domain_get_numa_parameters(DomainGetNumaParametersArgs) -> remote::DomainGetNumaParametersRet = parameters::numa;
    domain_set_numa_parameters(DomainSetNumaParametersArgs) -> () = parameters::set_numa;
    domain_get_scheduler_parameters(DomainGetSchedulerParametersArgs) -> remote::DomainGetSchedulerParametersRet = parameters::scheduler;
    domain_get_scheduler_parameters_flags(DomainGetSchedulerParametersFlagsArgs) -> remote::DomainGetSchedulerParametersFlagsRet = parameters::scheduler_flags;
    domain_set_scheduler_parameters(DomainSetSchedulerParametersArgs) -> () = parameters::set_scheduler;
    domain_set_scheduler_parameters_flags(DomainSetSchedulerParametersFlagsArgs) -> () = parameters::set_scheduler_flags;
    domain_get_interface_parameters(DomainGetInterfaceParametersArgs) -> remote::DomainGetInterfaceParametersRet = parameters::interface;
    domain_get_vcpu_pin_info(DomainGetVcpuPinInfoArgs) -> remote::DomainGetVcpuPinInfoRet = pin::vcpu_pins;
    domain_pin_vcpu_flags(DomainPinVcpuFlagsArgs) -> () = pin::pin_vcpu;
    domain_get_emulator_pin_info(DomainGetEmulatorPinInfoArgs) -> remote::DomainGetEmulatorPinInfoRet = pin::emulator_pin;
    domain_pin_emulator(DomainPinEmulatorArgs) -> () = pin::pin_emulator;
    domain_get_iothread_info(DomainGetIothreadInfoArgs) -> remote::DomainGetIothreadInfoRet = pin::iothreads;
    domain_add_iothread(DomainAddIothreadArgs) -> () = pin::add_iothread;
    domain_del_iothread(DomainDelIothreadArgs) -> () = pin::delete_iothread;

    domain_save(DomainSaveArgs) -> () = idle::save;
    domain_save_flags(DomainSaveFlagsArgs) -> () = idle::save_flags;
    domain_managed_save(DomainManagedSaveArgs) -> () = idle::managed_save;
    domain_core_dump(DomainCoreDumpArgs) -> () = idle::core_dump;
    domain_core_dump_with_format(DomainCoreDumpWithFormatArgs) -> () = idle::core_dump_format;
    domain_get_fsinfo(DomainGetFsinfoArgs) -> remote::DomainGetFsinfoRet = idle::file_systems;
    domain_get_time(DomainGetTimeArgs) -> remote::DomainGetTimeRet = idle::time;
    domain_get_guest_info(DomainGetGuestInfoArgs) -> remote::DomainGetGuestInfoRet = idle::guest_info;
    domain_authorized_ssh_keys_get(DomainAuthorizedSshKeysGetArgs) -> remote::DomainAuthorizedSshKeysGetRet = idle::ssh_keys;
    domain_screenshot(DomainScreenshotArgs) -> remote::DomainScreenshotRet = idle::screenshot;
    domain_send_key(DomainSendKeyArgs) -> () = life::send_key;
    domain_inject_nmi(DomainInjectNmiArgs) -> () = life::inject_nmi;
    domain_get_autostart_once(DomainGetAutostartOnceArgs) -> remote::DomainGetAutostartOnceRet = define::autostart_once;
    domain_set_autostart_once(DomainSetAutostartOnceArgs) -> () = define::set_autostart_once;
    domain_set_interface_parameters(DomainSetInterfaceParametersArgs) -> () = parameters::set_interface;
    domain_abort_job(DomainAbortJobArgs) -> () = idle::abort_job;
    domain_get_block_job_info(DomainGetBlockJobInfoArgs) -> remote::DomainGetBlockJobInfoRet = idle::block_job_info;
    domain_snapshot_num(DomainSnapshotNumArgs) -> remote::DomainSnapshotNumRet = idle::snapshot_count;
    domain_list_all_snapshots(DomainListAllSnapshotsArgs) -> remote::DomainListAllSnapshotsRet = idle::snapshots;
    domain_has_current_snapshot(DomainHasCurrentSnapshotArgs) -> remote::DomainHasCurrentSnapshotRet = idle::has_current_snapshot;
    domain_list_all_checkpoints(DomainListAllCheckpointsArgs) -> remote::DomainListAllCheckpointsRet = idle::checkpoints;
    domain_managed_save_get_xml_desc(DomainManagedSaveGetXmlDescArgs) -> remote::DomainManagedSaveGetXmlDescRet = idle::managed_save_xml;
    domain_get_launch_security_info(DomainGetLaunchSecurityInfoArgs) -> remote::DomainGetLaunchSecurityInfoRet = idle::launch_security;

    domain_get_block_info(DomainGetBlockInfoArgs) -> remote::DomainGetBlockInfoRet = block::block_info;
    domain_block_stats(DomainBlockStatsArgs) -> remote::DomainBlockStatsRet = block::block_stats;
    domain_interface_stats(DomainInterfaceStatsArgs) -> remote::DomainInterfaceStatsRet = interface::interface_stats;
    domain_interface_addresses(DomainInterfaceAddressesArgs) -> remote::DomainInterfaceAddressesRet = interface::interface_addresses;
    connect_get_all_domain_stats(ConnectGetAllDomainStatsArgs) -> remote::ConnectGetAllDomainStatsRet = stats::all;
    domain_memory_stats(DomainMemoryStatsArgs) -> remote::DomainMemoryStatsRet = stats::memory;
    domain_open_console(DomainOpenConsoleArgs) -> () = console::open;

    connect_domain_event_register() -> remote::ConnectDomainEventRegisterRet = events::register;
    connect_domain_event_deregister() -> remote::ConnectDomainEventDeregisterRet = events::deregister;
    connect_domain_event_register_any(ConnectDomainEventRegisterAnyArgs) -> () = events::register_any;
    connect_domain_event_deregister_any(ConnectDomainEventDeregisterAnyArgs) -> () = events::deregister_any;
    connect_domain_event_callback_register_any(ConnectDomainEventCallbackRegisterAnyArgs) -> remote::ConnectDomainEventCallbackRegisterAnyRet = events::callback_register;
    connect_domain_event_callback_deregister_any(ConnectDomainEventCallbackDeregisterAnyArgs) -> () = events::callback_deregister;
}

serve! { qemu:
    domain_monitor_command(DomainMonitorCommandArgs) -> qemu::DomainMonitorCommandRet = stats::monitor_command;
}
