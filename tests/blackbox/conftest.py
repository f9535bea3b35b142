"""Fixtures of the black-box suite. It drives only unmodified virsh and libvirt-python."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
import suite as harness

BIN = os.environ.get("OXVIRT_BIN", os.path.join(harness.PROJECT, "target/debug"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With REQUIRE=all a skipped test is a failed one: nothing passes in silence."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        print(f"skipped: {reason}")
        if os.environ.get("REQUIRE") == "all":
            report.outcome = "failed"
            report.longrepr = f"REQUIRE=all, but {reason}"


@pytest.fixture(scope="module")
def suite():
    """One suite a test module; modules leave no guests or networks to each other."""
    with harness.Suite(BIN) as running:
        yield running


@pytest.fixture(scope="module")
def network(suite):
    """A started NAT network named default."""
    xml = suite.write("default.xml", """<network><name>default</name><forward mode='nat'/><bridge name='virbr0' stp='on' delay='0'/>
      <ip address='192.168.122.1' netmask='255.255.255.0'><dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip></network>""")
    suite.virsh("net-define", xml)
    suite.virsh("net-start", "default")
    yield "default"
    suite.virsh("net-destroy", "default")
    suite.virsh("net-undefine", "default")


@pytest.fixture
def disk(suite, request):
    """A fresh qcow2 volume of 64 MiB in the pool's folder."""
    path = suite.path("images", f"{request.node.name}.qcow2")
    import subprocess
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"], check=True)
    yield path
    if os.path.exists(path):
        os.unlink(path)
