"""A disk of a few megabytes for a journal, which no other program sees, and which stays over restarts."""

import errno
import subprocess
from pathlib import Path

from lab import PROGRAM, Tollgate
from process import Process, equal, until


class Disk(Process):
    """A file system in memory, and whatever is run on it."""

    def __init__(self, lab, where, megabytes):
        where.mkdir(parents=True, exist_ok=True)
        mount = f'mount -t tmpfs -o size={megabytes}m,nr_inodes=200 tmpfs "$0" && echo mounted && exec sleep infinity'
        super().__init__(lab, "disk", ["unshare", "--mount", "sh", "-c", mount, where])
        until(lambda: "mounted" in self.text(), 5, "a disk", self)
        self.path = Path(f"/proc/{self.child.pid}/root{where}")
        self.enter = ["nsenter", f"--mount=/proc/{self.child.pid}/ns/mnt"]

    def fill(self):
        """Takes all the room that there is."""
        with (self.path / "filler").open("ab", buffering=0) as filler:
            for size in (1 << 20, 1 << 16, 1 << 12):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError as error:
                    equal(error.errno, errno.ENOSPC, "the error on a full disk")

    def fill_with_files(self):
        """Leaves no room for another file, not even one with nothing in it."""
        try:
            for number in range(1000):
                (self.path / f"filler{number}").touch()
        except OSError as error:
            equal(error.errno, errno.ENOSPC, "the error on a disk full of files")

    def free(self):
        """Gives it back."""
        for filler in self.path.glob("filler*"):
            filler.unlink()

    def checkpoints(self):
        """How many checkpoints are written there."""
        return sum(pile.read_text().count("\ncheckpoint ") for pile in (self.path / "ledger/checkpoints").glob("*.txt"))

    def run(self, *command):
        """What a command says there."""
        return subprocess.run([*self.enter, *command], capture_output=True, text=True, timeout=60, check=False)


class OnSmallDisk(Tollgate):
    """Tollgate with such a disk for its journal."""

    megabytes = 24

    def launch(self, lab):
        if not hasattr(lab, "disk"):
            lab.disk = Disk(lab, self.home / "var", self.megabytes)
        command = [PROGRAM, "run", "--preview", *self.run_options, "-c", self.config]
        Process.__init__(self, lab, "tollgate", [*lab.disk.enter, *command])

        self.disk = lab.disk

    def says(self, *words, code=0):
        """What a command of the program's own prints about this one."""
        done = self.disk.run(PROGRAM, *words, "-c", self.config)
        equal(done.returncode, code, f"exit code of `{' '.join(words)}`\n{done.stdout}{done.stderr}")
        return done.stdout
