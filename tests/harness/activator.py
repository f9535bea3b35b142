#!/usr/bin/python3
"""A small service manager for trial runs: socket activation and a descriptor store, as systemd gives them.

It listens on the sockets of the six daemons below ROOT, starts a daemon when the first client
connects, passes LISTEN_FDS/LISTEN_FDNAMES with the unit names that systemd uses, keeps descriptors
that a daemon stores (FDSTORE=1) and hands them to its next life. A daemon that dies is started again
by the next connection. SIGTERM ends the daemons, then the activator.

usage: activator.py --root ROOT --bin DIR [--log-dir DIR] [--timeout SECS]

Prints "ready" once every socket listens. ROOT/activator/NAME.pid holds the pid of a running daemon,
ROOT/activator/NAME.starts how often it was started.
"""
import argparse
import array
import os
import selectors
import signal
import socket
import sys

DRIVERS = ["virtqemud", "virtnetworkd", "virtstoraged"]


def sockets_of(daemon):
    """(unit name, socket file name, mode) of a daemon, as WIRE.md section 16 lists them."""
    if daemon == "virtproxyd":
        return [("virtproxyd.socket", "libvirt-sock", 0o666), ("virtproxyd-ro.socket", "libvirt-sock-ro", 0o666),
                ("virtproxyd-admin.socket", "libvirt-admin-sock", 0o600)]
    main = (f"{daemon}.socket", f"{daemon}-sock", 0o666 if daemon in DRIVERS else 0o600)
    admin = (f"{daemon}-admin.socket", f"{daemon}-admin-sock", 0o600)
    if daemon in DRIVERS:
        return [main, (f"{daemon}-ro.socket", f"{daemon}-sock-ro", 0o666), admin]
    return [main, admin]


class Service:
    """One daemon: its listening sockets, its process, its stored descriptors."""

    def __init__(self, name, options):
        self.name, self.options = name, options
        self.run_dir = os.path.join(options.root, "run/libvirt")
        self.listeners = []
        for unit, file, mode in sockets_of(name):
            path = os.path.join(self.run_dir, file)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            old = os.umask(0o777 & ~mode)
            listener.bind(path)
            os.umask(old)
            listener.listen(1000)
            self.listeners.append((unit, path, listener))
        self.notify_path = os.path.join(options.root, "activator", f"{name}.notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.notify.bind(self.notify_path)
        self.notify.setblocking(False)
        self.store = []  # (fd name, descriptor)
        self.pid = None
        self.starts = 0
        self.watched = False

    def start(self):
        """Starts the daemon with its sockets and stored descriptors."""
        names = [unit for unit, _, _ in self.listeners] + [name for name, _ in self.store]
        fds = [listener.fileno() for _, _, listener in self.listeners] + [fd for _, fd in self.store]
        log = os.open(os.path.join(self.options.log_dir, f"{self.name}.log"),
                      os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.starts += 1
        self.write("starts", str(self.starts))
        pid = os.fork()
        if pid == 0:
            try:
                self.become_daemon(names, fds, null, log)
            finally:
                os._exit(127)
        os.close(log)
        os.close(null)
        self.pid = pid
        self.write("pid", str(pid))

    def become_daemon(self, names, fds, null, log):
        """In the child: arranges descriptors from 3 up and executes the daemon."""
        high = 1000 + len(fds)
        moved = []
        for i, fd in enumerate(fds):
            os.dup2(fd, high + i)
            moved.append(high + i)
        for target, fd in ((0, null), (1, log), (2, log)):
            os.dup2(fd, target)
        for i, fd in enumerate(moved):
            os.dup2(fd, 3 + i, inheritable=True)
            os.close(fd)
        os.closerange(3 + len(fds), high + 2 * len(fds) + 64)
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        environment = dict(os.environ, LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)),
                           LISTEN_FDNAMES=":".join(names), NOTIFY_SOCKET=self.notify_path,
                           VIRTD_ROOT=self.options.root)
        program = os.path.join(self.options.bin, self.name)
        arguments = [program]
        if self.name not in ("virtlockd", "virtlogd"):
            arguments += ["--timeout", str(self.options.timeout)]
        os.execve(program, arguments, environment)

    def notified(self):
        """Takes one message of the daemon: only the descriptor store matters here."""
        try:
            data, ancillary, _, _ = self.notify.recvmsg(8192, socket.CMSG_SPACE(4 * 253))
        except BlockingIOError:
            return
        fds = []
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                ints = array.array("i")
                ints.frombytes(payload[:len(payload) - len(payload) % ints.itemsize])
                fds += list(ints)
        fields = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
        name = fields.get("FDNAME", "stored")
        if fields.get("FDSTORE") == "1":
            self.store += [(name, fd) for fd in fds]
            fds = []
        if fields.get("FDSTOREREMOVE") == "1":
            for _, fd in [entry for entry in self.store if entry[0] == name]:
                os.close(fd)
            self.store = [entry for entry in self.store if entry[0] != name]
        for fd in fds:
            os.close(fd)

    def exited(self):
        """The daemon is gone; the next connection starts it again."""
        while self.drained():
            pass
        self.pid = None
        try:
            os.unlink(os.path.join(self.options.root, "activator", f"{self.name}.pid"))
        except FileNotFoundError:
            pass

    def drained(self):
        """Takes messages that the daemon sent right before its end."""
        before = len(self.store)
        try:
            self.notify.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        self.notified()
        return before >= 0

    def write(self, kind, text):
        path = os.path.join(self.options.root, "activator", f"{self.name}.{kind}")
        with open(path + ".tmp", "w") as file:
            file.write(text)
        os.replace(path + ".tmp", path)

    def clean(self):
        for _, path, _ in self.listeners:
            if os.path.exists(path):
                os.unlink(path)


DAEMONS = DRIVERS + ["virtlockd", "virtlogd", "virtproxyd"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--log-dir")
    parser.add_argument("--timeout", default=120, type=int)
    options = parser.parse_args()
    options.log_dir = options.log_dir or os.path.join(options.root, "var/log")
    for folder in ("run/libvirt", "activator", "var/log"):
        os.makedirs(os.path.join(options.root, folder), mode=0o755, exist_ok=True)
    services = {name: Service(name, options) for name in DAEMONS}

    selector = selectors.DefaultSelector()
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    selector.register(wake_read, selectors.EVENT_READ, "signal")
    for service in services.values():
        selector.register(service.notify, selectors.EVENT_READ, ("notify", service))

    def watch(service, on):
        if service.watched == on:
            return
        service.watched = on
        for _, _, listener in service.listeners:
            if on:
                selector.register(listener, selectors.EVENT_READ, ("accept", service))
            else:
                selector.unregister(listener)

    for service in services.values():
        watch(service, True)
    print("ready", flush=True)
    stopping = False
    while True:
        for key, _ in selector.select():
            if key.data == "signal":
                caught = os.read(wake_read, 64)
                if {signal.SIGTERM, signal.SIGINT} & set(caught):
                    stopping = True
                    for service in services.values():
                        if service.pid is None:
                            watch(service, False)
                        else:
                            os.kill(service.pid, signal.SIGTERM)
            else:
                kind, service = key.data
                if kind == "notify":
                    service.notified()
                elif service.pid is None and not stopping:
                    watch(service, False)
                    service.start()
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                break
            for service in services.values():
                if service.pid == pid:
                    service.exited()
                    if not stopping:
                        watch(service, True)
        if stopping and all(service.pid is None for service in services.values()):
            break
    for service in services.values():
        service.clean()


if __name__ == "__main__":
    sys.exit(main())
