"""The machine that all tests of this folder share."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine as machines

BIN = os.environ.get("OXVIRT_BIN", os.path.join(machines.PROJECT, "target/debug"))


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
    if report.failed and "machine" in getattr(item, "funcargs", {}):
        for daemon in machines.DAEMONS:
            report.sections.append((f"journal of {daemon}", item.funcargs["machine"].log(f"{daemon}.service")))


@pytest.fixture(scope="session")
def booted():
    lacks = machines.missing(BIN)
    if lacks:
        pytest.skip(f"needs {', '.join(lacks)}")
    with machines.Machine(BIN) as running:
        yield running


@pytest.fixture
def machine(booted):
    """The machine with all daemons down and all sockets up."""
    booted.stop_all()
    yield booted
