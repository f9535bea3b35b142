"""A small machine of its own: a real systemd as process 1 of private namespaces, with the suite's units.

    with Machine(bin_dir) as machine:
        machine.run("systemctl", "is-active", "virtqemud.socket")
        machine.virsh("list")

It needs root, overlayfs, a writable cgroup v2 hierarchy and systemd's files; `missing()` says what is not there.
Its network is its own and empty, its files are copies: nothing a test does reaches the machine it runs on.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
SYSTEMD = "/lib/systemd/systemd"
DRIVERS = ["virtqemud", "virtnetworkd", "virtstoraged"]
DAEMONS = DRIVERS + ["virtproxyd", "virtlockd", "virtlogd"]


class Failure(Exception):
    """Something in the machine did not go as it should."""


def cgroup_mount():
    """Where the host has a cgroup v2 hierarchy, or None."""
    with open("/proc/self/mounts") as mounts:
        places = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    return places[0] if places else None


def missing(bin_dir):
    """What this host lacks for a machine; empty when it can be started."""
    lacks = []
    if os.geteuid() != 0:
        lacks.append("root")
    if not os.path.exists(SYSTEMD):
        lacks.append("systemd")
    lacks += [tool for tool in ("unshare", "nsenter", "systemctl", "virsh", "ip", "pivot_root") if not shutil.which(tool)]
    with open("/proc/filesystems") as types:
        known = types.read().split()
    if "overlay" not in known and subprocess.run(["modprobe", "-q", "overlay"], check=False).returncode != 0:
        lacks.append("overlayfs")
    place = cgroup_mount()
    if place is None or not os.access(place, os.W_OK):
        lacks.append("a writable cgroup v2 hierarchy")
    lacks += [os.path.join(bin_dir, name) for name in DAEMONS if not os.path.exists(os.path.join(bin_dir, name))]
    return lacks


def wait_until(condition, timeout, what):
    """Polls what no descriptor announces, and fails loudly at the deadline."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"{what} did not happen within {timeout} s")
        time.sleep(0.02)


def die_with_parent():
    """Runs in the child: whoever kills the tests kills the machine."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Machine:
    """A booted machine; ends with its `with` block."""

    def __init__(self, bin_dir):
        self.bin_dir = os.path.abspath(bin_dir)
        self.stage = None
        self.cgroup = None
        self.process = None
        self.init = None

    def __enter__(self):
        self.stage = tempfile.mkdtemp(prefix="oxvirt-machine-")
        self.cgroup = os.path.join(cgroup_mount(), f"oxvirt-{os.getpid()}")
        os.mkdir(self.cgroup)
        # The namespace's hierarchy begins where its first process is, so it goes there before unshare.
        enter = f"echo $$ >{self.cgroup}/cgroup.procs && exec \"$@\""
        self.process = subprocess.Popen(
            ["sh", "-c", enter, "sh", "unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--net",
             "--kill-child", "sh", os.path.join(HERE, "boot"), self.stage, self.bin_dir, PROJECT],
            stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent)
        try:
            self.init = wait_until(self._find_init, 30, "systemd's start")
            wait_until(self._is_up, 60, "the sockets")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.process:
            # unshare ends its child, which is process 1 in there, and with it everything else.
            self.process.kill()
            self.process.wait()
            wait_until(lambda: not self._procs(), 30, "the end of the machine")
        self._remove_cgroup()
        if self.stage:
            os.rmdir(self.stage)

    def start(self, *command):
        """Starts a command inside with pipes for its standard streams; returns the process."""
        entry = ["nsenter", "-t", str(self.init), "-p", "-m", "-u", "-i", "-n", "-C", "--"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root",
                       "SYSTEMD_UNIT_PATH": "/run/oxvirt/unit"}
        return subprocess.Popen(entry + list(command), env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, cwd="/")

    def run(self, *command, check=True, timeout=60, stdin=None):
        """Runs a command inside; returns the finished process with its output."""
        with self.start(*command) as process:
            try:
                output, errors = process.communicate(stdin, timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        done = subprocess.CompletedProcess(command, process.returncode, output, errors)
        if check and done.returncode != 0:
            raise Failure(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def virsh(self, *words, uri="qemu:///system", **options):
        """Runs virsh inside; returns its output without the outer blank lines."""
        done = self.run("virsh", "-q", "-c", uri, *words, **options)
        return done.stdout.strip()

    def path(self, inside):
        """A file of the machine as it is reached from outside."""
        return f"/proc/{self.init}/root{inside}"

    def put(self, source, inside, mode=0o644):
        """Copies a file into the machine."""
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        shutil.copyfile(source, self.path(inside))
        os.chmod(self.path(inside), mode)
        return inside

    def write(self, inside, text):
        """Writes a file of the machine."""
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        with open(self.path(inside), "w") as file:
            file.write(text)
        return inside

    def read(self, inside):
        """A file of the machine as text; empty when it is not there."""
        try:
            with open(self.path(inside), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def show(self, unit, *names):
        """Properties of a unit."""
        done = self.run("systemctl", "show", unit, *[f"-p{name}" for name in names])
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def main_pid(self, daemon):
        """Process id of a daemon, as seen inside; 0 when it does not run."""
        return int(self.show(f"{daemon}.service", "MainPID")["MainPID"])

    def active(self):
        """Names of the daemons that run."""
        return {name for name in DAEMONS if self.main_pid(name) != 0}

    def stop_all(self):
        """Stops every daemon; the sockets stay."""
        self.run("systemctl", "stop", *[f"{name}.service" for name in DAEMONS])
        self.run("systemctl", "reset-failed", check=False)

    def kill(self, daemon):
        """Kills a daemon with SIGKILL and waits until systemd has it up again."""
        before = self.main_pid(daemon)
        if before == 0:
            raise Failure(f"{daemon} does not run")
        self.run("kill", "-9", str(before))
        wait_until(lambda: self.main_pid(daemon) not in (0, before), 20, f"the restart of {daemon}")
        wait_until(lambda: self.show(f"{daemon}.service", "ActiveState")["ActiveState"] == "active", 20, f"{daemon} ready")

    def log(self, unit):
        """The journal of a unit, for messages about failures."""
        done = self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, "-n", "60", check=False)
        return done.stdout + done.stderr

    def _procs(self):
        found = []
        for folder, _, _ in os.walk(self.cgroup):
            try:
                with open(os.path.join(folder, "cgroup.procs")) as procs:
                    found += [int(pid) for pid in procs.read().split()]
            except FileNotFoundError:
                pass
        return found

    def _find_init(self):
        """systemd's process id as seen from here: the child of unshare, once it is systemd."""
        if self.process.poll() is not None:
            raise Failure(f"the machine ended at boot with status {self.process.returncode}")
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(path) as children:
            pids = children.read().split()
        for pid in pids:
            try:
                with open(f"/proc/{pid}/comm") as comm:
                    if comm.read().strip() == "systemd":
                        return int(pid)
            except FileNotFoundError:
                pass
        return None

    def _is_up(self):
        done = self.run("systemctl", "is-active", "oxvirt.target", check=False)
        return done.stdout.strip() == "active"

    def _remove_cgroup(self):
        if self.cgroup and os.path.isdir(self.cgroup):
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                os.rmdir(folder)


if __name__ == "__main__":
    import sys
    folder = sys.argv[1]
    lacks = missing(folder)
    if lacks:
        sys.exit(f"needs {', '.join(lacks)}")
    with Machine(folder) as machine:
        words = sys.argv[2:] or ["systemctl", "--no-pager", "list-units", "--all", "virt*"]
        done = machine.run(*words, check=False, timeout=600)
        print(done.stdout + done.stderr, end="")
        sys.exit(done.returncode)
