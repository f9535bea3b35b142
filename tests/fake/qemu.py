#!/usr/bin/python3
"""A QEMU that misbehaves on purpose, put as <emulator> into a guest's definition.

The real emulator does the work; this program stands between it and the monitor. What goes wrong is in the
name it was started under (a link to this file), because the environment of a guest is clean:

  silent          accepts the monitor connection and never greets
  mute            greets, then answers nothing
  dies-N          exits with status 1 after N answers, with a last word on stderr
  at-once         exits before it accepts anything
  garbage         answers the first command with cut JSON
  wrong-id        answers with an id nobody asked for
  endless         sends a line that never ends
  nested          sends a million opening brackets
  stubborn        works, but ignores SIGTERM and the quit command
  flood           works, and sends events as fast as it can

Probing runs (-machine none) are handed to the real emulator unchanged.
"""
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading

REAL = "/usr/bin/qemu-system-x86_64"


def monitor_of(words):
    """(index of the -chardev argument, descriptor of the listening monitor socket)"""
    for i, word in enumerate(words):
        match = re.match(r"socket,id=charmonitor,.*\bfd=(\d+)", word)
        if match:
            return i, int(match.group(1))
    raise SystemExit("fake qemu: no monitor descriptor among the arguments")


class Link:
    """The daemon on one side, the real monitor on the other, mischief between."""

    def __init__(self, kind, daemon, real, process):
        self.kind, self.daemon, self.real, self.process = kind, daemon, real, process
        self.answers = 0
        self.answered = threading.Event()
        self.sending = threading.Lock()

    def send(self, line):
        """Whole lines: two threads write here."""
        with self.sending:
            self.daemon.sendall(line)

    def from_daemon(self):
        for line in self.daemon.makefile("rb"):
            if self.kind == "mute" and b"qmp_capabilities" not in line:
                continue
            if self.kind == "stubborn" and b'"quit"' in line:
                continue
            try:
                self.real.sendall(line)
            except OSError:
                return

    def from_real(self):
        for line in self.real.makefile("rb"):
            reply = b'"return"' in line or b'"error"' in line
            if reply:
                line = self.bend(line)
                self.answers += 1
            if line is None:
                continue
            try:
                self.send(line)
            except OSError:
                return
            if reply:
                self.answered.set()
            if self.kind.startswith("dies-") and self.answers >= int(self.kind[5:]):
                self.last_word()

    def bend(self, line):
        if self.kind == "mute":
            return None
        if self.answers == 1:
            if self.kind == "garbage":
                return line[:len(line) // 2] + b"\n"
            if self.kind == "wrong-id":
                return re.sub(rb'"id": *"[^"]*"', b'"id": "nobody-1"', line)
            if self.kind == "endless":
                while True:
                    self.daemon.sendall(b"x" * 65536)
            if self.kind == "nested":
                return b"[" * 1_000_000 + b"\n"
        return line

    def flood(self):
        event = b'{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RTC_CHANGE", "data": {"offset": 1}}\r\n' * 100
        self.answered.wait()
        while True:
            try:
                self.send(event)
            except OSError:
                return

    def last_word(self):
        sys.stderr.write("fake qemu: this is the last word\n")
        sys.stderr.flush()
        self.process.kill()
        os._exit(1)


def main():
    kind = os.path.basename(sys.argv[0]).removeprefix("qemu-")
    words = sys.argv[1:]
    machine = next((value for option, value in zip(words, words[1:]) if option in ("-machine", "-M")), "")
    if machine.startswith("none") or "-version" in words or "--version" in words:
        os.execv(REAL, [REAL, *words])
    if kind == "at-once":
        sys.stderr.write("fake qemu: could not start at all\n")
        return 1
    index, fd = monitor_of(words)
    listener = socket.socket(fileno=fd)
    if kind == "silent":
        connection, _ = listener.accept()
        signal.pause()
    folder = tempfile.mkdtemp(prefix="fakeqemu", dir=os.path.dirname(sys.argv[0]) if os.access(os.path.dirname(sys.argv[0]), os.W_OK) else "/tmp")
    path = os.path.join(folder, "m")
    inner = socket.socket(socket.AF_UNIX)
    inner.bind(path)
    inner.listen(1)
    words[index] = re.sub(r"\bfd=\d+", f"fd={inner.fileno()}", words[index])
    inherited = [int(name) for name in os.listdir("/proc/self/fd") if name.isdigit() and int(name) > 2]
    process = subprocess.Popen([REAL, *words], pass_fds=[number for number in inherited if number_is_open(number)],
                               preexec_fn=die_with_parent)
    real = socket.socket(socket.AF_UNIX)
    real.connect(path)
    os.unlink(path)
    os.rmdir(folder)
    if kind == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: (process.terminate(), os._exit(0)))
    daemon, _ = listener.accept()
    link = Link(kind, daemon, real, process)
    for work in (link.from_daemon, link.from_real) + ((link.flood,) if kind == "flood" else ()):
        threading.Thread(target=work, daemon=True).start()
    return process.wait()


def die_with_parent():
    """Whoever kills the guest's process kills all of it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def number_is_open(number):
    try:
        os.fstat(number)
        return True
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
