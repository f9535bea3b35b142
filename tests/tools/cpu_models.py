#!/usr/bin/python3
"""Writes virtqemud/src/cpu/x86_models.tsv: what each named x86 CPU model consists of.

usage: cpu_models.py [URI] > virtqemud/src/cpu/x86_models.tsv      (URI of a reference libvirt, default qemu:///system)

Names, their order and features are what libvirt answers to its public calls (virConnectGetCPUModelNames, and
virConnectBaselineCPU with expanded features); vendor and signature are what QEMU answers to
query-cpu-model-expansion. One line a model: name, vendor or -, family, model, stepping, features.
"""
import json
import re
import subprocess
import sys

import libvirt

VENDORS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon", "CentaurHauls": "Centaur"}
# QEMU gives these a vendor, libvirt lets them run on any.
ANY_VENDOR = ("486", "pentium", "kvm32", "kvm64", "qemu32", "qemu64", "cpu64-rhel")


def signatures():
    """name → (vendor, family, model, stepping) as QEMU has them."""
    qemu = subprocess.Popen(["qemu-system-x86_64", "-S", "-nodefaults", "-nographic", "-machine", "none,accel=tcg", "-qmp", "stdio"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    qemu.stdout.readline()

    def ask(command, **arguments):
        qemu.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        qemu.stdin.flush()
        while True:
            answer = json.loads(qemu.stdout.readline())
            if "event" not in answer:
                return answer.get("return")

    ask("qmp_capabilities")
    found = {}
    for model in ask("query-cpu-definitions"):
        answer = ask("query-cpu-model-expansion", type="full", model={"name": model["name"]})
        if answer:
            props = answer["model"]["props"]
            vendor = "-" if model["name"].startswith(ANY_VENDOR) else VENDORS.get(props["vendor"], props["vendor"])
            found[model["name"]] = (vendor, props["family"], props["model"], props["stepping"])
    ask("quit")
    return found


def main():
    libvirt.registerErrorHandler(lambda *_: None, None)
    conn = libvirt.open(sys.argv[1] if len(sys.argv) > 1 else "qemu:///system")
    known = signatures()
    for name in conn.getCPUModelNames("x86_64", 0):
        answer = conn.baselineCPU([f"<cpu><arch>x86_64</arch><model>{name}</model></cpu>"], libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES)
        features = re.findall(r"<feature policy='require' name='([^']*)'", answer)
        vendor, family, model, stepping = known.get(name, ("-", 0, 0, 0))
        print("\t".join([name, vendor, str(family), str(model), str(stepping), " ".join(sorted(features))]))


if __name__ == "__main__":
    main()
