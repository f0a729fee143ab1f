"""What others make of what a ledger tells."""

import datetime
import subprocess
import sys

from cases import case
from lab import PROGRAM
from process import check, equal
from scenario import OWN
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


def with_stix(lab):
    """A Python that has OASIS's own readers of STIX, in the case's folder."""
    home = lab.directory / "stix"
    python = home / "bin/python"
    for command in ([sys.executable, "-m", "venv", home],
                    [python, "-m", "pip", "install", "--quiet", "stix2==3.0.2", "stix2-validator==3.3.2"]):
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
    read = subprocess.run([with_stix(lab), "-c", PYTHON], input=done.stdout, capture_output=True, text=True,
                          timeout=120, check=False)
    equal(read.returncode, 0, f"what is wrong with the bundle\n{done.stdout}\n{read.stdout}{read.stderr}")
    check("4 objects" in read.stdout, f"two numbers, their range and the program are four\n{read.stdout}")
