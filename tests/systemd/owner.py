#!/usr/bin/python3
"""The other side of virtlockd and virtlogd, run inside the machine: it owns a lock or a log as a guest would.

usage: owner.py lock PATH          registers itself, locks PATH, says "ready", holds until standard input ends
       owner.py log PATH COUNT     opens the log PATH, says "ready", writes COUNT numbered lines, a millisecond apart
       owner.py watch PATH         looks at the lock of PATH until standard input ends; says how often it was "held free"
"""
import array
import fcntl
import os
import select
import socket
import struct
import sys
import time

LOCK, LOG = 0xEA7BEEF, 0x87539319
F_OFD_GETLK = 36


def string(text):
    data = text.encode()
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


class Connection:
    """A client of one program, with blocking calls."""

    def __init__(self, path, program):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.program = program
        self.serial = 0

    def call(self, procedure, body):
        """Body of the reply and the descriptors that came with it."""
        self.serial += 1
        message = struct.pack(">IIiIII", self.program, 1, procedure, 0, self.serial, 0) + body
        self.socket.sendall(struct.pack(">I", len(message) + 4) + message)
        (length,) = struct.unpack(">I", self.read(4))
        reply = self.read(length - 4)
        kind, status = struct.unpack(">I", reply[12:16])[0], struct.unpack(">I", reply[20:24])[0]
        body = reply[24:]
        if status != 0:
            sys.exit(f"call {procedure} of {self.program:#x} failed: {body!r}")
        count = 0
        if kind == 5:
            count, body = struct.unpack(">I", body[:4])[0], body[4:]
        return body, [self.descriptor() for _ in range(count)]

    def read(self, length):
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                sys.exit("the daemon closed the connection")
            data += more
        return data

    def descriptor(self):
        _, ancillary, _, _ = self.socket.recvmsg(1, socket.CMSG_SPACE(4))
        fds = array.array("i")
        fds.frombytes(ancillary[0][2][:4])
        return fds[0]


def lock(path):
    connection = Connection("/run/libvirt/virtlockd-sock", LOCK)
    owner = bytes(range(16)) + string("owner") + struct.pack(">II", 7, os.getpid())
    connection.call(1, owner + struct.pack(">I", 0))
    connection.call(6, string("") + string(path) + struct.pack(">I", 0))
    print("ready", flush=True)
    sys.stdin.read()


def log(path, count):
    connection = Connection("/run/libvirt/virtlogd-sock", LOG)
    _, (pipe,) = connection.call(1, string("qemu") + bytes(16) + string("owner") + string(path) + struct.pack(">I", 0))
    print("ready", flush=True)
    for number in range(count):
        os.write(pipe, f"line {number}\n".encode())
        time.sleep(0.001)
    print("written", flush=True)


def watch(path):
    """Every look is a new open file description, so what it sees is a lock of somebody else."""
    held = free = 0
    ended = False
    while not ended:
        with open(path, "rb") as file:
            request = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0)
            answer = fcntl.fcntl(file, F_OFD_GETLK, request)
        if struct.unpack("hhqqi4x", answer)[0] == fcntl.F_UNLCK:
            free += 1
        else:
            held += 1
        if held + free == 1:
            print("ready", flush=True)
        ended = select.select([sys.stdin], [], [], 0)[0]
    print(held, free, flush=True)


if __name__ == "__main__":
    {"lock": lock, "watch": watch}.get(sys.argv[1], lambda path: log(path, int(sys.argv[3])))(sys.argv[2])
