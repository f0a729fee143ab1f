"""What the operator does while calls are up."""

import signal
import time

from cases import case
from cases_calls import refused_caller
from process import check, equal, until
from scenario import ALLOWED, plain_callee, plain_caller

ABROAD = "+23276123456"


@case(needs_tollgate=True, alone=True)
def sigterm(lab):
    """SIGTERM with 50 calls up: no new ones but emergencies, these go on to their end, exit 0."""
    lab.start()
    carrier = lab.waiting(lab.carrier(plain_callee()), 5070)
    pbx = lab.pbx(plain_caller(hold=True), number=ALLOWED, calls=50, rate=100, hold=4000)
    time.sleep(1.5)
    lab.tollgate.signal(signal.SIGTERM)
    time.sleep(0.5)
    lab.pbx(refused_caller(), name="late", port=5081, number=ALLOWED, calls=5, rate=100).finish(10, 5)
    lab.pbx(plain_caller(), name="emergency", port=5082, number="110", calls=2).finish(10, 2)
    check(lab.tollgate.running(), f"Tollgate ended with calls up\n{lab.tollgate.tail()}")
    pbx.finish(20, 50)
    lab.tollgate.ended_well()
    carrier.stop(10, 52)
    lab.settled(allow=50, refuse=5, emergency=2, by="caller", cause="bye")


@case(needs_tollgate=True, alone=True)
def sighup(lab):
    """SIGHUP with a broken rule file keeps the rules; with a sound one, it changes them."""
    lab.start()
    carrier = lab.waiting(lab.carrier(plain_callee()), 5070)
    tenant, sound = lab.tollgate.tenant(), lab.tollgate.tenant().read_text()

    def calls(name, end, number):
        lab.pbx(end, name=name, port=5080, number=number, calls=3).finish(10, 3)

    calls("before", refused_caller(), ABROAD)
    held = lab.pbx(plain_caller(hold=True), name="held", port=5081, number=ALLOWED, calls=10, rate=100, hold=3000)
    tenant.write_text(sound.replace("[destinations]", "[destinationz]"))
    lab.tollgate.signal(signal.SIGHUP)
    until(lambda: "destinationz" in lab.tollgate.text(), 5, "the fault in Tollgate's log", lab.tollgate)
    calls("broken", refused_caller(), ABROAD)
    calls("kept", plain_caller(), ALLOWED)
    tenant.write_text(sound.replace('"+44 20"', '"+44 20", "sl"'))
    lab.tollgate.signal(signal.SIGHUP)
    time.sleep(1)
    calls("changed", plain_caller(), ABROAD)
    held.finish(10, 10)
    carrier.stop(10, 16)
    records = lab.closed(allow=16, refuse=6)
    equal(sum(record["record"] == "rules_loaded" for record in records if record["shard"] == 0), 2,
          "rule sets in the ledger")


@case(needs_tollgate=True, alone=True)
def take_over(lab):
    """Upgraded in place twice while 1,000 calls end at 400/s: no call and no datagram is lost."""
    lab.start()
    carrier = lab.waiting(lab.carrier(plain_callee(), trace=False, seconds=120), 5070)
    pbx = lab.pbx(plain_caller(hold=True), number=ALLOWED, calls=1000, rate=400, hold=5000, trace=False, seconds=90)
    time.sleep(5.3)
    taken = []
    for _ in range(2):
        taken.append(lab.upgrade())
        time.sleep(0.5)
    print(f"        the successor answers within {max(taken):.2f} s", flush=True)
    # Who may not know that a call has ended is told again; and a busy machine may take longer than Timer T1.
    pbx.finish(60, 1000, repeated=True)
    carrier.stop(20, 1000, repeated=True)
    lab.tollgate.stop(60)
    check("lost before they were read" not in lab.tollgate.text(), "datagrams were lost")
    lab.hung_up(1000)


@case(needs_tollgate=True, alone=True)
def take_over_refused(lab):
    """A successor whose rules are broken does not start, and the predecessor goes on."""
    lab.start()
    tenant, sound = lab.tollgate.tenant(), lab.tollgate.tenant().read_text()
    tenant.write_text(sound.replace("[destinations]", "[destinationz]"))
    done = lab.tollgate.successor()
    equal(done.returncode, 1, f"its exit code\n{done.stderr}")
    for words in ("destinationz", "nothing is taken over"):
        check(words in done.stderr, f"it does not say {words!r}:\n{done.stderr}")
    tenant.write_text(sound)
    carrier = lab.waiting(lab.carrier(plain_callee()), 5070)
    lab.pbx(plain_caller(), number=ALLOWED, calls=5, rate=100).finish(10, 5)
    carrier.stop(10, 5)
    lab.closed(allow=5, by="caller", cause="bye")
