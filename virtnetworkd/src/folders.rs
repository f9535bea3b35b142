//! Where the files of networks are.

use std::path::PathBuf;

/// The folders of this driver.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Definitions.
    pub config: PathBuf,
    /// State files, ports.
    pub state: PathBuf,
    /// Pid files of dnsmasq.
    pub pid: PathBuf,
    /// dnsmasq's configuration and leases.
    pub dnsmasq: PathBuf,
    /// What stands before all of them, for the environment of the lease helper.
    pub root: Option<PathBuf>,
    /// Whether the host's network may be changed.
    pub privileged: bool,
}

impl Folders {
    /// The folders of this instance.
    pub fn new(paths: &daemon::Paths) -> Self {
        let driver = paths.driver("network");
        let (state, pid, dnsmasq) = if paths.privileged {
            (driver.state.clone(), driver.state, paths.lib_dir.join("dnsmasq"))
        } else {
            let run = &paths.run_dir;
            (run.join("network/lib"), run.join("network/run"), run.join("dnsmasq/lib"))
        };
        Self {
            config: paths.config_dir.join("qemu/networks"),
            state,
            pid,
            dnsmasq,
            root: paths.root.clone(),
            privileged: paths.privileged,
        }
    }

    /// The folder of autostart links.
    pub fn autostart(&self) -> PathBuf {
        self.config.join("autostart")
    }

    /// Definition of a network.
    pub fn definition(&self, name: &str) -> PathBuf {
        self.config.join(format!("{name}.xml"))
    }

    /// Its autostart link.
    pub fn autostart_link(&self, name: &str) -> PathBuf {
        self.autostart().join(format!("{name}.xml"))
    }

    /// State file of an active network.
    pub fn status(&self, name: &str) -> PathBuf {
        self.state.join(format!("{name}.xml"))
    }

    /// The folder of its ports.
    pub fn ports(&self, name: &str) -> PathBuf {
        self.state.join(name).join("ports")
    }

    /// Pid of its dnsmasq.
    pub fn pid_file(&self, name: &str) -> PathBuf {
        self.pid.join(format!("{name}.pid"))
    }

    /// dnsmasq's configuration.
    pub fn dnsmasq_conf(&self, name: &str) -> PathBuf {
        self.dnsmasq.join(format!("{name}.conf"))
    }

    /// Static DHCP hosts.
    pub fn hosts_file(&self, name: &str) -> PathBuf {
        self.dnsmasq.join(format!("{name}.hostsfile"))
    }

    /// DNS hosts.
    pub fn addn_hosts(&self, name: &str) -> PathBuf {
        self.dnsmasq.join(format!("{name}.addnhosts"))
    }

    /// Leases of a bridge.
    pub fn leases(&self, bridge: &str) -> PathBuf {
        self.dnsmasq.join(format!("{bridge}.status"))
    }

    /// Which domain has which addresses on a bridge; the name service module reads it.
    pub fn macs(&self, bridge: &str) -> PathBuf {
        self.dnsmasq.join(format!("{bridge}.macs"))
    }
}
