"""What the daemons do for a living works inside the walls of their units, and outlives them."""
import pytest

NETWORK = """<network><name>walls</name><forward mode='nat'/><bridge name='virbr7' stp='on' delay='0'/>
  <ip address='192.168.77.1' netmask='255.255.255.0'><dhcp><range start='192.168.77.2' end='192.168.77.254'/></dhcp></ip>
</network>"""


def network(machine, *words):
    return machine.virsh(*words, uri="network:///system")


def storage(machine, *words):
    return machine.virsh(*words, uri="storage:///system")


def dnsmasq(machine):
    """Process ids of the network's DHCP server, the parent first."""
    return machine.run("pgrep", "-f", "dnsmasq.*walls", check=False).stdout.split()


@pytest.fixture
def walls(machine):
    network(machine, "net-define", machine.write("/tmp/walls.xml", NETWORK))
    network(machine, "net-start", "walls")
    yield "walls"
    network(machine, "net-destroy", "walls")
    network(machine, "net-undefine", "walls")


def test_a_network_starts_and_outlives_its_daemon(machine, walls):
    machine.run("ip", "link", "show", "virbr7")
    assert "192.168.77.1/24" in machine.run("ip", "addr", "show", "virbr7").stdout
    assert "192.168.77.0/24" in machine.run("nft", "list", "ruleset").stdout
    servers = dnsmasq(machine)
    assert servers
    machine.run("systemctl", "restart", "virtnetworkd.service")
    assert dnsmasq(machine) == servers
    machine.kill("virtnetworkd")
    assert dnsmasq(machine) == servers
    assert "yes" in [line.split()[1] for line in network(machine, "net-info", "walls").splitlines() if "Active" in line]
    machine.run("systemctl", "stop", "virtnetworkd.service")
    assert dnsmasq(machine) == servers, "networks stay when the daemon goes"


def test_a_network_goes_without_a_trace(machine):
    network(machine, "net-create", machine.write("/tmp/walls.xml", NETWORK))
    network(machine, "net-destroy", "walls")
    assert machine.run("ip", "link", "show", "virbr7", check=False).returncode != 0
    assert dnsmasq(machine) == []


@pytest.mark.parametrize("folder", ["/var/lib/libvirt/images", "/srv/pool", "/home/somebody/pool", "/tmp/pool"])
def test_pools_are_anywhere(machine, folder):
    machine.run("mkdir", "-p", folder.rsplit("/", 1)[0])
    storage(machine, "pool-define-as", "walls", "dir", "--target", folder)
    storage(machine, "pool-build", "walls")
    storage(machine, "pool-start", "walls")
    for kind in ("raw", "qcow2"):
        storage(machine, "vol-create-as", "walls", f"disk.{kind}", "8M", "--format", kind)
    # Other tests may have left images in the folder that all of them share.
    listed = {line.split()[0] for line in storage(machine, "vol-list", "walls").splitlines()}
    assert {"disk.raw", "disk.qcow2"} <= listed
    assert machine.run("stat", "-c", "%U", f"{folder}/disk.raw").stdout.strip() == "root"
    for kind in ("raw", "qcow2"):
        storage(machine, "vol-delete", f"disk.{kind}", "--pool", "walls")
    storage(machine, "pool-destroy", "walls")
    storage(machine, "pool-undefine", "walls")


def test_units_folders_and_accounts_are_as_declared(machine):
    project = "/run/oxvirt/project/systemd"
    done = machine.run("systemd-sysusers", "--dry-run", f"{project}/oxvirt.sysusers", check=False)
    assert done.returncode == 0, done.stderr
    machine.run("sh", "-c", f"systemd-sysusers {project}/oxvirt.sysusers && systemd-tmpfiles --create {project}/oxvirt.tmpfiles")
    assert machine.run("stat", "-c", "%a %U", "/var/lib/libvirt/qemu").stdout.split() == ["750", "libvirt-qemu"]
    assert "kvm" in machine.run("id", "-nG", "libvirt-qemu").stdout.split()
