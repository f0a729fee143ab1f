"""The world of one case: a phone system, a carrier, and Tollgate between them."""

import json
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path
from string import Template

from process import Failed, Process, check, equal, until
from scenario import ALLOWED, OWN
from sipp import Sipp

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROGRAM = Path(os.environ.get("TOLLGATE", ROOT / "target/release/tollgate")).absolute()

ORDINARY = {
    "allow": '"jp.fixed", "jp.mobile", "jp.ip", "jp.freephone", "us", "+44 20"',
    "calls_at_once": 100000,
    "longest_call": "4h",
    "longest_ring": "3m",
    "segment_megabytes": 64,
}


def addresses(net):
    """Who is where, and how they are reached: over UDP."""
    return {
        "listen": "",
        "carrier": f"udp:{net}.2:5070",
        "carrier_more": "",
        "carrier_source": f"{net}.2/32",
        "pbx": f"udp:{net}.3:5080",
        "pbx_sources": f'"{net}.3/32"',
        "pbx_known": "",
        "pbx_more": "",
        "carriers": '"upstream"',
    }


class Tollgate(Process):
    """`tollgate run`, with a configuration of its own."""

    def __init__(self, lab, rules=None, options=()):
        self.net = lab.net
        self.run_options = options
        self.home = lab.directory / "config"
        if rules:
            self._write(rules)
        self.config = self.home / "tollgate.toml"
        self.launch(lab)
        self.await_ready()

    def launch(self, lab):
        """Starts the program."""
        super().__init__(lab, "tollgate", [PROGRAM, "run", "--preview", *self.run_options, "-c", self.config])

    def successor(self):
        """`tollgate run --take-over` that is expected to end at once: what came of it."""
        return subprocess.run([PROGRAM, "run", "--preview", "--take-over", "-c", self.config],
                              capture_output=True, text=True, timeout=30, check=False)

    def await_ready(self):
        """Waits until it answers."""
        until(self.answers, 10, "Tollgate answering OPTIONS", self)

    def _write(self, rules):
        for source in sorted((HERE / "config").rglob("*.*")):
            target = self.home / source.relative_to(HERE / "config")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(Template(source.read_text()).substitute(rules, net=self.net))

    def answers(self):
        """Whether it answers its own phone system."""
        return any(reply.startswith("SIP/2.0 200") for reply in self.options(f"{self.net}.3"))

    def options(self, source, wait=0.2):
        """What comes back for an OPTIONS from an address."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.bind((source, 0))
            end.settimeout(wait)
            port = end.getsockname()[1]
            mark = time.monotonic_ns()
            end.sendto("\r\n".join([
                f"OPTIONS sip:{self.net}.1 SIP/2.0", f"Via: SIP/2.0/UDP {source}:{port};branch=z9hG4bK{mark};rport",
                "Max-Forwards: 70", f"From: <sip:ping@{source}>;tag={mark}", f"To: <sip:{self.net}.1>",
                f"Call-ID: {mark}@{source}", "CSeq: 1 OPTIONS", "Content-Length: 0", "", ""]).encode(),
                (f"{self.net}.1", 5060))
            try:
                return [end.recv(65535).decode()]
            except OSError:
                return []

    def tenant(self):
        """The file with the tenant's rules."""
        return self.home / "policies/tenants/acme.toml"

    def stop(self, seconds=10):
        """SIGTERM, and the end in good order."""
        check(self.running(), f"Tollgate has died\n{self.tail(30)}")
        self.signal(signal.SIGTERM)
        self.ended_well(seconds)

    def ended_well(self, seconds=10):
        """It ends by itself, with nothing left over and nothing to complain of."""
        equal(self.wait(seconds), 0, f"Tollgate's exit code\n{self.tail()}")
        for word in ("panicked", "not given back", "defect"):
            check(word not in self.text(), f"Tollgate's log says {word!r}\n{self.tail(30)}")

    def ledger(self):
        """The records, once it has ended."""
        done = subprocess.run([PROGRAM, "ledger", "export", "-c", self.config],
                              capture_output=True, text=True, timeout=60, check=False)
        equal(done.returncode, 0, f"exit code of `ledger export`\n{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]


class Lab:
    """One case's programs, files and addresses."""

    program = Tollgate

    def __init__(self, directory, net, direct):
        self.directory, self.net, self.direct = directory, net, direct
        self.started, self.pipes = [], []
        self.tollgate = None
        self.pbx_address, self.carrier_address = f"{net}.3", f"{net}.2"

    def start(self, **rules):
        """Tollgate, with these rules in place of the ordinary ones."""
        if not self.direct:
            rules = {**addresses(self.net), **ORDINARY, **rules}
            source = rules["carrier_source"]
            rules["carrier_sources"] = f'"{source}"' if source else ""
            self.tollgate = self.program(self, rules)

    def restart(self):
        """kill -9, and Tollgate again, with the same files. Says how many seconds it was away."""
        start = time.monotonic()
        self.tollgate.signal(signal.SIGKILL)
        self.tollgate.wait(10)
        self.tollgate = Tollgate(self)
        return time.monotonic() - start

    def upgrade(self):
        """A successor takes over from the Tollgate that runs. Says after how many seconds it answers."""
        start, before = time.monotonic(), self.tollgate
        self.tollgate = Tollgate(self, options=["--take-over"])
        before.ended_well()
        # What is asked from now on waits for it alone.
        self.tollgate.await_ready()
        return time.monotonic() - start

    def end(self):
        """Ends whatever is still running."""
        for program in [*reversed(self.started), *self.pipes]:
            program.end()

    @property
    def next_hop_of_pbx(self):
        return f"{self.carrier_address}:5070" if self.direct else f"{self.net}.1:5060"

    @property
    def next_hop_of_carrier(self):
        return f"{self.pbx_address}:5080" if self.direct else f"{self.net}.1:5060"

    def carrier(self, end, **more):
        """SIPp as the carrier, waiting for calls, or opening them with `number`."""
        to = {"to": self.next_hop_of_carrier} if "number" in more else {}
        return Sipp(self, more.pop("name", "carrier"), end, self.carrier_address, 5070, **to, **more)

    def pbx(self, end, port=5080, **more):
        """SIPp as the phone system, opening calls, or waiting for them."""
        to = {"to": self.next_hop_of_pbx} if "number" in more or "numbers" in more else {}
        return Sipp(self, more.pop("name", "pbx"), end, self.pbx_address, port, **to, **more)

    def waiting(self, process, port):
        """Waits until a program has its port."""
        address = f"{self.carrier_address if process.name.startswith('carrier') else self.pbx_address}"
        packed = "".join(reversed([f"{int(part):02X}" for part in address.split(".")])) + f":{port:04X}"
        until(lambda: packed in Path("/proc/net/udp").read_text(), 5, f"{process.name} on port {port}", process)
        return process

    def outbound(self, caller, callee, calls=20, seconds=60, number=ALLOWED, **more):
        """Calls from the phone system to the carrier; every one as the two ends were told."""
        trace = more.get("trace", True)
        carrier = self.waiting(self.carrier(callee, trace=trace, seconds=seconds + 20), 5070)
        pbx = self.pbx(caller, number=number, calls=calls, seconds=seconds, **more)
        return self._finish(pbx, carrier, calls, seconds)

    def inbound(self, caller, callee, calls=20, seconds=60, number=OWN, **more):
        """Calls from the carrier to the phone system."""
        trace = more.get("trace", True)
        pbx = self.waiting(self.pbx(callee, trace=trace, seconds=seconds + 20), 5080)
        carrier = self.carrier(caller, number=number, calls=calls, seconds=seconds, **more)
        return self._finish(carrier, pbx, calls, seconds)

    @staticmethod
    def _finish(opener, other, calls, seconds):
        try:
            opener.finish(seconds, calls)
        except Failed as failed:
            raise Failed(f"{failed}\n{other.errors()}") from None
        other.stop(10, calls)
        return opener, other

    def closed(self, **expected):
        """Ends Tollgate, and settles the books."""
        if self.direct:
            return []
        self.tollgate.stop()
        return self.settled(**expected)

    def hung_up(self, calls):
        """The ledger of a Tollgate that has ended has so many ends, each of an answered call that its caller hung up."""
        ends = [record for record in self.tollgate.ledger() if record["record"] == "ended"]
        equal(len(ends), calls, "ends in the ledger")
        equal({(end["by"], end["cause"], end["answered"]) for end in ends}, {("caller", "bye", True)},
              "how calls ended")

    def settled(self, allow=0, refuse=0, emergency=0, **ends):
        """The ledger of a Tollgate that has ended: what was decided, and how
        every call ended, `answered` of them and `by` and `cause` as given."""
        records = self.tollgate.ledger()
        of = lambda kind: [record for record in records if record["record"] == kind]
        decisions = Counter(record["decision"] for record in of("verdict"))
        for record in of("refusals"):
            decisions["refuse"] += record["count"]
        expected = {"allow": allow, "refuse": refuse, "emergency": emergency}
        equal(dict(decisions), {key: value for key, value in expected.items() if value}, "decisions in the ledger")
        ended = of("ended")
        calls = [record["call"] for record in of("verdict") if record["decision"] != "refuse"]
        equal(sorted(record["call"] for record in ended), sorted(calls), "calls ended in the ledger")
        answered = ends.pop("answered", allow + emergency)
        equal(sum(record["answered"] for record in ended), answered, "calls answered in the ledger")
        for field, value in ends.items():
            found = Counter(record[field] for record in ended)
            equal(dict(found), {value: len(ended)}, f"`{field}` of the ends in the ledger")
        equal(sum(record["live"] for record in of("stopped")), 0, "calls up when Tollgate stopped")
        return records
