"""The units under a real systemd: sockets without daemons, activation on demand, restart, crash."""
import pytest

from machine import DAEMONS, DRIVERS, Failure, wait_until

SOCKETS = [f"{name}{kind}.socket" for name in DRIVERS + ["virtproxyd"] for kind in ("", "-ro", "-admin")]
SOCKETS += [f"{name}{kind}.socket" for name in ("virtlockd", "virtlogd") for kind in ("", "-admin")]
LEGACY = "qemu:///system?socket=/run/libvirt/libvirt-sock"


def test_sockets_are_up_and_daemons_down(machine):
    for unit in SOCKETS:
        assert machine.show(unit, "ActiveState", "SubState") == {"ActiveState": "active", "SubState": "listening"}, unit
    assert machine.active() == set()


@pytest.mark.parametrize("unit,mode", [("virtqemud-sock", "666"), ("virtqemud-sock-ro", "666"), ("libvirt-sock", "666"),
                                       ("virtqemud-admin-sock", "600"), ("virtlogd-sock", "600"),
                                       ("virtlockd-sock", "600"), ("virtlockd-admin-sock", "600")])
def test_socket_modes(machine, unit, mode):
    assert machine.run("stat", "-c", "%a %U", f"/run/libvirt/{unit}").stdout.split() == [mode, "root"]


@pytest.mark.parametrize("words,uri,wanted", [
    (["list", "--all"], "qemu:///system", {"virtqemud"}),
    (["net-list", "--all"], "network:///system", {"virtnetworkd"}),
    (["pool-list", "--all"], "storage:///system", {"virtstoraged"}),
    (["net-list", "--all"], "qemu:///system", {"virtqemud", "virtnetworkd"}),
    (["pool-list", "--all"], "qemu:///system", {"virtqemud", "virtstoraged"}),
    (["list", "--all"], LEGACY, {"virtproxyd", "virtqemud"}),
    (["pool-list", "--all"], LEGACY, {"virtproxyd", "virtqemud", "virtstoraged"}),
])
def test_a_call_activates_exactly_the_daemons_it_needs(machine, words, uri, wanted):
    machine.virsh(*words, uri=uri)
    running = machine.active()
    # By the legacy socket a secondary call may go past virtqemud.
    assert running == wanted or (uri == LEGACY and running == wanted - {"virtqemud"} and words[0] != "list")


@pytest.mark.parametrize("daemon", DAEMONS)
def test_start_stop_restart(machine, daemon):
    unit = f"{daemon}.service"
    machine.run("systemctl", "start", unit)
    first = machine.main_pid(daemon)
    machine.run("systemctl", "restart", unit)
    second = machine.main_pid(daemon)
    assert first != 0 and second not in (0, first)
    assert machine.show(unit, "Result", "NRestarts") == {"Result": "success", "NRestarts": "0"}
    machine.run("systemctl", "reload", unit)
    if daemon in DRIVERS:
        scheme = {"virtqemud": "qemu", "virtnetworkd": "network", "virtstoraged": "storage"}[daemon]
        machine.virsh("uri", uri=f"{scheme}:///system")
    assert machine.main_pid(daemon) == second, "a reload keeps the process"
    machine.run("systemctl", "stop", unit)
    assert machine.show(unit, "ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_killed_daemon_comes_back(machine, daemon):
    machine.run("systemctl", "start", f"{daemon}.service")
    machine.kill(daemon)


@pytest.mark.parametrize("daemon", ["virtlockd", "virtlogd"])
def test_helpers_survive_any_number_of_crashes(machine, daemon):
    """The default limit of systemd would be reached with the sixth quick crash, and the store lost with it."""
    machine.run("systemctl", "start", f"{daemon}.service")
    for _ in range(8):
        machine.kill(daemon)


def test_an_idle_daemon_leaves_and_comes_back(machine):
    """The timeout of the units is two minutes; here it is one second."""
    machine.run("sh", "-c", "mkdir -p /etc/default && echo 'VIRTSTORAGED_ARGS=--timeout 1' >/etc/default/virtstoraged")
    try:
        machine.virsh("pool-list", uri="storage:///system")
        wait_until(lambda: machine.main_pid("virtstoraged") == 0, 20, "the end of an idle daemon")
        wait_until(lambda: machine.show("virtstoraged.service", "ActiveState")["ActiveState"] == "inactive", 20, "its exit")
        assert machine.show("virtstoraged.service", "Result")["Result"] == "success"
        machine.virsh("pool-list", uri="storage:///system")
    finally:
        machine.run("rm", "/etc/default/virtstoraged")


def test_a_daemon_that_cannot_serve_says_why(machine):
    machine.run("sh", "-c", "echo 'max_clients = \"many\"' >/etc/libvirt/virtstoraged.conf")
    try:
        with pytest.raises(Failure):
            machine.run("systemctl", "start", "virtstoraged.service")
        machine.run("systemctl", "stop", "virtstoraged.service")
        assert "expected an unsigned integer for 'max_clients' parameter" in machine.log("virtstoraged.service")
    finally:
        machine.run("rm", "/etc/libvirt/virtstoraged.conf")
        machine.run("systemctl", "reset-failed", check=False)
        machine.run("systemctl", "restart", "virtstoraged.socket", "virtstoraged-ro.socket", "virtstoraged-admin.socket")
