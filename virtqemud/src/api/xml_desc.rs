//! A domain as XML.

use conf::FormatFlags;
use conf::domain::DomainDef;
use conf::domain::device::audio::AudioKind;
use conf::domain::device::input::{InputBus, InputKind};
use conf::domain::device::watchdog::{WatchdogAction, WatchdogModel};
use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;

use super::{Api, check_flags};

const FLAGS: u32 =
    c::VIR_DOMAIN_XML_SECURE | c::VIR_DOMAIN_XML_INACTIVE | c::VIR_DOMAIN_XML_UPDATE_CPU | c::VIR_DOMAIN_XML_MIGRATABLE;

pub(super) async fn xml_desc(
    api: &Api,
    call: &Call,
    args: remote::DomainGetXmlDescArgs,
) -> error::Result<remote::DomainGetXmlDescRet> {
    check_flags("qemuDomainGetXMLDesc", args.flags, FLAGS)?;
    let has = |flag| args.flags & flag != 0;
    // Migratable documents hold secrets too.
    if call.client().read_only() && (has(c::VIR_DOMAIN_XML_SECURE) || has(c::VIR_DOMAIN_XML_MIGRATABLE)) {
        return Err(Error::new(From::Dom, Code::OperationDenied, "virDomainGetXMLDesc with secure flag"));
    }
    let view = api.find(&args.dom)?.view();
    let inactive = has(c::VIR_DOMAIN_XML_INACTIVE);
    let def = match &view.persistent {
        Some(persistent) if inactive => persistent,
        _ => view.definition(),
    };
    let flags = FormatFlags {
        inactive: inactive || !view.is_active(),
        secure: has(c::VIR_DOMAIN_XML_SECURE) || has(c::VIR_DOMAIN_XML_MIGRATABLE),
        migratable: has(c::VIR_DOMAIN_XML_MIGRATABLE),
        status: false,
    };
    let xml = if flags.migratable { portable(def).format(flags) } else { def.format(flags) };
    Ok(remote::DomainGetXmlDescRet { xml })
}

/// The definition as an older libvirt on another host takes it: without the devices that every machine of this type has
/// anyway and that older versions did not name.
fn portable(def: &DomainDef) -> DomainDef {
    let mut def = def.clone();
    let devices = &mut def.devices;
    devices.inputs.retain(|input| !(input.kind == InputKind::Keyboard && input.bus == Some(InputBus::Ps2)));
    if let [audio] = &devices.audios[..]
        && audio.kind == AudioKind::None
    {
        devices.audios.clear();
    }
    devices
        .watchdogs
        .retain(|watchdog| !(watchdog.model == WatchdogModel::Itco && watchdog.action == Some(WatchdogAction::Reset)));
    def
}
