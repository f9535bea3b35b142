#!/usr/bin/python3
"""`make bench`: the suite beside libvirt and bare QEMU, in one run, as medians and ratios.

usage: bench.py BIN_DIR [--rounds N] [--json FILE]

Start and destroy of the tiny guest through libvirt-python, alternating ours, libvirt's libvirtd (when
its packages are installed) and QEMU executed directly with the same hardware. Run it in mount and
network namespaces of its own, as the Makefile does: libvirtd uses its default folders.
"""
import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
import libvirt
import suite as harness

libvirt.registerErrorHandler(lambda *_: None, None)


def through_libvirt(conn, xml):
    """(milliseconds to start, milliseconds to destroy)"""
    begin = time.perf_counter()
    domain = conn.createXML(xml)
    started = time.perf_counter()
    domain.destroy()
    return 1000 * (started - begin), 1000 * (time.perf_counter() - started)


class Bare:
    """QEMU alone: from exec to a running answer on QMP, and from SIGTERM to its end."""

    def __init__(self, suite):
        self.sock = suite.path("bare.sock")
        self.argv = ["qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-m", "128", "-display", "none", "-nodefaults",
                     "-no-user-config", "-kernel", suite.path("guest/vmlinuz"), "-initrd", suite.path("guest/initrd.gz"),
                     "-append", "console=ttyS0", "-serial", "null", "-device", "virtio-rng-pci",
                     "-blockdev", json.dumps({"driver": "qcow2", "node-name": "d", "file": {"driver": "file", "filename": suite.path("images/bench.qcow2")}}),
                     "-device", "virtio-blk-pci,drive=d", "-qmp", f"unix:{self.sock},server=on,wait=off"]

    def round(self):
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        begin = time.perf_counter()
        process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = socket.socket(socket.AF_UNIX)
        while True:
            try:
                client.connect(self.sock)
                break
            except OSError:
                time.sleep(0.0005)
        reader = client.makefile("r")
        reader.readline()
        for command in ("qmp_capabilities", "query-status"):
            client.sendall(json.dumps({"execute": command}).encode() + b"\n")
            reader.readline()
        started = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        process.wait()
        ended = time.perf_counter()
        client.close()
        return 1000 * (started - begin), 1000 * (ended - started)


class Peer:
    """libvirt's own monolithic daemon in its default folders (which the caller has made private)."""

    def __init__(self):
        self.processes = []
        for command in (["/usr/sbin/virtlogd"], ["/usr/sbin/libvirtd"]):
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        def connect():
            try:
                return libvirt.open("qemu:///system?mode=legacy")
            except libvirt.libvirtError:
                return None
        self.conn = harness.wait_until(connect, 240, "libvirtd's answer")

    def stop(self):
        self.conn.close()
        for process in reversed(self.processes):
            process.terminate()
            process.wait(20)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin_dir")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json")
    options = parser.parse_args()
    with harness.Suite(options.bin_dir) as suite:
        disk = suite.path("images/bench.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "64M"], check=True)
        xml = suite.guest_xml("bench", words="", disk=disk)
        ours = libvirt.open(suite.uri())
        peer = None
        if os.path.exists("/usr/sbin/libvirtd") and os.environ.get("OXVIRT_PEER") != "no":
            peer = Peer()
        else:
            print("skipped: needs libvirt's libvirtd for the comparison")
        bare = Bare(suite)
        runs = {"ours": lambda: through_libvirt(ours, xml), "bare qemu": bare.round}
        if peer:
            runs["libvirt"] = lambda: through_libvirt(peer.conn, xml)
        times = {name: [] for name in runs}
        for turn in range(options.rounds + 1):
            for name, run in runs.items():
                pair = run()
                if turn:  # the first round fills caches
                    times[name].append(pair)
        ours.close()
        if peer:
            peer.stop()
    medians = {name: [statistics.median(column) for column in zip(*pairs)] for name, pairs in times.items()}
    print(f"{'median of ' + str(options.rounds):16} {'start':>10} {'destroy':>10}")
    for name, (start, destroy) in medians.items():
        print(f"{name:16} {start:7.1f} ms {destroy:7.1f} ms")
    for other in ("libvirt", "bare qemu"):
        if other in medians:
            print(f"ours / {other:9} {medians['ours'][0] / medians[other][0]:8.2f} x {medians['ours'][1] / medians[other][1]:8.2f} x")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(medians, file, indent=1)


if __name__ == "__main__":
    main()
