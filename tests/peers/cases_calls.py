"""Many calls: the ordinary ones, the fraudulent ones, and the caps."""

import time

from cases import case
from process import check, equal
from scenario import ALLOWED, Callee, Caller, Check, plain_callee, plain_caller

# What a phone system in the hands of others dials, and what nobody's rules allow.
FRAUD = [
    "+23276123456", "01023276123456", "*01023276123456", "%2A01023276123456", "%23010442071838750",
    "%2530442071838750", "0033010442071838750", "00442071838750", "+18769221234", "+19005551234",
    "+881612345678", "0570123456", "142", "+442071838750:x", "+44207183875o",
    "acme", "186184010442071838750", "18401023276123456", "+5351234567",
]


def refused_caller(user="[service]", body=None):
    """An INVITE that is refused, with a reason that a PBX's log can show."""
    return Caller("refused", user).invite(body).ignore(100).refused(
        603, Check(r"Q\.850 *; *cause=21", header="Reason"))


@case(alone=True)
def calls(lab):
    """5,000 calls at 200/s."""
    lab.start()
    lab.outbound(plain_caller(), plain_callee(), 5000, rate=200, trace=False)
    lab.closed(allow=5000, by="caller", cause="bye")


@case(alone=True)
def calls_held(lab):
    """5,000 calls at 200/s that last 10 s: 2,000 at once."""
    lab.start()
    pbx, _ = lab.outbound(plain_caller(hold=True), plain_callee(), 5000, rate=200, hold=10000, trace=False)
    check(pbx.peak() >= 1990, f"only {pbx.peak()} calls at once")
    lab.closed(allow=5000, by="caller", cause="bye")


@case(needs_tollgate=True, alone=True)
def fraud(lab):
    """5,000 refused calls between 2,000 allowed ones: none at the carrier."""
    lab.start()
    carrier = lab.waiting(lab.carrier(plain_callee(), trace=False), 5070)
    bad = lab.pbx(refused_caller("[field0]"), name="fraudster", port=5081, numbers=FRAUD, calls=5000, rate=200,
                  trace=False)
    good = lab.pbx(plain_caller(), number=ALLOWED, calls=2000, rate=80, trace=False)
    good.finish(60, 2000)
    bad.finish(60, 5000)
    carrier.stop(10, 2000)
    records = lab.closed(allow=2000, refuse=5000)
    reasons = {record["reason"] for record in records if record["record"] == "verdict" and record["decision"] == "refuse"}
    check("" not in reasons, "a refusal without a reason in the ledger")


@case
def inbound(lab):
    """500 calls from the carrier to the phone system, hung up by either."""
    lab.start()
    lab.inbound(plain_caller(), plain_callee(), 500, rate=100, trace=False)
    lab.closed(allow=500, by="caller", cause="bye")


@case(needs_tollgate=True)
def inbound_unknown(lab):
    """Numbers that are nobody's are not delivered."""
    lab.start()
    pbx = lab.waiting(lab.pbx(plain_callee()), 5080)
    end = Caller().invite().ignore(100).refused(603)
    lab.carrier(end, number="+81335579999", calls=10).finish(20, 10)
    pbx.stop(10, 0)
    lab.closed(refuse=10)


@case(needs_tollgate=True, alone=True)
def cap(lab):
    """Of 40 calls at once under a cap of 10, 10 go through, and 10 more after them."""
    lab.start(calls_at_once=10)
    carrier = lab.waiting(lab.carrier(plain_callee()), 5070)
    first = lab.pbx(plain_caller(hold=True), number=ALLOWED, calls=10, rate=1000, hold=2000)
    time.sleep(0.7)
    lab.pbx(refused_caller(), name="surplus", port=5081, number=ALLOWED, calls=30, rate=1000).finish(20, 30)
    first.finish(20, 10)
    again = lab.pbx(plain_caller(hold=True), name="again", number=ALLOWED, calls=10, rate=1000, hold=500)
    again.finish(20, 10)
    carrier.stop(10, 20)
    lab.closed(allow=20, refuse=30)


@case(needs_tollgate=True)
def emergency(lab):
    """An emergency call goes whatever the rules and caps say, as it was dialled."""
    lab.start(calls_at_once=1)
    end = Callee().called(Check("^INVITE sip:110@")).ring().pick_up().receive("ACK").hung_up().linger()
    carrier = lab.waiting(lab.carrier(end), 5070)
    lab.pbx(plain_caller(hold=True), number="184110", calls=10, rate=100, hold=500).finish(20, 10)
    carrier.stop(10, 10)
    lab.closed(emergency=10)


@case(needs_tollgate=True, alone=True)
def strangers(lab):
    """Who is no configured peer gets no answer, whatever it sends."""
    lab.start()
    equal(lab.tollgate.options(f"{lab.net}.9", wait=1), [], "answers to a stranger")
    check(lab.tollgate.options(lab.carrier_address), "the carrier's OPTIONS was not answered")
    lab.closed()
