"""QEMU that hangs, lies or dies: its own guest's call fails with a clear error, all others go on."""
import os
import re
import time

import pytest

import suite as harness

FAKE = os.path.join(harness.PROJECT, "tests/fake/qemu.py")


@pytest.fixture(scope="module")
def healthy(suite):
    """A guest that must stay untouched by what happens to the others."""
    suite.virsh("define", suite.write("healthy.xml", suite.guest_xml("healthy")))
    suite.virsh("start", "healthy")
    yield "healthy"
    suite.virsh("destroy", "healthy")
    suite.virsh("undefine", "healthy")


def emulator(suite, kind):
    """A link named after the fault, where the guest's user can execute it."""
    os.makedirs(suite.path("fake"), exist_ok=True)
    os.chmod(suite.path("fake"), 0o777)
    program = suite.path("fake", "qemu.py")
    if not os.path.exists(program):
        with open(FAKE) as source, open(program, "w") as target:
            target.write(source.read())
        os.chmod(program, 0o755)
    link = suite.path("fake", f"qemu-{kind}")
    if not os.path.islink(link):
        os.symlink("qemu.py", link)
    return link


def guest(suite, kind):
    xml = suite.guest_xml(f"f-{kind}", devices=f"<emulator>{emulator(suite, kind)}</emulator>")
    suite.virsh("define", suite.write(f"f-{kind}.xml", xml))
    return f"f-{kind}"


def nothing_left(suite, name):
    assert not os.path.exists(suite.path("run/libvirt/qemu", f"{name}.xml"))
    assert not os.path.exists(suite.path("run/libvirt/qemu", f"{name}.pid"))
    harness.wait_until(lambda: not [pid for pid in suite.processes() if f"guest={name}" in harness.command_line(pid)], 5, "the end of QEMU")


@pytest.mark.parametrize("kind", ["at-once", "dies-1", "dies-2", "dies-3", "dies-4", "garbage", "wrong-id", "endless", "nested"])
def test_a_start_that_fails_says_why_and_leaves_nothing(suite, healthy, kind):
    name = guest(suite, kind)
    try:
        begin = time.monotonic()
        done = suite.virsh("start", name, check=False, timeout=60)
        if done.returncode == 0:  # it died after the start was complete
            assert kind.startswith("dies-")
            for _ in range(3):
                suite.virsh("suspend", name, check=False)
                suite.virsh("resume", name, check=False)
            harness.wait_until(lambda: suite.virsh("domstate", name).stdout.strip() == "shut off", 10, "the guest's end")
        else:
            assert "Failed to start domain" in done.stderr and len(done.stderr.splitlines()) >= 2, done.stderr
            assert time.monotonic() - begin < 40
            if kind in ("at-once", "dies-1"):
                assert "fake qemu:" in done.stderr, done.stderr
        assert suite.virsh("domstate", name).stdout.strip() == "shut off"
        nothing_left(suite, name)
        assert suite.virsh("domstate", healthy).stdout.strip() == "running"
    finally:
        suite.virsh("undefine", name)


@pytest.mark.parametrize("kind", ["silent", "mute"])
def test_a_monitor_that_says_nothing_blocks_nobody_else(suite, healthy, kind):
    import subprocess
    name = guest(suite, kind)
    starting = subprocess.Popen(["virsh", "-c", suite.uri(), "start", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(20):
            begin = time.monotonic()
            suite.virsh("dominfo", healthy, uri=suite.uri())
            suite.virsh("list", "--all", uri=suite.uri())
            assert time.monotonic() - begin < 2
        # The way to kill does not wait for the start that hangs.
        harness.wait_until(lambda: [pid for pid in suite.processes() if f"guest={name}" in harness.command_line(pid)], 10, "QEMU")
        suite.virsh("destroy", name, uri=suite.uri(), check=False, timeout=30)
        _, errors = starting.communicate(timeout=60)
        assert starting.returncode == 1 and "Failed to start domain" in errors
        nothing_left(suite, name)
    finally:
        if starting.poll() is None:
            starting.kill()
        suite.virsh("undefine", name, check=False)


def test_a_guest_that_ignores_sigterm_can_be_destroyed(suite, healthy):
    name = guest(suite, "stubborn")
    suite.virsh("start", name)
    begin = time.monotonic()
    suite.virsh("destroy", name, timeout=60)
    assert time.monotonic() - begin < 40
    nothing_left(suite, name)
    suite.virsh("undefine", name)


def test_a_flood_of_events_hurts_only_its_guest(suite, healthy):
    name = guest(suite, "flood")
    suite.virsh("start", name)
    try:
        pid = suite.pid("virtqemud")
        def resident():
            with open(f"/proc/{pid}/status") as file:
                return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))
        before = resident()
        for _ in range(10):
            begin = time.monotonic()
            suite.virsh("dominfo", healthy, uri=suite.uri())
            assert time.monotonic() - begin < 2
        assert resident() - before < 64 * 1024
        assert suite.pid("virtqemud") == pid
    finally:
        suite.virsh("destroy", name)
        suite.virsh("undefine", name)
