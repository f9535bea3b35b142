"""virtlockd and virtlogd killed again and again, at any instant, with locks held and guests that print at full speed."""
import os
import random

import pytest

from machine import wait_until
from owner_process import OWNER, Owner, looks
from test_store import is_free, stored

FLOOD = os.path.join(os.path.dirname(OWNER), "flood.py")
KILLS = 50
LOCKS = 8
LOGS = 4
# What the store holds for a daemon that keeps nothing: two copies of its record.
IDLE = 2


class Flood(Owner):
    """A process inside that prints into a log."""

    def __init__(self, machine, path):
        self.process = machine.start("/usr/bin/python3", FLOOD, path)
        line = self.process.stdout.readline()
        assert line == "ready\n", line + self.process.stderr.read()


@pytest.fixture
def one_file(machine):
    """Logs that never rotate, so that every line can be counted."""
    machine.run("sh", "-c", "cp /etc/libvirt/virtlogd.conf /run/virtlogd.conf.saved 2>/dev/null; "
                            "mkdir -p /etc/libvirt && echo 'max_size = 0' >/etc/libvirt/virtlogd.conf")
    yield
    machine.run("sh", "-c", "mv /run/virtlogd.conf.saved /etc/libvirt/virtlogd.conf || rm /etc/libvirt/virtlogd.conf")


def disks(machine):
    names = [f"/tmp/soak-{number}.img" for number in range(LOCKS)]
    machine.run("truncate", "-s", "1M", *names)
    return names


def end_somehow(machine, daemon, chance):
    """Mostly SIGKILL; now and then what an administrator does, or a damaged record with it."""
    what = chance.choice(["kill"] * 6 + ["restart", "reload", "stop", "torn", "gone"])
    record = f"/run/libvirt/{daemon}-state.json"
    if what == "torn":
        machine.run("sh", "-c", f"head -c 100 {record} >{record}.cut && mv {record}.cut {record}")
    elif what == "gone":
        machine.run("rm", record)
    if what in ("restart", "reload"):
        machine.run("systemctl", what, f"{daemon}.service")
    elif what == "stop" and preserves(machine):
        machine.run("systemctl", "stop", f"{daemon}.service")
        machine.run("systemctl", "start", f"{daemon}.service")
    else:
        machine.kill(daemon)


def preserves(machine):
    """Whether this systemd keeps the store over a full stop (254 and newer)."""
    version = machine.run("systemctl", "--version").stdout.split()[1]
    return int(version.split(".")[0].split("~")[0]) >= 254


def test_locks_survive_fifty_deaths(machine):
    chance = random.Random(1)
    names = disks(machine)
    owners = [Owner(machine, "lock", name) for name in names]
    watcher = Owner(machine, "watch", names[0])
    try:
        for count in range(KILLS):
            end_somehow(machine, "virtlockd", chance)
            name = names[count % LOCKS]
            second = machine.run("/usr/bin/python3", OWNER, "lock", name, check=False, stdin="")
            assert second.returncode != 0 and "is locked" in second.stderr, second.stderr
        held, free = looks(watcher)
        assert held > 100 and free == 0
        assert stored(machine, "virtlockd") == LOCKS + IDLE
        assert all(owner.process.poll() is None for owner in owners), "no owner may be harmed"
        # Half of them end while nobody watches.
        machine.run("systemctl", "kill", "-s", "STOP", "virtlockd.service")
        for owner in owners[::2]:
            owner.finish()
        machine.kill("virtlockd")
        for number, name in enumerate(names):
            wait_until(lambda: is_free(machine, name) == (number % 2 == 0), 20, f"the right state of {name}")
        for owner in owners[1::2]:
            owner.finish()
        wait_until(lambda: stored(machine, "virtlockd") == IDLE, 20, "an empty store")
    finally:
        for owner in [*owners, watcher]:
            owner.__exit__()


def test_no_byte_is_lost_in_fifty_deaths(machine, one_file):
    chance = random.Random(2)
    logs = [f"/var/log/libvirt/soak-{number}.log" for number in range(LOGS)]
    floods = [Flood(machine, log) for log in logs]
    try:
        for _ in range(KILLS):
            end_somehow(machine, "virtlogd", chance)
            assert all(flood.process.poll() is None for flood in floods), "a guest lost its pipe"
        assert stored(machine, "virtlogd") == LOGS + IDLE
        counts = [int(flood.finish()) for flood in floods]
    finally:
        for flood in floods:
            flood.__exit__()
    wait_until(lambda: stored(machine, "virtlogd") == IDLE, 60, "the end of every log")
    for log, count in zip(logs, counts):
        assert count > 1000
        # Compared inside: these are large.
        wanted = f"BEGIN {{ for (n = 0; n < {count}; n++) {{ s = sprintf(\"%*s\", n % 61, \"\"); gsub(/ /, \"x\", s); " \
                 "print \"line \" n \" \" s } }"
        machine.run("sh", "-c", f"awk '{wanted}' | cmp - {log}", timeout=120)
        machine.run("rm", log)
