#!/usr/bin/python3
"""`make bench` (documents): definitions beside libvirt's daemon, in one run, as ratios.

usage: documents.py BIN_DIR [--documents N] [--listed N]

Define and dumpxml of a document with sixty devices, define and dumpxml of many small ones, listing of many defined
domains, through libvirt-python; ours and libvirtd take turns. Run it as bench.py, in namespaces of its own.
"""
import argparse
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
import libvirt
import suite as harness
from bench import Peer

libvirt.registerErrorHandler(lambda *_: None, None)


def small(name):
    return (f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>"
            "<devices><interface type='user'><model type='virtio'/></interface><console type='pty'/></devices></domain>")


def large():
    disks = "".join(f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/images/{n}.qcow2'/>"
                    f"<target dev='vd{chr(97 + n)}' bus='virtio'/></disk>" for n in range(20))
    nics = "".join(f"<interface type='user'><mac address='52:54:00:00:00:{n:02x}'/><model type='virtio'/></interface>" for n in range(20))
    channels = "".join(f"<channel type='unix'><target type='virtio' name='org.example.{n}'/></channel>" for n in range(18))
    return ("<domain type='qemu'><name>large</name><uuid>6f1f9ee2-9c1c-4b1e-8d37-0a6f0f6ed0c1</uuid><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>"
            f"<devices>{disks}{nics}{channels}<graphics type='vnc' port='-1'/><video><model type='vga'/></video></devices></domain>")


def milliseconds(work):
    begin = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - begin)


def one_large(conn):
    text = large()

    def work():
        conn.defineXML(text).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)

    work()
    times = [milliseconds(work) for _ in range(20)]
    conn.lookupByName("large").undefine()
    return statistics.median(times)


def many(conn, count):
    def work():
        for n in range(count):
            conn.defineXML(small(f"many{n}")).XMLDesc(0)

    return milliseconds(work)


def listing(conn):
    return statistics.median(milliseconds(lambda: conn.listAllDomains()) for _ in range(5))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin_dir")
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--listed", type=int, default=10000)
    options = parser.parse_args()
    if not os.path.exists("/usr/sbin/libvirtd"):
        print("skipped: needs libvirt's libvirtd for the comparison")
        sys.exit(1 if os.environ.get("REQUIRE") == "all" else 0)
    with harness.Suite(options.bin_dir) as suite:
        peer = Peer()
        conns = {"ours": libvirt.open(suite.uri()), "libvirt": peer.conn}
        rows = {"define + dumpxml, 60 devices": {name: one_large(conn) for name, conn in conns.items()},
                f"define + dumpxml, {options.documents} documents": {name: many(conn, options.documents) for name, conn in conns.items()}}
        for conn in conns.values():
            for n in range(options.documents, options.listed):
                conn.defineXML(small(f"many{n}"))
        rows[f"list {options.listed} domains"] = {name: listing(conn) for name, conn in conns.items()}
        for what, times in rows.items():
            print(f"{what:38} ours {times['ours']:9.2f} ms   libvirt {times['libvirt']:9.2f} ms   ratio {times['ours'] / times['libvirt']:5.2f}")
        conns["ours"].close()
        peer.stop()


if __name__ == "__main__":
    main()
