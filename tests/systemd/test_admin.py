"""virt-admin against running daemons."""
import re

import pytest

from machine import DAEMONS, wait_until


def admin(machine, daemon, *words, check=True):
    name = "libvirtd" if daemon == "virtproxyd" else daemon
    done = machine.run("virt-admin", "-q", "-c", f"{name}:///system", *words, check=check)
    return (done.stdout + done.stderr).strip()


@pytest.mark.parametrize("daemon", DAEMONS)
def test_servers_clients_and_version(machine, daemon):
    servers = [line.split()[1] for line in admin(machine, daemon, "srv-list").splitlines()]
    assert servers == [daemon, "admin"]
    assert "Running against daemon: 11.3.0" in admin(machine, daemon, "version")
    clients = admin(machine, daemon, "srv-clients-list", "admin").splitlines()
    assert len(clients) == 1 and re.match(r"\s*\d+\s+unix\s+20", clients[0])


def test_what_is_not_there_is_named(machine):
    assert "Server not found: No server named 'nope'" in admin(machine, "virtlogd", "srv-threadpool-info", "nope", check=False)
    assert "Client not found: No client with matching ID '99'" in admin(
        machine, "virtlogd", "client-info", "admin", "99", check=False)
    assert "no tls service found" in admin(machine, "virtlogd", "server-update-tls", "virtlogd", check=False)


def test_limits_are_shown_changed_and_checked(machine):
    shown = dict(re.findall(r"(\w+)\s*: (\d+)", admin(machine, "virtstoraged", "srv-clients-info", "virtstoraged")))
    assert shown == {"nclients_max": "5000", "nclients": "0", "nclients_unauth_max": "20", "nclients_unauth": "0"}
    admin(machine, "virtstoraged", "srv-clients-set", "virtstoraged", "--max-clients", "100")
    assert "nclients_max        : 100" in admin(machine, "virtstoraged", "srv-clients-info", "virtstoraged")
    refused = admin(machine, "virtstoraged", "srv-clients-set", "virtstoraged", "--max-clients", "3", check=False)
    assert "must not be less than the number of clients waiting for authentication" in refused
    pool = admin(machine, "virtstoraged", "srv-threadpool-info", "virtstoraged")
    assert "maxWorkers     : 20" in pool
    admin(machine, "virtstoraged", "srv-threadpool-set", "virtstoraged", "--max-workers", "30")
    assert "maxWorkers     : 30" in admin(machine, "virtstoraged", "srv-threadpool-info", "virtstoraged")


def test_a_client_is_looked_at_and_thrown_out(machine):
    client = machine.start("virsh", "-c", "storage:///system")
    client.stdin.write("uri\n")
    client.stdin.flush()
    try:
        listed = wait_until(lambda: admin(machine, "virtstoraged", "srv-clients-list", "virtstoraged"), 20, "the client")
        number = listed.split()[0]
        info = admin(machine, "virtstoraged", "client-info", "virtstoraged", number)
        assert re.search(r"unix_user_name\s*: root", info) and re.search(r"readonly\s*: no", info), info
        admin(machine, "virtstoraged", "client-disconnect", "virtstoraged", number)
        wait_until(lambda: not admin(machine, "virtstoraged", "srv-clients-list", "virtstoraged"), 20, "its end")
    finally:
        client.kill()
        client.communicate()


def test_logging_is_changed_while_it_runs(machine):
    admin(machine, "virtstoraged", "daemon-log-outputs", "--outputs", "1:file:/var/log/libvirt/changed.log")
    admin(machine, "virtstoraged", "daemon-log-filters", "--filters", "1:rpc 1:virtstoraged")
    assert "1:*rpc* 1:*virtstoraged*" in admin(machine, "virtstoraged", "daemon-log-filters")
    machine.virsh("pool-list", uri="storage:///system")
    log = machine.read("/var/log/libvirt/changed.log")
    assert "libvirt version: 11.3.0" in log and "debug : rpc" in log, log
    refused = admin(machine, "virtstoraged", "daemon-log-filters", "--filters", "z", check=False)
    assert "invalid argument: Malformed format for filter 'z'" in refused
    refused = admin(machine, "virtstoraged", "daemon-log-outputs", "--outputs", "1:pigeon", check=False)
    assert "invalid argument: Invalid log destination 'pigeon' for log output '1:pigeon'" in refused


def test_the_timeout_ends_an_idle_daemon(machine):
    admin(machine, "virtstoraged", "daemon-timeout", "--timeout", "1")
    wait_until(lambda: machine.main_pid("virtstoraged") == 0, 20, "the end of the daemon")
