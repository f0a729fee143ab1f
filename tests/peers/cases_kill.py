"""kill -9. KILLS says how often (3 times), at random moments."""

import os
import random
import time

from cases import case
from process import check, equal
from scenario import ALLOWED, plain_callee, plain_caller

KILLS = int(os.environ.get("KILLS", "3"))


@case(needs_tollgate=True, alone=True)
def kill_and_restart(lab):
    """kill -9 with 1,000 calls up: Tollgate is back at once, and each ends by BYE on both sides."""
    lab.start()
    hold, patience = 9 + 2 * KILLS, 90 + 3 * KILLS
    carrier = lab.waiting(lab.carrier(plain_callee(), trace=False, seconds=patience + 30), 5070)
    pbx = lab.pbx(plain_caller(hold=True), number=ALLOWED, calls=1000, rate=400, hold=hold * 1000, trace=False,
                  seconds=patience)
    time.sleep(4)
    taken = []
    for _ in range(KILLS):
        time.sleep(random.uniform(0.1, 1))
        taken.append(lab.restart())
    print(f"        back within {max(taken):.2f} s, with 1,000 calls up", flush=True)
    pbx.finish(patience, 1000)
    carrier.stop(20, 1000)
    lab.tollgate.stop()
    lab.hung_up(1000)


@case(needs_tollgate=True, alone=True)
def kill_under_load(lab):
    """kill -9 at 200 calls/s: every INVITE that the carrier saw has its record, and every call its end."""
    lab.start()
    seconds = 4 + 2 * KILLS
    carrier = lab.waiting(lab.carrier(plain_callee(), seconds=seconds + 120), 5070)
    pbx = lab.pbx(plain_caller(), number=ALLOWED, calls=200 * seconds, rate=200, trace=False, seconds=seconds + 90)
    time.sleep(1)
    for _ in range(KILLS):
        time.sleep(random.uniform(0.1, 1))
        lab.restart()
    # What was being set up at such a moment is refused; SIPp counts that as failed.
    pbx.wait(seconds + 90)
    lab.tollgate.stop(60)
    carrier.end()
    records = lab.tollgate.ledger()
    of = lambda kind: [record for record in records if record["record"] == kind]
    verdicts = {record["b_call_id"]: record["call"] for record in of("verdict")}
    seen = {message.call_id for message in carrier.requests("INVITE")}
    check(len(seen) >= 200 * seconds // 2, f"the carrier saw {len(seen)} calls only")
    equal(sorted(seen - verdicts.keys()), [], "INVITEs at the carrier without a record")
    equal(sorted(record["call"] for record in of("ended")), sorted(verdicts.values()), "calls ended in the ledger")
