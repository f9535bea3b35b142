#!/usr/bin/python3
"""`make run`: the suite on a real guest, driven by an unmodified virsh.

usage: run.py BIN_DIR [--oneshot]

Starts the daemons by socket activation below a private root, lets virsh define the default network, a
pool, a volume and a tiny guest, boots it, shows the list, the console up to its prompt and the DHCP
lease, prints the URIs, and stays until Ctrl-C (--oneshot: ends by itself). Nothing is left behind.
Run it in a network namespace of its own, as the Makefile does.
"""
import os
import re
import shlex
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import suite as harness

NETWORK = """<network>
  <name>default</name>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='on' delay='0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>
</network>"""


def show(suite, *args, uri=None):
    """Runs a virsh command as a user would and shows both."""
    print(f"\n$ virsh -c '{uri or suite.proxy_uri}' {shlex.join(args)}", flush=True)
    done = suite.virsh(*args, uri=uri)
    print((done.stdout + done.stderr).rstrip(), flush=True)
    return done.stdout


def demonstrate(suite):
    direct = suite.uri()
    net = suite.write("default.xml", NETWORK)
    show(suite, "net-define", net)
    show(suite, "net-start", "default")
    show(suite, "pool-define-as", "images", "dir", "--target", suite.path("images"))
    show(suite, "pool-start", "images")
    show(suite, "vol-create-as", "images", "tiny.qcow2", "64M", "--format", "qcow2")
    show(suite, "vol-list", "images")
    xml = suite.write("tiny.xml", suite.guest_xml(disk=suite.path("images/tiny.qcow2"), network="default"))
    show(suite, "define", xml)
    show(suite, "start", "tiny")
    print(f"\n$ virsh -c '{suite.proxy_uri}' console tiny", flush=True)
    console = suite.console("tiny")
    console.expect(rb"Connected to domain", 20)
    lease = console.expect(rb"lease: eth0 has ([0-9.]+)", 90).group(1).decode()
    print(f"lease: eth0 has {lease}", flush=True)
    console.send("\r")
    console.expect(rb"tiny# ", 60)
    console.send("uname -sr; echo up for $(cut -d. -f1 /proc/uptime) s\r")
    for line in console.expect(rb"(Linux [^\r\n]+)\r?\n(up for \d+ s)", 30).groups():
        print(line.decode())
    console.close()
    for uri in (suite.proxy_uri, direct):
        listed = show(suite, "list", uri=uri)
        if not re.search(r"\btiny\s+running", listed):
            raise harness.Failure("the guest is not listed as running")
        if lease not in show(suite, "domifaddr", "tiny", uri=uri):
            raise harness.Failure("the guest's address is not known")
    if lease not in show(suite, "net-dhcp-leases", "default"):
        raise harness.Failure("the lease is not listed")


def clean(suite):
    for args in (["destroy", "tiny"], ["undefine", "tiny"], ["vol-delete", "--pool", "images", "tiny.qcow2"],
                 ["pool-destroy", "images"], ["pool-undefine", "images"],
                 ["net-destroy", "default"], ["net-undefine", "default"]):
        suite.virsh(*args)
    left = suite.processes()
    left = [pid for pid in left if pid not in {suite.pid(daemon) for daemon in harness.DAEMONS}]
    left = [pid for pid in left if f"--root {suite.root}" not in harness.command_line(pid)]
    if left:
        raise harness.Failure("left behind: " + "; ".join(harness.command_line(pid)[:120] for pid in left))


def main():
    oneshot = "--oneshot" in sys.argv[2:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with harness.Suite(sys.argv[1]) as suite:
        demonstrate(suite)
        print(f"\nThe suite answers at\n  {suite.proxy_uri}\n  {suite.uri()}\nlog files are in {suite.path('var/log')}", flush=True)
        if not oneshot:
            print("Ctrl-C ends it.", flush=True)
            try:
                signal.pause()
            except KeyboardInterrupt:
                print()
        clean(suite)
    print("\nstopped; nothing is left behind" if oneshot else "stopped")


if __name__ == "__main__":
    try:
        main()
    except harness.Failure as failure:
        sys.exit(f"failed: {failure}")
