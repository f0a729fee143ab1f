"""A journal that cannot be written."""

import errno
import subprocess
import time
from pathlib import Path

from cases import case
from cases_calls import refused_caller
from lab import PROGRAM, Tollgate
from process import Process, check, equal, until
from scenario import ALLOWED, plain_callee, plain_caller, sdp

ABROAD = "+23276123456"


class OnSmallDisk(Tollgate):
    """Tollgate with a disk of its own for its journal, which no other program sees."""

    def launch(self, lab):
        var = self.home / "var"
        var.mkdir()
        mount = 'mount -t tmpfs -o size=24m tmpfs "$0" && exec "$@"'
        command = [PROGRAM, "run", "--preview", "-c", self.config]
        Process.__init__(self, lab, "tollgate", ["unshare", "--mount", "sh", "-c", mount, var, *command])
        self.disk = Path(f"/proc/{self.child.pid}/root{var}")


def fill(path):
    """Takes all the room that there is on a disk."""
    with path.open("wb", buffering=0) as filler:
        for size in (1 << 20, 1 << 16, 1 << 12):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError as error:
                equal(error.errno, errno.ENOSPC, "the error on a full disk")


@case(needs_tollgate=True, alone=True)
def disk_full(lab):
    """The disk fills up: new calls are refused but emergencies, live ones go on, and it resumes by itself."""
    lab.program = OnSmallDisk
    lab.start(segment_megabytes=1)
    carrier = lab.waiting(lab.carrier(plain_callee()), 5070)
    held = lab.pbx(plain_caller(hold=True), name="held", number=ALLOWED, calls=10, rate=100, hold=25000)
    time.sleep(1)
    filler = lab.tollgate.disk / "filler"
    fill(filler)
    # Refusals are recorded, too: until the room that each shard keeps ahead is used.
    large = sdp() + "".join(f"a=room:{number:0900}\r\n" for number in range(33))
    for port, number in ((5081, ABROAD), (5082, "999999")):
        lab.pbx(refused_caller(body=large), name=f"refused-{port}", port=port, number=number, calls=300, rate=100,
                trace=False).finish(30, 300)
    until(lambda: lab.tollgate.text().count("new calls are refused, emergency calls excepted") == 2, 5,
          "each shard missing its room", lab.tollgate)
    lab.pbx(refused_caller(), name="late", port=5083, number=ALLOWED, calls=5).finish(10, 5)
    lab.pbx(plain_caller(), name="emergency", port=5084, number="110", calls=2).finish(10, 2)
    held.finish(30, 10)
    filler.unlink()
    until(lambda: lab.tollgate.text().count("the journal is written again") == 2, 5,
          "each shard having room again", lab.tollgate)
    lab.pbx(plain_caller(), name="resumed", port=5085, number=ALLOWED, calls=5).finish(10, 5)
    carrier.stop(10, 17)
    time.sleep(0.5)
    inside = ["nsenter", f"--mount=/proc/{lab.tollgate.child.pid}/ns/mnt", PROGRAM, "ledger"]
    for command in (["verify"], ["export", "--verdict", "allow"]):
        done = subprocess.run([*inside, *command, "-c", lab.tollgate.config], capture_output=True, text=True,
                              timeout=60, check=False)
        equal(done.returncode, 0, f"exit code of `ledger {command[0]}`\n{done.stdout}{done.stderr}")
    ends = done.stdout.count('"record":"ended"')
    equal(ends, 15, "calls ended in the ledger")
    check("panicked" not in lab.tollgate.text(), "Tollgate panicked")
    lab.tollgate.stop()
