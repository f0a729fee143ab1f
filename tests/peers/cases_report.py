"""What others make of what a ledger tells."""

import datetime
import subprocess
import sys
import time
from pathlib import Path

from cases import case
from lab import PROGRAM
from process import check, equal
from scenario import ALLOWED, OWN, plain_callee, plain_caller
from wire import Wire

# One that a caller chose: each of these means something in a pattern, or in JSON.
AGENT = """it's a \\ "tool" [x:y = '%_'] """

PYTHON = """
import sys
import stix2
import stix2validator
text = sys.stdin.read()
bundle = stix2.parse(text, allow_custom=False)
result = stix2validator.validate_string(text, stix2validator.ValidationOptions(strict_types=True, version="2.1"))
stix2validator.print_results(result)
print(len(bundle.objects), "objects")
sys.exit(0 if result.is_valid else 1)
"""


def python_with(lab, *packages):
    """A Python that has these packages, in the case's folder."""
    home = lab.directory / "python"
    python = home / "bin/python"
    for command in ([sys.executable, "-m", "venv", home], [python, "-m", "pip", "install", "--quiet", *packages]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        equal(done.returncode, 0, f"exit code of {command}\n{done.stdout}{done.stderr}")
    return python


@case(needs_tollgate=True)
def indicators(lab):
    """The indicators of a report are STIX 2.1 to its own library and validator, whatever a caller calls itself."""
    lab.start()
    with Wire(lab.pbx_address, 5090, lab.next_hop_of_pbx) as wire:
        for mark in range(8):
            uri = "sip:+2327612345{}@{}:{}".format(mark % 2, *wire.next_hop)
            dialog = (f"<sip:{OWN}@{wire.here}>;tag=p{mark}", f"<{uri}>", f"probe{mark}@{wire.here}")
            wire.ask("INVITE", uri, dialog, 1, wire.description(), [f"User-Agent: {AGENT}"])
            wire.acknowledge(wire.response(603, "INVITE"), uri)
            wire.pending.clear()
    lab.tollgate.stop()
    today = datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=1)
    report = [PROGRAM, "ledger", "report", "-c", lab.tollgate.config, "--tenant", "acme", "--from", str(today),
              "--indicators", "stix"]
    done = subprocess.run(report, capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, 0, f"exit code of `ledger report`\n{done.stderr}")
    python = python_with(lab, "stix2==3.0.2", "stix2-validator==3.3.2")
    read = subprocess.run([python, "-c", PYTHON], input=done.stdout, capture_output=True, text=True,
                          timeout=120, check=False)
    equal(read.returncode, 0, f"what is wrong with the bundle\n{done.stdout}\n{read.stdout}{read.stderr}")
    check("4 objects" in read.stdout, f"two numbers, their range and the program are four\n{read.stdout}")


def tampered(files):
    """A byte of each of these kinds of files, and what it is."""
    segments = sorted(files.glob("shard-*/*.tgj"))
    written = [path for path in segments if len(path.read_bytes().rstrip(b"\0")) > 200]
    yield written[0], 30, "a header"
    yield written[-1], 150, "a record"
    yield next(files.glob("checkpoints/*.txt")), 40, "a checkpoint"


@case(needs_tollgate=True)
def ledger_of_others(lab):
    """A verifier that knows the description of the ledger alone finds it intact, and every byte that was changed."""
    lab.start(segment_megabytes=1)
    carrier = lab.waiting(lab.carrier(plain_callee()), 5070)
    lab.pbx(plain_caller(), number=ALLOWED, calls=20).finish(30, 20)
    time.sleep(1)
    lab.restart()
    lab.pbx(plain_caller(), name="again", port=5081, number=ALLOWED, calls=5).finish(30, 5)
    carrier.stop(10, 25)
    lab.tollgate.stop()
    files = lab.tollgate.home / "var/ledger"
    python = python_with(lab, "blake3==1.0.11", "cryptography==50.0.2")

    def verified():
        program = Path(__file__).with_name("ledger.py")
        done = subprocess.run([python, program, files, files / "public.key"], capture_output=True, text=True, timeout=60,
                              check=False)
        ours = subprocess.run([PROGRAM, "ledger", "verify", files], capture_output=True, text=True, timeout=60,
                              check=False)
        equal(done.returncode, ours.returncode, f"exit code\n{done.stdout}{done.stderr}{ours.stdout}{ours.stderr}")
        return done.stdout + done.stderr

    said = verified()
    check(said.startswith("intact: "), said)
    for path, at, what in tampered(files):
        whole = path.read_bytes()
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        check("intact" not in verified(), f"{what} may be changed")
        path.write_bytes(whole)
    equal(verified(), said, "what is said when all is as it was")
