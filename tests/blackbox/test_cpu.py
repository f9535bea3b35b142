"""Capabilities and processors through unmodified virsh and libvirt-python."""
import re

import libvirt
import pytest

libvirt.registerErrorHandler(lambda *_: None, None)


@pytest.fixture(scope="module")
def conn(suite):
    conn = libvirt.open(suite.uri())
    yield conn
    conn.close()


def test_capabilities_name_host_and_guests(conn):
    text = conn.getCapabilities()
    assert "<arch>x86_64</arch>" in text and re.search(r"<domain type='qemu'/>", text) and "<migration_features>" in text
    assert "<machine canonical='pc-q35-" in text


def test_domain_capabilities_tell_models_and_devices(suite, conn):
    text = conn.getDomainCapabilities(None, "x86_64", "q35", "qemu")
    assert "<mode name='host-passthrough' supported='no'/>" in text and "<enum name='firmware'>" in text
    assert re.search(r"<model usable='yes' vendor='unknown'[^>]*>qemu64</model>", text)
    with pytest.raises(libvirt.libvirtError) as refused:
        conn.getDomainCapabilities(None, "x86_64", "nosuch", None)
    assert "the machine 'nosuch' is not supported by emulator" in str(refused.value)
    assert suite.virsh("domcapabilities", "--machine", "microvm").stdout.count("<domainCapabilities>") == 1


def test_processors_are_compared(conn):
    host = re.search(r"<cpu>.*?</cpu>", conn.getCapabilities(), re.S).group(0)
    assert conn.compareCPU(host) == libvirt.VIR_CPU_COMPARE_IDENTICAL
    assert conn.compareCPU("<cpu match='minimum'><model>486</model></cpu>") == libvirt.VIR_CPU_COMPARE_SUPERSET
    assert conn.compareCPU("<cpu><arch>aarch64</arch><model>486</model></cpu>") == libvirt.VIR_CPU_COMPARE_INCOMPATIBLE
    for text, code in (("<cpu><model>nosuch</model></cpu>", libvirt.VIR_ERR_INTERNAL_ERROR), ("<foo/>", libvirt.VIR_ERR_XML_ERROR)):
        with pytest.raises(libvirt.libvirtError) as refused:
            conn.compareCPU(text)
        assert refused.value.get_error_code() == code and refused.value.get_error_domain() == libvirt.VIR_FROM_CPU


def test_the_baseline_is_what_all_have(conn):
    haswell = "<cpu><arch>x86_64</arch><model>Haswell</model><vendor>Intel</vendor></cpu>"
    skylake = "<cpu><arch>x86_64</arch><model>Skylake-Client</model><vendor>Intel</vendor></cpu>"
    assert conn.baselineCPU([haswell, skylake]) == \
        "<cpu mode='custom' match='exact'>\n  <model fallback='allow'>Haswell</model>\n  <vendor>Intel</vendor>\n</cpu>\n"
    with pytest.raises(libvirt.libvirtError) as refused:
        conn.baselineCPU([haswell, "<cpu><arch>x86_64</arch><model>EPYC</model><vendor>AMD</vendor></cpu>"])
    assert refused.value.get_error_message() == "operation failed: CPU vendors do not match"
    names = conn.getCPUModelNames("x86_64")
    assert len(names) == 150 and names[0] == "486" and "EPYC-Genoa" in names
