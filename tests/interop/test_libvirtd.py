"""One daemon at a time: libvirt's own libvirtd, unchanged, with our virtlockd and virtlogd beside it."""
import os
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.abspath(os.environ.get("OXVIRT_BIN", os.path.join(HERE, "../../target/debug")))


def missing():
    """What this host lacks; empty when the test can run."""
    lacks = [] if os.geteuid() == 0 else ["root"]
    lacks += [path for path in ("/usr/sbin/libvirtd", "/usr/lib/x86_64-linux-gnu/libvirt/lock-driver/lockd.so")
              if not os.path.exists(path)]
    lacks += [tool for tool in ("virsh", "unshare", "qemu-system-x86_64") if not shutil.which(tool)]
    return lacks + [name for name in ("virtlockd", "virtlogd") if not os.path.exists(os.path.join(BIN, name))]


def test_libvirtd_uses_our_lock_and_log_daemons(tmp_path):
    lacks = missing()
    if lacks:
        print(f"skipped: needs {', '.join(lacks)}")
        assert os.environ.get("REQUIRE") != "all", lacks
        pytest.skip(f"needs {', '.join(lacks)}")
    done = subprocess.run(["unshare", "-m", "-n", "--pid", "--fork", "--mount-proc", "--kill-child",
                           os.path.join(HERE, "libvirtd_with_ours"), BIN, str(tmp_path)],
                          capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    logs = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    lines = [line for line in done.stdout.splitlines() if not line.startswith("Domain ")]
    assert lines == [
        'lock after start: {"put":',
        "open logs: 2",
        "command line in the log",
        "second guest refused",
        "after the crash: running, shut off",
        'lock while suspended: {"drop"',
        'lock after resume: {"put":',
        "second guest: running",
    ], done.stdout + done.stderr
