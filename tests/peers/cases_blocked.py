"""The switch that stops everything, while calls are up."""

import json
import socket
import time
from collections import Counter

from cases import case
from process import check, equal, until
from scenario import ALLOWED, OWN, Caller, plain_callee, plain_caller
from wire import Wire

ABROAD = "+23276123456"
CALLS = 1000


class Control:
    """Tollgate's control socket."""

    def __init__(self, tollgate):
        self.path = str(tollgate.home / "var/ledger/control")

    def send(self, order):
        """Gives an order, and leaves its answer to be read."""
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        end.settimeout(10)
        end.connect(self.path)
        end.sendall(json.dumps({"v": 1, "order": order}).encode() + b"\n")
        return end

    @staticmethod
    def answer(end):
        """What came of it."""
        with end, end.makefile() as lines:
            return json.loads(lines.readline())["reply"]

    def ask(self, order):
        return self.answer(self.send(order))

    def up(self):
        """How many calls have a leg that is not closed."""
        return self.ask("status")["status"]["calls"]


def reason(wire, mark):
    """Why a call that no rule allows is refused."""
    host, port = wire.next_hop
    uri = f"sip:{ABROAD}@{host}:{port}"
    dialog = (f"<sip:{OWN}@{wire.here}>;tag=p{mark}", f"<{uri}>", f"probe{mark}@{wire.here}")
    wire.ask("INVITE", uri, dialog, 1, wire.description())
    refusal = wire.receive(lambda message: message.is_response(603, "INVITE"), "603")
    wire.acknowledge(refusal, uri)
    wire.pending.clear()
    return refusal.first("Reason")


@case(needs_tollgate=True, alone=True)
def block(lab):
    """1,000 calls up and `block --hang-up`: refusing within 100 ms, hung up within 1 s, emergencies go on."""
    lab.start()
    control = Control(lab.tollgate)
    carrier = lab.waiting(lab.carrier(plain_callee(), trace=False), 5070)
    help_ = lab.pbx(plain_caller(hold=True), name="emergency", port=5082, number="110", calls=2, hold=20000)
    end = Caller().invite().ignore(100).ignore(180).expect(200).ack().hung_up().linger()
    pbx = lab.pbx(end, number=ALLOWED, calls=CALLS, rate=200, trace=False)
    until(lambda: control.up() == CALLS + 2, 20, "1,002 calls up", lab.tollgate)
    time.sleep(0.5)
    refusing = over = None
    probes = 0
    with Wire(lab.pbx_address, 5090, lab.next_hop_of_pbx) as wire:
        order = {"block": {"tenant": "acme", "scope": "everything", "hang_up": True, "why": "a test"}}
        start = time.monotonic()
        told = control.send(order)
        while time.monotonic() < start + 5 and over is None:
            if "blocked" not in reason(wire, probes):
                refusing = None
            elif refusing is None:
                refusing = time.monotonic() - start
            probes += 1
            if control.up() == 2:
                over = time.monotonic() - start
        check("blocks" in control.answer(told), "the order is not confirmed")
    check(refusing is not None and over is not None, f"in 5 s {control.up()} calls are left")
    print(f"  refusing after {refusing * 1000:.0f} ms, {CALLS} calls hung up after {over * 1000:.0f} ms", flush=True)
    check(refusing <= 0.1, f"refusing only after {refusing:.3f} s")
    check(over <= 1, f"hung up only after {over:.3f} s")
    pbx.finish(20, CALLS)
    lab.pbx(plain_caller(), name="more", port=5083, number="110", calls=2).finish(10, 2)
    check("blocks" in control.ask({"unblock": {"tenant": "acme"}}), "it is not lifted")
    lab.pbx(plain_caller(), name="lifted", port=5084, number=ALLOWED, calls=2).finish(10, 2)
    help_.finish(30, 2)
    carrier.stop(10, CALLS + 6)
    records = lab.closed(allow=CALLS + 2, refuse=probes, emergency=4)
    causes = Counter(record["cause"] for record in records if record["record"] == "ended")
    equal(dict(causes), {"blocked": CALLS, "bye": 6}, "how calls ended")
    orders = [record for record in records if record["record"] == "ordered"]
    equal(Counter(record["order"] for record in orders), {"block": 2, "unblock": 2}, "orders in the journal")
    equal({record["why"] for record in orders if record["order"] == "block"}, {"a test"}, "why it was blocked")
