"""Daemons die while a guest runs and prints: guest, log, lock and state live on."""
import os
import re
import signal
import struct
import fcntl
import time

import pytest

import suite as harness

F_OFD_GETLK = 36


def lock_holder(path):
    """What F_OFD_GETLK on byte 0 says from outside: the lock's type, F_UNLCK when there is none."""
    with open(path, "rb+") as file:
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        return struct.unpack("hhqqi4x", fcntl.fcntl(file, F_OFD_GETLK, asked))[0]


# Not at the start of a line only: the guest's shell may have printed its prompt in front.
TICK = re.compile(r"tick (\d+) ([0-9.]+)\r?$", re.M)


def ticks(text):
    return [int(number) for number, _ in TICK.findall(text)]


def uptimes(text):
    return [float(seconds) for _, seconds in TICK.findall(text)]


def read(path):
    with open(path, errors="replace") as file:
        return file.read()


def test_each_daemon_may_die(suite, network, disk):
    log = suite.path("var/log/libvirt/qemu/ticker-console.log")
    xml = suite.write("ticker.xml", suite.guest_xml("ticker", words="dhcp tick", disk=disk, network=network, log=log))
    suite.virsh("define", xml)
    suite.virsh("start", "ticker")
    try:
        domain_id = suite.virsh("domid", "ticker").stdout.strip()
        pid = int(read(suite.path("run/libvirt/qemu/ticker.pid")))
        harness.wait_until(lambda: len(ticks(read(log))) > 5, 120, "the first ticks in the log file")
        assert lock_holder(disk) == fcntl.F_WRLCK
        for daemon in ("virtqemud", "virtnetworkd", "virtstoraged", "virtlogd", "virtlockd", "virtproxyd"):
            if suite.pid(daemon) is None:  # idle ones are started first
                suite.virsh("net-list") if daemon == "virtnetworkd" else suite.virsh("pool-list")
            before = len(ticks(read(log)))
            starts = suite.starts(daemon)
            suite.kill(daemon)
            assert lock_holder(disk) == fcntl.F_WRLCK, f"the disk is not locked while {daemon} is dead"
            assert os.path.exists(f"/proc/{pid}"), f"the guest died with {daemon}"
            if daemon in ("virtlogd", "virtlockd"):
                # Nothing calls these by itself: a connection brings them back, as the next guest start would.
                import socket
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(suite.path("run/libvirt", f"{daemon}-sock"))
                harness.wait_until(lambda: suite.starts(daemon) > starts, 10, f"the new {daemon}")
            listed = suite.virsh("list").stdout
            assert re.search(rf"^ {domain_id}\s+ticker\s+running", listed, re.M), listed
            if daemon == "virtnetworkd":
                assert re.search(r"default\s+active", suite.virsh("net-list").stdout)
            if daemon == "virtstoraged":
                suite.virsh("pool-list")
            if daemon != "virtlogd" and daemon != "virtlockd":
                assert suite.starts(daemon) == starts + 1
            assert int(read(suite.path("run/libvirt/qemu/ticker.pid"))) == pid
            harness.wait_until(lambda: len(ticks(read(log))) > before + 10, 60, f"ticks after the death of {daemon}")
            assert lock_holder(disk) == fcntl.F_WRLCK
        seen = ticks(read(log))
        assert seen == list(range(len(seen))), "a line of the console log is missing or doubled"
        times = uptimes(read(log))
        assert times == sorted(times), "the guest was restarted"
    finally:
        suite.virsh("destroy", "ticker")
        suite.virsh("undefine", "ticker")
    assert lock_holder(disk) == fcntl.F_UNLCK


def test_a_disk_in_use_is_refused_before_qemu_runs(suite, disk):
    first = suite.write("first.xml", suite.guest_xml("first", disk=disk))
    second = suite.write("second.xml", suite.guest_xml("second", disk=disk))
    suite.virsh("define", first)
    suite.virsh("define", second)
    try:
        suite.virsh("start", "first")
        log = suite.path("var/log/libvirt/qemu/second.log")
        refused = suite.virsh("start", "second", check=False)
        assert refused.returncode == 1
        assert f"Lockspace resource '{disk}' is locked" in refused.stderr, refused.stderr
        # QEMU was not executed: it would have spoken of its own image lock.
        assert not os.path.exists(log) or "Failed to get" not in read(log)
        assert suite.virsh("domstate", "second").stdout.strip() == "shut off"
        assert not [pid for pid in suite.processes() if "guest=second" in harness.command_line(pid)]
        assert not os.path.exists(suite.path("run/libvirt/qemu/second.xml"))
        assert not os.path.exists(suite.path("run/libvirt/qemu/second.pid"))
        suite.virsh("destroy", "first")
        suite.virsh("start", "second")
        assert lock_holder(disk) == fcntl.F_WRLCK
        suite.virsh("destroy", "second")
        assert lock_holder(disk) == fcntl.F_UNLCK
    finally:
        for name in ("first", "second"):
            suite.virsh("destroy", name, check=False)
            suite.virsh("undefine", name)


def test_the_error_code_is_resource_busy(suite, disk):
    import libvirt
    conn = libvirt.open(suite.uri())
    one = conn.createXML(suite.guest_xml("one", disk=disk))
    try:
        with pytest.raises(libvirt.libvirtError) as caught:
            conn.createXML(suite.guest_xml("two", disk=disk))
        assert caught.value.get_error_code() == libvirt.VIR_ERR_RESOURCE_BUSY
    finally:
        one.destroy()
        conn.close()
