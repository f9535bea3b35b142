"""A guest's first life: define, start, console, lease, pause, reboot, shut down, undefine."""
import os
import re
import threading
import time

import libvirt
import pytest

import suite as harness

libvirt.registerErrorHandler(lambda *_: None, None)


@pytest.fixture
def guest(suite, network, disk):
    xml = suite.write("g1.xml", suite.guest_xml("g1", words="dhcp", disk=disk, network=network))
    suite.virsh("define", xml)
    yield "g1"
    if "running" in suite.virsh("domstate", "g1", check=False).stdout or "paused" in suite.virsh("domstate", "g1", check=False).stdout:
        suite.virsh("destroy", "g1")
    suite.virsh("undefine", "g1")


def test_the_list_is_empty_and_the_versions_are_libvirts(suite):
    for uri in (suite.proxy_uri, suite.uri()):
        assert suite.virsh("list", "--all", "--name", uri=uri).stdout.strip() == ""
        version = suite.virsh("version", uri=uri).stdout
        assert "Using API: QEMU 11.3.0" in version and "Running hypervisor: QEMU" in version
    assert suite.virsh("uri").stdout.startswith("qemu:///system")
    assert suite.virsh("hostname").stdout.strip() == os.uname().nodename or suite.virsh("hostname").stdout.strip()
    nodeinfo = suite.virsh("nodeinfo").stdout
    assert re.search(r"CPU\(s\):\s+%d\b" % os.cpu_count(), nodeinfo)


def test_a_guest_boots_and_has_a_console_and_a_lease(suite, guest):
    suite.virsh("start", guest)
    assert re.search(r"\bg1\s+running", suite.virsh("list").stdout)
    console = suite.console(guest)
    lease = console.expect(rb"lease: eth0 has ([0-9.]+)", 90).group(1).decode()
    console.send("\r")
    console.expect(rb"tiny# ", 60)
    console.send("echo answer $((6 * 7))\r")
    console.expect(rb"answer 42", 30)
    assert console.close() == 0
    assert lease in suite.virsh("domifaddr", guest).stdout
    assert lease in suite.virsh("domifaddr", guest, uri=suite.uri()).stdout
    assert lease in suite.virsh("net-dhcp-leases", "default").stdout
    assert "vda" in suite.virsh("domblklist", guest).stdout
    assert re.search(r"vnet\d+\s+network\s+default\s+virtio", suite.virsh("domiflist", guest).stdout)
    suite.virsh("suspend", guest)
    assert suite.virsh("domstate", guest, "--reason").stdout.strip() == "paused (user)"
    suite.virsh("resume", guest)
    assert suite.virsh("domstate", guest).stdout.strip() == "running"
    live = suite.virsh("dumpxml", guest).stdout
    assert "<alias name='virtio-disk0'/>" in live and "id='" in live
    inactive = suite.virsh("dumpxml", guest, "--inactive").stdout
    assert "<alias name='virtio-disk0'/>" not in inactive
    suite.virsh("shutdown", guest, "--mode", "acpi")
    harness.wait_until(lambda: suite.virsh("domstate", guest).stdout.strip() == "shut off", 60, "the shutdown")
    assert suite.virsh("domstate", guest, "--reason").stdout.strip() == "shut off (shutdown)"


def test_reset_and_reboot_keep_the_guest(suite, guest):
    suite.virsh("start", guest)
    domain_id = suite.virsh("domid", guest).stdout.strip()
    console = suite.console(guest)
    console.expect(rb"guest is up", 90)
    suite.virsh("reset", guest)
    console.expect(rb"guest is up", 90)
    console.close()
    assert suite.virsh("domid", guest).stdout.strip() == domain_id
    suite.virsh("destroy", guest)
    assert suite.virsh("domstate", guest, "--reason").stdout.strip() == "shut off (destroyed)"


def test_definitions_last_and_broken_ones_are_refused(suite):
    uuid = "c7a5fdbd-edaf-9455-926a-d65c16db1809"
    xml = suite.write("g2.xml", suite.guest_xml("g2", uuid=uuid))
    suite.virsh("define", xml)
    assert suite.virsh("domuuid", "g2").stdout.strip() == uuid
    suite.virsh("autostart", "g2")
    assert os.path.islink(suite.path("etc/libvirt/qemu/autostart/g2.xml"))
    suite.virsh("autostart", "g2", "--disable")
    before = suite.virsh("dumpxml", "g2").stdout
    again = suite.write("again.xml", before)
    suite.virsh("define", again)
    assert suite.virsh("dumpxml", "g2").stdout == before
    broken = suite.write("broken.xml", "<domain type='qemu'><name>x</name>")
    done = suite.virsh("define", broken, check=False)
    assert done.returncode == 1 and "Failed to define domain" in done.stderr
    done = suite.virsh("define", suite.write("other.xml", suite.guest_xml("g3", uuid=uuid)), check=False)
    assert "domain 'g2' already exists with uuid" in done.stderr or "already defined" in done.stderr
    assert "Domain not found: no domain with matching name 'nosuch'" in suite.virsh("dominfo", "nosuch", check=False).stderr \
        or "failed to get domain 'nosuch'" in suite.virsh("dominfo", "nosuch", check=False).stderr
    suite.kill("virtqemud")
    assert suite.virsh("dumpxml", "g2").stdout == before
    suite.virsh("undefine", "g2")
    assert not os.path.exists(suite.path("etc/libvirt/qemu/g2.xml"))


def test_transient_guests_vanish(suite):
    xml = suite.write("t.xml", suite.guest_xml("t1"))
    suite.virsh("create", xml)
    assert "no" in re.search(r"Persistent:\s+(\w+)", suite.virsh("dominfo", "t1").stdout).group(1)
    suite.virsh("destroy", "t1")
    assert "t1" not in suite.virsh("list", "--all", "--name").stdout


def test_events_arrive_in_order(suite):
    libvirt.virEventRegisterDefaultImpl()
    stop = threading.Event()

    def loop():
        while not stop.is_set():
            libvirt.virEventRunDefaultImpl()

    timer = libvirt.virEventAddTimeout(100, lambda *_: None, None)
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        for uri in (suite.uri(), suite.proxy_uri):
            conn = libvirt.open(uri)
            seen = []
            arrived = threading.Condition()

            def event(_conn, domain, kind, detail, _opaque):
                with arrived:
                    seen.append((domain.name(), kind, detail))
                    arrived.notify_all()

            handle = conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, event, None)
            domain = conn.defineXML(suite.guest_xml("ev"))
            domain.create()
            domain.suspend()
            domain.resume()
            domain.destroy()
            domain.undefine()
            want = [(libvirt.VIR_DOMAIN_EVENT_DEFINED, libvirt.VIR_DOMAIN_EVENT_DEFINED_ADDED),
                    (libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_RESUMED_UNPAUSED),
                    (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_BOOTED),
                    (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_PAUSED),
                    (libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_RESUMED_UNPAUSED),
                    (libvirt.VIR_DOMAIN_EVENT_SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_HOST),
                    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED),
                    (libvirt.VIR_DOMAIN_EVENT_UNDEFINED, libvirt.VIR_DOMAIN_EVENT_UNDEFINED_REMOVED)]
            deadline = time.monotonic() + 10
            with arrived:
                while len(seen) < len(want) and time.monotonic() < deadline:
                    arrived.wait(0.5)
                assert seen == [("ev", *pair) for pair in want]
            conn.domainEventDeregisterAny(handle)
            conn.close()
    finally:
        stop.set()
        thread.join(5)
        libvirt.virEventRemoveTimeout(timer)
