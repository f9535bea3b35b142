//! The status document of a running domain: what a new daemon needs to find the guest again.
//!
//! The root and what libvirt also writes (`monitor`, `vcpus`, `libDir`, `channelTargetDir`, `domain`) have libvirt's
//! names; `process` is ours and proves that the pid still means the same process.

use std::path::PathBuf;

use error::{Code, Domain, Error};
use xml::{Node, Writer};

use super::state::State;

/// Everything but the definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// State and reason.
    pub state: State,
    /// QEMU.
    pub process: ProcessId,
    /// Monitor socket.
    pub monitor: PathBuf,
    /// Folder of this run below the driver's lib folder.
    pub lib_dir: PathBuf,
    /// Folder of this run's channel sockets.
    pub channel_dir: PathBuf,
    /// Thread ids of the vCPUs.
    pub vcpu_threads: Vec<i32>,
    /// The guest is in the middle of a reboot that we make out of shutdown and reset.
    pub fake_reboot: bool,
    /// The start had not come to its end when this was written: nobody was told that the guest runs.
    pub starting: bool,
    /// The running guest differs from what was started.
    pub changed_live: bool,
    /// Files whose owner was changed for it.
    pub owned: Vec<PathBuf>,
}

/// A process that cannot be mistaken for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessId {
    /// Number.
    pub pid: i32,
    /// Clock ticks from boot to its start.
    pub start_time: u64,
    /// The boot it belongs to.
    pub boot_id: String,
}

impl Status {
    /// The document around `domain`, the live definition's own document.
    pub fn format(&self, domain: &str) -> String {
        let (state, reason) = self.state.words();
        let mut w = Writer::new();
        w.element("domstatus", |w| {
            w.attr("state", state);
            w.attr("reason", reason);
            w.attr("pid", self.process.pid);
            w.element("process", |w| {
                w.attr("start", self.process.start_time);
                w.attr("boot", &self.process.boot_id);
                w.yes_no("starting", self.starting.then_some(true));
                w.yes_no("changed", self.changed_live.then_some(true));
                for path in &self.owned {
                    w.element("owned", |w| w.attr("path", path.display()));
                }
            });
            w.element("monitor", |w| {
                w.attr("path", self.monitor.display());
                w.attr("type", "unix");
            });
            if !self.vcpu_threads.is_empty() {
                w.element("vcpus", |w| {
                    for (id, pid) in self.vcpu_threads.iter().enumerate() {
                        w.element("vcpu", |w| {
                            w.attr("id", id);
                            w.attr("pid", pid);
                        });
                    }
                });
            }
            w.element("libDir", |w| w.attr("path", self.lib_dir.display()));
            w.element("channelTargetDir", |w| w.attr("path", self.channel_dir.display()));
            if self.fake_reboot {
                w.empty("fakereboot");
            }
        });
        let mut text = w.finish();
        // The definition goes in as it is: another indentation would change texts of several lines.
        let end = text.rfind("</domstatus>").expect("the writer has just closed the root");
        text.insert_str(end, domain);
        text
    }

    /// Reads the part around the definition.
    ///
    /// # Errors
    /// INTERNAL_ERROR that says what is missing.
    pub fn parse(root: Node<'_>) -> error::Result<Status> {
        let missing =
            |what: &str| Error::new(Domain::Qemu, Code::InternalError, format!("status document has no {what}"));
        if !root.is("domstatus") {
            return Err(missing("<domstatus>"));
        }
        let state = State::from_words(root.attr("state").unwrap_or_default(), root.attr("reason").unwrap_or_default());
        let process = root.child("process").ok_or_else(|| missing("process identity"))?;
        let path = |name: &str| root.child(name).and_then(|node| node.attr("path")).map(PathBuf::from);
        let threads = root
            .child("vcpus")
            .into_iter()
            .flat_map(|node| node.children("vcpu").filter_map(|v| v.attr("pid")?.parse().ok()));
        Ok(Status {
            state: state.ok_or_else(|| missing("known state"))?,
            process: ProcessId {
                pid: root
                    .attr("pid")
                    .and_then(|text| text.parse().ok())
                    .filter(|pid| *pid > 0)
                    .ok_or_else(|| missing("pid"))?,
                start_time: process
                    .attr("start")
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| missing("start time"))?,
                boot_id: process.attr("boot").unwrap_or_default().to_owned(),
            },
            monitor: path("monitor").ok_or_else(|| missing("monitor path"))?,
            lib_dir: path("libDir").ok_or_else(|| missing("lib folder"))?,
            channel_dir: path("channelTargetDir").ok_or_else(|| missing("channel folder"))?,
            vcpu_threads: threads.collect(),
            fake_reboot: root.child("fakereboot").is_some(),
            starting: process.attr("starting") == Some("yes"),
            changed_live: process.attr("changed") == Some("yes"),
            owned: process.children("owned").filter_map(|node| node.attr("path").map(PathBuf::from)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_leads_back() {
        let status = Status {
            state: State::PAUSED,
            process: ProcessId { pid: 77, start_time: 123_456, boot_id: "b-1".into() },
            monitor: "/var/lib/libvirt/qemu/domain-1-g/monitor.sock".into(),
            lib_dir: "/var/lib/libvirt/qemu/domain-1-g".into(),
            channel_dir: "/run/libvirt/qemu/channel/1-g".into(),
            vcpu_threads: vec![78, 79],
            fake_reboot: true,
            starting: false,
            changed_live: true,
            owned: vec!["/a b/<'disk'>".into()],
        };
        let text = status.format("<domain type='kvm'>\n  <name>g</name>\n</domain>\n");
        let document = xml::parse(&text).unwrap();
        assert_eq!(Status::parse(document.root()).unwrap(), status);
        assert_eq!(document.root().child("domain").unwrap().child_text("name").as_deref(), Some("g"));
    }

    #[test]
    fn what_is_missing_is_named() {
        for text in [
            "<x/>",
            "<domstatus state='running' pid='1'/>",
            "<domstatus state='running' pid='0'><process start='1' boot='x'/></domstatus>",
        ] {
            let document = xml::parse(text).unwrap();
            assert!(Status::parse(document.root()).is_err(), "{text}");
        }
    }
}
