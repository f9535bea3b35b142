"""owner.py as tests use it: a process inside the machine that owns or watches a lock or a log."""

OWNER = "/run/oxvirt/project/tests/systemd/owner.py"


class Owner:
    """Started, and ready, when the constructor returns."""

    def __init__(self, machine, *words):
        self.process = machine.start("/usr/bin/python3", OWNER, *words)
        line = self.process.stdout.readline()
        assert line == "ready\n", line + self.process.stderr.read()

    def finish(self):
        """Lets it come to its end; returns what it said."""
        output, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return output

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def looks(watcher):
    """(how often the lock was seen held, how often free) by an `owner.py watch`, which ends."""
    held, free = watcher.finish().split()
    return int(held), int(free)
