"""The six daemons below a private root, as trial runs, tests and benchmarks use them.

Everything a client does here goes through unmodified virsh and libvirt-python. The caller is expected
to run in a network namespace of its own (`unshare --net`), so that bridges and rules stay there.
"""
import os
import pty
import pwd
import re
import grp
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
DAEMONS = ["virtqemud", "virtnetworkd", "virtstoraged", "virtlockd", "virtlogd", "virtproxyd"]


class Failure(Exception):
    """A command of the suite did not do what it should."""


def guest_files():
    """Folder with vmlinuz and initrd.gz of the tiny guest, built when they are not there."""
    folder = os.environ.get("OXVIRT_GUEST") or os.path.join(PROJECT, "target", "guest")
    subprocess.run([os.path.join(PROJECT, "tests/guest/build.sh"), folder], check=True)
    return folder


def qemu_user():
    """(user, group) that guests run as: the distribution's, or nobody where it has none."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    groups = {entry.gr_name for entry in grp.getgrall()}
    user = "libvirt-qemu" if "libvirt-qemu" in names else "nobody"
    group = "kvm" if "kvm" in groups else grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    return user, group


def wait_until(condition, timeout, what):
    """Polls a condition that no descriptor announces, and fails loudly at the deadline."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"{what} did not happen within {timeout} s")
        time.sleep(0.02)


class Suite:
    """A running suite: sockets, daemons started on demand, files below `root`."""

    def __init__(self, bin_dir, root=None, timeout=120, qemu_conf=""):
        self.bin_dir = os.path.abspath(bin_dir)
        self.own_root = root is None
        # Socket paths are limited to 107 bytes: keep the root short.
        self.root = root or tempfile.mkdtemp(prefix="ox", dir="/tmp")
        os.chmod(self.root, 0o755)
        self.timeout = timeout
        self.prepare(qemu_conf)
        self.activator = None

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def prepare(self, qemu_conf):
        guest = guest_files()
        for folder in ("etc/libvirt", "images", "guest"):
            os.makedirs(self.path(folder), mode=0o755, exist_ok=True)
        for file in ("vmlinuz", "initrd.gz"):
            shutil.copy(os.path.join(guest, file), self.path("guest", file))
            os.chmod(self.path("guest", file), 0o644)
        user, group = qemu_user()
        with open(self.path("etc/libvirt/qemu.conf"), "w") as conf:
            conf.write(f'user = "{user}"\ngroup = "{group}"\nlock_manager = "lockd"\n{qemu_conf}')

    def start(self):
        self.activator = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "activator.py"), "--root", self.root, "--bin", self.bin_dir,
             "--timeout", str(self.timeout)],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True)
        line = self.activator.stdout.readline()
        if line.strip() != "ready":
            raise Failure(f"the activator did not start: {line!r}")
        return self

    def stop(self):
        """Ends daemons and activator; guests and networks must have been stopped by the caller."""
        if self.activator:
            self.activator.terminate()
            try:
                self.activator.wait(20)
            except subprocess.TimeoutExpired:
                for daemon in DAEMONS:
                    pid = self.pid(daemon)
                    if pid:
                        os.kill(pid, signal.SIGKILL)
                self.activator.wait(10)
            self.activator.stdout.close()
            self.activator = None

    def remove(self):
        if self.own_root:
            shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind:
            self.show_logs()
        try:
            self.end_guests()
        except (Failure, subprocess.TimeoutExpired) as failure:
            print(f"guests could not be ended: {failure}", file=sys.stderr)
        finally:
            self.stop()
            self.end_leftovers()
            self.remove()

    def end_guests(self):
        """Stops what a failed test left running."""
        for args in (["list", "--name"], ):
            done = self.virsh(*args, check=False, timeout=30)
            for name in done.stdout.split():
                self.virsh("destroy", name, check=False, timeout=60)
        done = self.virsh("net-list", "--name", check=False, timeout=30)
        for name in done.stdout.split():
            self.virsh("net-destroy", name, check=False, timeout=30)

    def end_leftovers(self):
        """Kills QEMU and dnsmasq processes that still name our root, and says so: they are bugs."""
        for pid in self.processes():
            print(f"left behind: {pid} {command_line(pid)[:200]}", file=sys.stderr)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def processes(self, needle=None):
        """Processes with our root (or another word) in their command line, the harness' own not counted."""
        needle = needle or self.root + "/"
        own = {os.getpid(), os.getppid()} | ({self.activator.pid} if self.activator else set())
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) not in own:
                line = command_line(int(entry))
                if needle in line and "activator.py" not in line and "pytest" not in line and "virsh" not in line:
                    found.append(int(entry))
        return found

    def uri(self, socket="virtqemud-sock", scheme="qemu"):
        mode = "" if socket.startswith("libvirt-sock") else "&mode=direct"
        return f"{scheme}:///system?socket={self.path('run/libvirt', socket)}{mode}"

    @property
    def proxy_uri(self):
        return self.uri("libvirt-sock")

    def virsh(self, *args, uri=None, check=True, timeout=60, env=None):
        """Runs one virsh command; returns the finished process."""
        environment = dict(os.environ, LC_ALL="C", **(env or {}))
        done = subprocess.run(["virsh", "-c", uri or self.proxy_uri, *args], capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, env=environment)
        if check and done.returncode != 0:
            raise Failure(f"virsh {' '.join(args)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def pid(self, daemon):
        """Pid of a running daemon, or None."""
        try:
            with open(self.path("activator", f"{daemon}.pid")) as file:
                return int(file.read() or 0) or None
        except FileNotFoundError:
            return None

    def starts(self, daemon):
        """How often a daemon was started."""
        try:
            with open(self.path("activator", f"{daemon}.starts")) as file:
                return int(file.read() or 0)
        except FileNotFoundError:
            return 0

    def kill(self, daemon, number=signal.SIGKILL):
        """Kills a daemon and waits until the activator has seen its end."""
        pid = self.pid(daemon)
        if pid is None:
            raise Failure(f"{daemon} does not run")
        os.kill(pid, number)
        wait_until(lambda: self.pid(daemon) != pid, 10, f"the end of {daemon}")

    def show_logs(self):
        for daemon in DAEMONS:
            log = self.path("var/log", f"{daemon}.log")
            if os.path.exists(log):
                with open(log, errors="replace") as file:
                    lines = file.readlines()[-40:]
                sys.stderr.write(f"--- {daemon}\n" + "".join(lines))
        folder = self.path("var/log/libvirt/qemu")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), errors="replace") as file:
                sys.stderr.write(f"--- qemu log {name}\n" + "".join(file.readlines()[-15:]))

    # Documents -----------------------------------------------------------------------------------

    def write(self, name, text):
        path = self.path(name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def guest_xml(self, name="tiny", words="dhcp", disk=None, network=None, memory=128, devices="", uuid=None, log=None):
        """A small q35 guest that boots the test kernel under TCG."""
        disks = ""
        if disk:
            kind = "qcow2" if disk.endswith("qcow2") else "raw"
            disks = (f"<disk type='file' device='disk'><driver name='qemu' type='{kind}'/>"
                     f"<source file='{disk}'/><target dev='vda' bus='virtio'/></disk>")
        nic = f"<interface type='network'><source network='{network}'/><model type='virtio'/></interface>" if network else ""
        logged = f"<log file='{log}' append='on'/>" if log else ""
        identity = f"<uuid>{uuid}</uuid>" if uuid else ""
        return f"""<domain type='qemu'>
  <name>{name}</name>{identity}
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{self.path('guest/vmlinuz')}</kernel><initrd>{self.path('guest/initrd.gz')}</initrd>
    <cmdline>console=ttyS0 quiet {words}</cmdline></os>
  <features><acpi/></features>
  <on_reboot>restart</on_reboot>
  <devices>
    {disks}{nic}
    <serial type='pty'>{logged}<target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    {devices}
  </devices>
</domain>"""

    def console(self, name, uri=None):
        return Console(self, name, uri or self.proxy_uri)


class Console:
    """`virsh console` on a terminal of its own."""

    def __init__(self, suite, name, uri, force=False):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            words = ["virsh", "-c", uri, "console", name] + (["--force"] if force else [])
            os.execvpe("virsh", words, dict(os.environ, LC_ALL="C", TERM="dumb"))

    def expect(self, pattern, timeout=60):
        """Reads until the pattern is seen; returns the match."""
        deadline = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise Failure(f"{pattern!r} not seen on the console within {timeout} s, but {self.seen[-400:]!r}")
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                raise Failure(f"the console ended before {pattern!r}: {self.seen[-400:]!r}")
            self.seen += data

    def send(self, text):
        os.write(self.fd, text.encode())

    def close(self):
        """Leaves with the escape character and returns virsh's exit status."""
        try:
            os.write(self.fd, b"\x1d")
        except OSError:
            pass
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            if select.select([self.fd], [], [], 0.02)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    pass
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        raise Failure("virsh console did not end")


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
