"""Floods: of strangers, and of a phone system that somebody broke into."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

from cases import case
from cases_blocked import Control
from lab import PROGRAM
from process import Process, check, equal
from scenario import ALLOWED, OWN, plain_callee, plain_caller
from wire import Wire

HONEST = 50
"""Calls a second of the tenant that does no harm."""

FRAUDULENT = 10 * HONEST
"""INVITEs a second of those that do: half of strangers, half of a tenant's phone system."""

STORM = int(os.environ.get("FLOOD_RATE", "100000"))
"""The same where it is more than a core can judge. The senders take about another one for it; all there are without a
limit, 0."""

SECONDS = int(os.environ.get("FLOOD_SECONDS", "6"))
"""For how long each flood goes on."""

NOWHERE = "01023276123456"

SET_UP = 0.999
ADDED = {"flood": 20, "storm": 600}
"""The share of honest calls that must be set up, and the milliseconds that may be added to how long that takes: to the
longest but one in a hundred. In a storm the processors are so few for all who want one that the kernel may lose messages,
which come again after half a second."""


class Timed:
    """SIPp's caller, which also says how long each call took from its INVITE to the 200."""

    def __init__(self, end):
        self.end = end

    def xml(self):
        text = self.end.xml()
        text = text.replace('<send retrans="500">', '<send retrans="500" start_rtd="1">', 1)
        return text.replace('<recv response="200" rrs="true">', '<recv response="200" rrs="true" rtd="1">', 1)


class Flooder(Process):
    """A sender of INVITEs: see flooder.py."""

    def __init__(self, lab, name, rate, seconds, hosts):
        program = Path(__file__).resolve().with_name("flooder.py")
        super().__init__(lab, name, [sys.executable, program, f"{lab.net}.1:5060", rate, seconds, NOWHERE, *hosts])

    def sent(self):
        """How many there were, and how many a second."""
        self.wait(SECONDS + 30)
        count, seconds = self.text().split()
        return int(count), int(count) / float(seconds)


def broken(lab):
    """Another tenant, whose phone system is in the hands of others."""
    ours = lab.tollgate.tenant().read_text()
    for old, new in (('"acme"', '"broken"'), (f"{lab.net}.3", f"{lab.net}.4"), ("+813355700", "+813355800")):
        ours = ours.replace(old, new)
    (lab.tollgate.home / "policies/tenants/broken.toml").write_text(ours)
    reload(lab)


def reload(lab):
    """`tollgate reload`, which waits until every shard obeys."""
    done = subprocess.run([PROGRAM, "reload", "-c", lab.tollgate.config], capture_output=True, text=True, timeout=30,
                          check=False)
    equal(done.returncode, 0, f"exit code of `reload`\n{done.stderr}")


def percentile(times, of):
    return sorted(times)[min(int(len(times) * of), len(times) - 1)]


def honest(lab, name, seconds, flooders=()):
    """The honest calls of one span: how many there were, were set up, and how long the slow ones took."""
    calls = HONEST * seconds
    sipp = lab.pbx(Timed(plain_caller()), name=name, port=5080, number=ALLOWED, calls=calls, rate=HONEST, trace=False,
                   seconds=seconds + 60, options=["-trace_rtt", "-rtt_freq", "1"])
    for host in (lab.pbx_address, f"{lab.net}.4") if flooders else ():
        emergency(lab, host)
        reload(lab)
    sipp.wait(seconds + 90)
    figures = sipp.figures()
    files = sipp.directory.glob("*_rtt.csv")
    times = [float(row["response_time_ms"]) for file in files for row in csv.DictReader(file.open(), delimiter=";")]
    good = figures["SuccessfulCall(C)"]
    slow = percentile(times, 0.99) if times else float("inf")
    print(f"        {name:8} {good} of {calls} calls set up, {figures['Retransmissions(C)']} messages sent again; half "
          f"within {percentile(times, 0.5):.1f} ms, 99 % within {slow:.1f} ms, all within {max(times):.1f} ms", flush=True)
    for flooder in flooders:
        count, rate = flooder.sent()
        print(f"        {'':8} {flooder.name}: {count} INVITEs, {rate:.0f} a second", flush=True)
    return good / calls, slow


def emergency(lab, host):
    """A call to the police, while all this goes on: answered, and hung up."""
    with Wire(host, 5099, f"{lab.net}.1:5060") as wire:
        wire.copies = 3  # it repeats nothing, and the kernel may lose some
        uri, mark = f"sip:110@{lab.net}.1:5060", f"e{time.monotonic_ns()}"
        near, call_id = f"<sip:{OWN}@{wire.here}>;tag={mark}", f"{mark}@{wire.here}"
        wire.ask("INVITE", uri, (near, f"<{uri}>", call_id), 1, wire.description())
        answer = wire.receive(lambda it: it.is_response(200, "INVITE"), "200 of an emergency call", 3)
        dialog = (near, answer.first("To"), call_id)
        wire.ask("ACK", uri, dialog, 1)
        wire.ask("BYE", uri, dialog, 2)
        wire.receive(lambda it: it.is_response(200, "BYE"), "200 to the BYE", 3)


@case(needs_tollgate=True, alone=True)
def flood(lab):
    """10 fraudulent INVITEs for each honest call, then more than a core can judge: honest calls are set up as ever."""
    lab.start()
    broken(lab)
    carrier = lab.waiting(lab.carrier(plain_callee(), trace=False, seconds=3 * SECONDS + 300), 5070)
    strangers = [f"{lab.net}.{host}" for host in range(101, 121)]
    _, ordinary = honest(lab, "quiet", min(SECONDS, 60))
    for name, rates in (("flood", (FRAUDULENT // 2, FRAUDULENT // 2)), ("storm", (STORM // 2, STORM // 2))):
        flooders = [Flooder(lab, f"{name}-{who}", rate, SECONDS + 1, hosts) for who, rate, hosts
                    in (("strangers", rates[0], strangers), ("broken", rates[1], [f"{lab.net}.4"]))]
        share, slow = honest(lab, name, SECONDS, flooders)
        print(f"        {'':8} {100 * share:.2f} % set up, {slow - ordinary:.1f} ms added", flush=True)
        lost = round((1 - share) * HONEST * SECONDS)
        check(share >= SET_UP or lost <= 1, f"{name}: {100 * share:.2f} % of honest calls were set up")
        check(slow - ordinary <= ADDED[name], f"{name}: {slow - ordinary:.1f} ms added to honest calls")
    carrier.end()
    status = Control(lab.tollgate).ask("status")["status"]
    shed = status.get("shed", [])
    check(all(it["whose"] == "broken" for it in shed), f"shed: {shed}")
    equal(sum(it["emergency"] for it in shed), 0, "emergency calls shed")
    equal(status["banned"], len(strangers), "strangers banned")
    lab.tollgate.stop(20)
    notes = [record for record in lab.tollgate.ledger() if record["record"] == "note"]
    written = sum(note["count"] for note in notes if note["what"] == "shed")
    told = sum(it["new"] + it["under_way"] for it in shed)
    check(written >= told, f"{told} messages shed, and {written} written down")
