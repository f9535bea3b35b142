"""A guest runs and prints while every daemon is restarted and killed under systemd."""
import os
import re
import sys

import pytest

from machine import DAEMONS, PROJECT, wait_until
from owner_process import Owner, looks

sys.path.insert(0, os.path.join(PROJECT, "tests/harness"))
import suite as harness

PROJECT_INSIDE = "/run/oxvirt/project"
LOG = "/var/log/libvirt/qemu/ticker-console.log"
DISK = "/var/lib/libvirt/images/ticker.qcow2"
NETWORK = """<network><name>default</name><forward mode='nat'/><bridge name='virbr0' stp='on' delay='0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'><dhcp><range start='192.168.122.2' end='192.168.122.9'/></dhcp></ip>
</network>"""


class Places:
    """Stands in for the suite of the black-box tests where only paths of the guest's files are asked for."""

    @staticmethod
    def path(name):
        return "/var/lib/libvirt/boot/" + os.path.basename(name)


def ticks(machine):
    return [int(number) for number in re.findall(r"tick (\d+) [0-9.]+", machine.read(LOG))]


@pytest.fixture(scope="module")
def host(booted):
    """The machine with folders, accounts, settings, network and files for a guest."""
    try:
        files = harness.guest_files()
    except Exception as error:
        pytest.skip(f"needs the tiny guest: {error}")
    declared = f"{PROJECT_INSIDE}/systemd"
    booted.run("systemd-sysusers", f"{declared}/oxvirt.sysusers")
    booted.run("systemd-tmpfiles", "--create", f"{declared}/oxvirt.tmpfiles")
    for file in ("vmlinuz", "initrd.gz"):
        booted.put(os.path.join(files, file), f"/var/lib/libvirt/boot/{file}")
    booted.write("/etc/libvirt/qemu.conf", 'user = "libvirt-qemu"\ngroup = "kvm"\nlock_manager = "lockd"\n')
    # It may have started without these settings.
    booted.run("systemctl", "stop", "virtqemud.service")
    booted.virsh("net-define", booted.write("/tmp/default.xml", NETWORK))
    booted.virsh("net-start", "default")
    yield booted
    booted.virsh("net-destroy", "default")
    booted.virsh("net-undefine", "default")


@pytest.fixture(scope="module")
def guest(host):
    """Process id of a running guest that ticks into its console log."""
    host.run("qemu-img", "create", "-q", "-f", "qcow2", DISK, "64M")
    xml = harness.Suite.guest_xml(Places, "ticker", words="dhcp tick", disk=DISK, network="default", log=LOG)
    host.virsh("define", host.write("/tmp/ticker.xml", xml))
    host.virsh("start", "ticker")
    try:
        wait_until(lambda: len(ticks(host)) > 5, 120, "the first ticks in the log file")
        yield host.read("/run/libvirt/qemu/ticker.pid")
    finally:
        host.virsh("destroy", "ticker", check=False)
        host.virsh("undefine", "ticker", check=False)
        host.run("rm", "-f", DISK)


def awaken(machine):
    """Brings every daemon up, each by its own socket."""
    machine.virsh("list", uri="qemu:///system?socket=/run/libvirt/libvirt-sock")
    machine.virsh("net-list", uri="network:///system")
    machine.virsh("pool-list", uri="storage:///system")
    assert machine.active() == set(DAEMONS)


@pytest.mark.parametrize("end", ["restart", "kill"])
@pytest.mark.parametrize("daemon", DAEMONS)
def test_the_guest_goes_on(host, guest, daemon, end):
    awaken(host)
    number = host.virsh("domid", "ticker")
    before = ticks(host)
    with Owner(host, "watch", DISK) as watcher:
        if end == "kill":
            host.kill(daemon)
        else:
            host.run("systemctl", "restart", f"{daemon}.service")
        assert host.virsh("domstate", "ticker") == "running"
        assert host.virsh("domid", "ticker") == number
        wait_until(lambda: len(ticks(host)) > len(before) + 10, 60, f"ticks after the {end} of {daemon}")
        held, free = looks(watcher)
    assert held > 0 and free == 0, "the disk was not locked throughout"
    assert host.read("/run/libvirt/qemu/ticker.pid") == guest
    assert host.run("kill", "-0", guest).returncode == 0
    seen = ticks(host)
    assert seen == list(range(len(seen))), "a line of the console log is missing or doubled"


def test_the_guest_was_never_restarted(host, guest):
    times = [float(number) for number in re.findall(r"tick \d+ ([0-9.]+)", host.read(LOG))]
    assert times == sorted(times)
    assert "ipv4" in host.virsh("net-dhcp-leases", "default")


def test_the_lock_goes_with_the_guest(host, guest):
    host.virsh("destroy", "ticker")
    with Owner(host, "watch", DISK) as watcher:
        assert looks(watcher)[0] == 0
