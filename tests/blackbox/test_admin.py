"""virt-admin, unmodified, on every daemon."""
import re
import subprocess

import libvirt
import pytest

import suite as harness


def admin(suite, daemon, *args):
    socket = suite.path("run/libvirt", "libvirt-admin-sock" if daemon == "virtproxyd" else f"{daemon}-admin-sock")
    done = subprocess.run(["virt-admin", "-c", f"{daemon}:///system?socket={socket}", *args], capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL)
    return done


@pytest.mark.parametrize("daemon", harness.DAEMONS)
def test_servers_and_figures(suite, daemon):
    listed = admin(suite, daemon, "server-list")
    assert listed.returncode == 0, listed.stderr
    assert re.search(rf"\b{daemon}$", listed.stdout, re.M) and re.search(r"\badmin$", listed.stdout, re.M)
    pool = admin(suite, daemon, "srv-threadpool-info", daemon).stdout
    assert [line.split(":")[0].strip() for line in pool.split("\n") if ":" in line] == \
        ["minWorkers", "maxWorkers", "nWorkers", "freeWorkers", "prioWorkers", "jobQueueDepth"]
    assert admin(suite, daemon, "srv-threadpool-info", "nosuch").stderr == "error: Server not found: No server named 'nosuch'\n"
    assert "nclients_max" in admin(suite, daemon, "srv-clients-info", daemon).stdout
    assert "Running against daemon: 11.3.0" in admin(suite, daemon, "version").stdout


def test_limits_and_figures_can_be_set(suite):
    daemon = "virtnetworkd"
    assert admin(suite, daemon, "srv-clients-set", daemon, "--max-clients", "100", "--max-unauth-clients", "30").returncode == 0
    assert re.search(r"nclients_max\s*: 100\n", admin(suite, daemon, "srv-clients-info", daemon).stdout)
    refused = admin(suite, daemon, "srv-threadpool-set", daemon, "--min-workers", "30")
    assert refused.returncode == 1 and "minWorkers cannot be larger than maxWorkers" in refused.stderr
    assert admin(suite, daemon, "srv-threadpool-set", daemon, "--min-workers", "6", "--max-workers", "30").returncode == 0
    assert re.search(r"minWorkers\s*: 6\n", admin(suite, daemon, "srv-threadpool-info", daemon).stdout)
    assert "no tls service found" in admin(suite, daemon, "srv-update-tls", daemon).stderr
    assert admin(suite, daemon, "daemon-timeout", "1000").returncode == 0


def test_clients_are_listed_described_and_disconnected(suite):
    conn = libvirt.open(suite.uri("virtstoraged-sock", "storage"))
    listed = admin(suite, "virtstoraged", "srv-clients-list", "virtstoraged").stdout
    number = re.search(r"^ (\d+)\s+unix\s+20", listed, re.M).group(1)
    info = admin(suite, "virtstoraged", "client-info", "virtstoraged", number).stdout
    assert re.search(r"readonly\s*: no\n", info) and re.search(r"unix_user_id\s*: 0\n", info) and re.search(r"unix_process_id\s*: \d+\n", info)
    assert admin(suite, "virtstoraged", "client-disconnect", "virtstoraged", number).returncode == 0
    with pytest.raises(libvirt.libvirtError):
        conn.numOfStoragePools()
    assert admin(suite, "virtstoraged", "client-info", "virtstoraged", "999").stderr == "error: Client not found: No client with matching ID '999'\n"


def test_logging_can_be_changed(suite):
    daemon = "virtproxyd"
    assert admin(suite, daemon, "daemon-log-filters", "1:rpc").returncode == 0
    assert "1:*rpc*" in admin(suite, daemon, "daemon-log-filters").stdout
    refused = admin(suite, daemon, "daemon-log-filters", "9:qemu")
    assert refused.returncode == 1 and "invalid argument: Invalid priority '9' for filter '9:qemu'" in refused.stderr
    refused = admin(suite, daemon, "daemon-log-outputs", "1:nosuch:x")
    assert refused.returncode == 1 and "invalid argument: Invalid log destination 'nosuch' for log output '1:nosuch:x'" in refused.stderr
    assert ":stderr" in admin(suite, daemon, "daemon-log-outputs").stdout
    assert admin(suite, daemon, "daemon-log-filters", "").returncode == 0
