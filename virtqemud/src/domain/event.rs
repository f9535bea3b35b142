//! What subscribers are told about a domain, and the wire message for each style of registration.

use object::events::Style;
use protocol::constants as c;
use protocol::remote::{self, NonnullDomain, proc};
use xdr::Encode;

/// The old body as it is, or wrapped with the callback id.
macro_rules! wrap {
    ($style:expr, $msg:expr, $global:ident, $callback:ident, $wrapper:ident $(, $extra:ident : $value:expr)?) => {
        match $style {
            Style::Global => body(proc::$global, &$msg),
            Style::Callback(callback_id) => body(proc::$callback, &remote::$wrapper { callback_id, msg: $msg $(, $extra: $value)? }),
        }
    };
}

/// One event of one domain.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// State of life changed: `virDomainEventType` with its detail.
    Lifecycle {
        /// `VIR_DOMAIN_EVENT_STARTED` and so on.
        event: i32,
        /// The detail enum that belongs to it.
        detail: i32,
    },
    /// The guest was reset.
    Reboot,
    /// The guest set its clock; seconds from UTC.
    RtcChange(i64),
    /// The watchdog fired; `virDomainEventWatchdogAction`.
    Watchdog(i32),
    /// A disk failed.
    IoError {
        /// File or device on the host.
        source: String,
        /// Device alias.
        alias: String,
        /// `virDomainEventIOErrorAction`.
        action: i32,
        /// `enospc` or empty.
        reason: String,
    },
    /// A display client came or went.
    Graphics {
        /// `virDomainEventGraphicsPhase`.
        phase: i32,
        /// Our end.
        local: GraphicsAddress,
        /// Its end.
        remote: GraphicsAddress,
        /// How it logged in.
        auth: String,
        /// Who it is: (kind, name).
        subject: Vec<(String, String)>,
    },
    /// A tray opened (0) or closed (1).
    TrayChange {
        /// Device alias.
        alias: String,
        /// `virDomainEventTrayChangeReason`.
        reason: i32,
    },
    /// The guest woke up.
    Wakeup,
    /// The guest sleeps in memory.
    Suspend,
    /// The guest sleeps on disk.
    SuspendDisk,
    /// The guest's memory has this many KiB now.
    BalloonChange(u64),
    /// A device is gone.
    DeviceRemoved(String),
    /// The guest would not let a device go.
    DeviceRemovalFailed(String),
    /// The guest agent connected or went; state and reason.
    AgentLifecycle(i32, i32),
    /// Title, description or metadata changed.
    MetadataChange {
        /// `virDomainMetadataType`.
        kind: i32,
        /// Namespace of the element.
        uri: Option<String>,
    },
}

/// One end of a display connection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GraphicsAddress {
    /// `virDomainEventGraphicsAddressType`.
    pub family: i32,
    /// Host.
    pub node: String,
    /// Port.
    pub service: String,
}

/// An encoded message body.
#[derive(Debug, Clone, PartialEq)]
pub struct Body(Vec<u8>);

impl Encode for Body {
    fn encode(&self, w: &mut Vec<u8>) -> Result<(), xdr::Error> {
        w.extend_from_slice(&self.0);
        Ok(())
    }
}

impl Event {
    /// A lifecycle event.
    pub fn lifecycle(event: i32, detail: i32) -> Event {
        Event::Lifecycle { event, detail }
    }

    /// Event ids this is reported under: a failed disk has two.
    pub fn ids(&self) -> &'static [i32] {
        match self {
            Event::Lifecycle { .. } => &[c::VIR_DOMAIN_EVENT_ID_LIFECYCLE],
            Event::Reboot => &[c::VIR_DOMAIN_EVENT_ID_REBOOT],
            Event::RtcChange(_) => &[c::VIR_DOMAIN_EVENT_ID_RTC_CHANGE],
            Event::Watchdog(_) => &[c::VIR_DOMAIN_EVENT_ID_WATCHDOG],
            Event::IoError { .. } => &[c::VIR_DOMAIN_EVENT_ID_IO_ERROR, c::VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON],
            Event::Graphics { .. } => &[c::VIR_DOMAIN_EVENT_ID_GRAPHICS],
            Event::TrayChange { .. } => &[c::VIR_DOMAIN_EVENT_ID_TRAY_CHANGE],
            Event::Wakeup => &[c::VIR_DOMAIN_EVENT_ID_PMWAKEUP],
            Event::Suspend => &[c::VIR_DOMAIN_EVENT_ID_PMSUSPEND],
            Event::SuspendDisk => &[c::VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK],
            Event::BalloonChange(_) => &[c::VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE],
            Event::DeviceRemoved(_) => &[c::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED],
            Event::DeviceRemovalFailed(_) => &[c::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED],
            Event::AgentLifecycle(..) => &[c::VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE],
            Event::MetadataChange { .. } => &[c::VIR_DOMAIN_EVENT_ID_METADATA_CHANGE],
        }
    }

    /// Procedure number and body of the message for a registration of event `id` in this style. None when the event
    /// has no such form (ids from 16 on exist with callback ids only) or does not fit the wire's limits.
    pub fn message(&self, id: i32, dom: &NonnullDomain, style: Style) -> Option<(i32, Body)> {
        let dom = dom.clone();
        match self {
            Event::Lifecycle { event, detail } => {
                let msg = remote::DomainEventLifecycleMsg { dom, event: *event, detail: *detail };
                wrap!(
                    style,
                    msg,
                    DOMAIN_EVENT_LIFECYCLE,
                    DOMAIN_EVENT_CALLBACK_LIFECYCLE,
                    DomainEventCallbackLifecycleMsg
                )
            }
            Event::Reboot => {
                let msg = remote::DomainEventRebootMsg { dom };
                wrap!(style, msg, DOMAIN_EVENT_REBOOT, DOMAIN_EVENT_CALLBACK_REBOOT, DomainEventCallbackRebootMsg)
            }
            Event::RtcChange(offset) => {
                let msg = remote::DomainEventRtcChangeMsg { dom, offset: *offset };
                wrap!(
                    style,
                    msg,
                    DOMAIN_EVENT_RTC_CHANGE,
                    DOMAIN_EVENT_CALLBACK_RTC_CHANGE,
                    DomainEventCallbackRtcChangeMsg
                )
            }
            Event::Watchdog(action) => {
                let msg = remote::DomainEventWatchdogMsg { dom, action: *action };
                wrap!(style, msg, DOMAIN_EVENT_WATCHDOG, DOMAIN_EVENT_CALLBACK_WATCHDOG, DomainEventCallbackWatchdogMsg)
            }
            Event::IoError { source, alias, action, .. } if id == c::VIR_DOMAIN_EVENT_ID_IO_ERROR => {
                let msg = remote::DomainEventIoErrorMsg {
                    dom,
                    src_path: source.clone(),
                    dev_alias: alias.clone(),
                    action: *action,
                };
                wrap!(style, msg, DOMAIN_EVENT_IO_ERROR, DOMAIN_EVENT_CALLBACK_IO_ERROR, DomainEventCallbackIoErrorMsg)
            }
            Event::IoError { source, alias, action, reason } => {
                let (src_path, dev_alias, reason) = (source.clone(), alias.clone(), reason.clone());
                let msg = remote::DomainEventIoErrorReasonMsg { dom, src_path, dev_alias, action: *action, reason };
                wrap!(
                    style,
                    msg,
                    DOMAIN_EVENT_IO_ERROR_REASON,
                    DOMAIN_EVENT_CALLBACK_IO_ERROR_REASON,
                    DomainEventCallbackIoErrorReasonMsg
                )
            }
            Event::Graphics { phase, local, remote, auth, subject } => {
                let subject = subject.iter().map(|(type_, name)| remote::DomainEventGraphicsIdentity {
                    type_: type_.clone(),
                    name: name.clone(),
                });
                let msg = remote::DomainEventGraphicsMsg {
                    dom,
                    phase: *phase,
                    local: local.wire(),
                    remote: remote.wire(),
                    auth_scheme: auth.clone(),
                    subject: subject.collect(),
                };
                wrap!(style, msg, DOMAIN_EVENT_GRAPHICS, DOMAIN_EVENT_CALLBACK_GRAPHICS, DomainEventCallbackGraphicsMsg)
            }
            Event::TrayChange { alias, reason } => {
                let msg = remote::DomainEventTrayChangeMsg { dom, dev_alias: alias.clone(), reason: *reason };
                wrap!(
                    style,
                    msg,
                    DOMAIN_EVENT_TRAY_CHANGE,
                    DOMAIN_EVENT_CALLBACK_TRAY_CHANGE,
                    DomainEventCallbackTrayChangeMsg
                )
            }
            Event::Wakeup => {
                let msg = remote::DomainEventPmwakeupMsg { dom };
                wrap!(style, msg, DOMAIN_EVENT_PMWAKEUP, DOMAIN_EVENT_CALLBACK_PMWAKEUP, DomainEventCallbackPmwakeupMsg, reason: 0)
            }
            Event::Suspend => {
                let msg = remote::DomainEventPmsuspendMsg { dom };
                wrap!(style, msg, DOMAIN_EVENT_PMSUSPEND, DOMAIN_EVENT_CALLBACK_PMSUSPEND, DomainEventCallbackPmsuspendMsg, reason: 0)
            }
            Event::SuspendDisk => {
                let msg = remote::DomainEventPmsuspendDiskMsg { dom };
                wrap!(style, msg, DOMAIN_EVENT_PMSUSPEND_DISK, DOMAIN_EVENT_CALLBACK_PMSUSPEND_DISK, DomainEventCallbackPmsuspendDiskMsg, reason: 0)
            }
            Event::BalloonChange(actual) => {
                let msg = remote::DomainEventBalloonChangeMsg { dom, actual: *actual };
                wrap!(
                    style,
                    msg,
                    DOMAIN_EVENT_BALLOON_CHANGE,
                    DOMAIN_EVENT_CALLBACK_BALLOON_CHANGE,
                    DomainEventCallbackBalloonChangeMsg
                )
            }
            Event::DeviceRemoved(alias) => {
                let msg = remote::DomainEventDeviceRemovedMsg { dom, dev_alias: alias.clone() };
                wrap!(
                    style,
                    msg,
                    DOMAIN_EVENT_DEVICE_REMOVED,
                    DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED,
                    DomainEventCallbackDeviceRemovedMsg
                )
            }
            _ => self.flat_message(dom, style),
        }
    }

    /// Events from id 16 on: the callback id is a field of the message itself.
    fn flat_message(&self, dom: NonnullDomain, style: Style) -> Option<(i32, Body)> {
        let Style::Callback(callback_id) = style else { return None };
        match self {
            Event::DeviceRemovalFailed(alias) => {
                let msg =
                    remote::DomainEventCallbackDeviceRemovalFailedMsg { callback_id, dom, dev_alias: alias.clone() };
                body(proc::DOMAIN_EVENT_CALLBACK_DEVICE_REMOVAL_FAILED, &msg)
            }
            Event::AgentLifecycle(state, reason) => {
                let msg =
                    remote::DomainEventCallbackAgentLifecycleMsg { callback_id, dom, state: *state, reason: *reason };
                body(proc::DOMAIN_EVENT_CALLBACK_AGENT_LIFECYCLE, &msg)
            }
            Event::MetadataChange { kind, uri } => {
                let msg =
                    remote::DomainEventCallbackMetadataChangeMsg { callback_id, dom, type_: *kind, nsuri: uri.clone() };
                body(proc::DOMAIN_EVENT_CALLBACK_METADATA_CHANGE, &msg)
            }
            _ => None,
        }
    }
}

impl GraphicsAddress {
    fn wire(&self) -> remote::DomainEventGraphicsAddress {
        remote::DomainEventGraphicsAddress {
            family: self.family,
            node: self.node.clone(),
            service: self.service.clone(),
        }
    }
}

fn body(procedure: i32, message: &impl Encode) -> Option<(i32, Body)> {
    Some((procedure, Body(xdr::to_vec(message).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dom() -> NonnullDomain {
        NonnullDomain { name: "g".into(), uuid: [7; 16], id: 3 }
    }

    #[test]
    fn both_styles_of_an_old_event() {
        let event = Event::lifecycle(c::VIR_DOMAIN_EVENT_STARTED, c::VIR_DOMAIN_EVENT_STARTED_BOOTED);
        let (number, global) = event.message(0, &dom(), Style::Global).unwrap();
        assert_eq!(number, 107);
        let (number, callback) = event.message(0, &dom(), Style::Callback(9)).unwrap();
        assert_eq!(number, 318);
        assert_eq!(callback.0[..4], [0, 0, 0, 9]);
        assert_eq!(callback.0[4..], global.0[..]);
    }

    #[test]
    fn a_failed_disk_is_told_twice_with_and_without_reason() {
        let event =
            Event::IoError { source: "/a".into(), alias: "virtio-disk0".into(), action: 1, reason: "enospc".into() };
        let numbers: Vec<_> =
            event.ids().iter().map(|id| event.message(*id, &dom(), Style::Global).unwrap().0).collect();
        assert_eq!(numbers, [172, 195]);
    }

    #[test]
    fn new_events_have_no_global_form() {
        assert_eq!(Event::AgentLifecycle(1, 1).message(18, &dom(), Style::Global), None);
        assert!(Event::AgentLifecycle(1, 1).message(18, &dom(), Style::Callback(1)).is_some());
    }
}
