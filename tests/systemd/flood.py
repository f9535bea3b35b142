#!/usr/bin/python3
"""A guest that prints as fast as it can, run inside the machine.

usage: flood.py PATH     opens the log PATH, says "ready", writes numbered lines until standard input ends, says how many
"""
import os
import select
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from owner import LOG, Connection, string


def main(path):
    connection = Connection("/run/libvirt/virtlogd-sock", LOG)
    _, (pipe,) = connection.call(1, string("qemu") + bytes(16) + string("flood") + string(path) + bytes(4))
    print("ready", flush=True)
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    count = 0
    while not poll.poll(0):
        for _ in range(50):
            line = b"line %d %s\n" % (count, b"x" * (count % 61))
            while line:
                # A broken pipe raises: then the test has failed.
                line = line[os.write(pipe, line):]
            count += 1
    print(count, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
