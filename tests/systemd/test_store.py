"""What the service manager keeps for virtlockd and virtlogd: nothing is lost when they are killed."""
import pytest

from machine import wait_until
from owner_process import OWNER, Owner, looks


def stored(machine, daemon):
    return int(machine.show(f"{daemon}.service", "NFileDescriptorStore")["NFileDescriptorStore"])


@pytest.fixture
def disk(machine):
    machine.run("sh", "-c", "truncate -s 1M /tmp/disk.img")
    return "/tmp/disk.img"


@pytest.mark.parametrize("end", ["kill", "restart"])
def test_a_lock_is_held_throughout(machine, disk, end):
    with Owner(machine, "lock", disk) as owner:
        assert stored(machine, "virtlockd") > 0
        with Owner(machine, "watch", disk) as watcher:
            for _ in range(3):
                if end == "kill":
                    machine.kill("virtlockd")
                else:
                    machine.run("systemctl", "restart", "virtlockd.service")
            held, free = looks(watcher)
        assert held > 100 and free == 0
        assert owner.process.poll() is None, "the owner must not be harmed by the daemon's death"
        owner.finish()
    wait_until(lambda: is_free(machine, disk), 20, "the release of the lock after its owner's end")


def test_a_second_owner_is_refused_after_a_crash(machine, disk):
    with Owner(machine, "lock", disk) as owner:
        machine.kill("virtlockd")
        second = machine.run("/usr/bin/python3", OWNER, "lock", disk, check=False, stdin="")
        assert second.returncode != 0 and "is locked" in second.stderr, second.stderr
        owner.finish()
    wait_until(lambda: is_free(machine, disk), 20, "the release of the lock")
    machine.run("/usr/bin/python3", OWNER, "lock", disk, stdin="")


@pytest.mark.parametrize("end", ["kill", "restart"])
def test_no_line_of_a_log_is_lost(machine, end):
    path = f"/var/log/libvirt/{end}.log"
    count = 4000
    with Owner(machine, "log", path, str(count)) as owner:
        assert stored(machine, "virtlogd") > 0
        for _ in range(3):
            if end == "kill":
                machine.kill("virtlogd")
            else:
                machine.run("systemctl", "restart", "virtlogd.service")
        assert owner.process.poll() is None, "the writer must still be at it: otherwise nothing was tested"
        assert owner.finish() == "written\n"
    wanted = "".join(f"line {number}\n" for number in range(count))
    wait_until(lambda: len(machine.run("cat", path).stdout) >= len(wanted), 20, "the last line of the log")
    assert machine.run("cat", path).stdout == wanted


def is_free(machine, path):
    with Owner(machine, "watch", path) as watcher:
        return looks(watcher)[0] == 0
