"""kill -9. KILLS says how often (3 times), at random moments."""

import os
import random
import time

from decimal import Decimal

from cases import case
from cases_blocked import Control
from cases_calls import refused_caller
from cases_midcall import HELD, HOLDING, connected, holds
from process import check, equal, until
from scenario import ALLOWED, plain_callee, plain_caller, sdp

KILLS = int(os.environ.get("KILLS", "3"))


@case(needs_tollgate=True, alone=True)
def kill_and_restart(lab):
    """kill -9 with 1,000 calls up: Tollgate is back at once, its caps and leases are exact, and each call ends by BYE."""
    lab.start(calls_at_once=1000)
    hold, patience = 9 + 3 * KILLS, 90 + 4 * KILLS
    carrier = lab.waiting(lab.carrier(plain_callee(), trace=False, seconds=patience + 30), 5070)
    pbx = lab.pbx(plain_caller(hold=True), number=ALLOWED, calls=1000, rate=400, hold=hold * 1000, trace=False,
                  seconds=patience)
    until(lambda: standing(lab)["calls"] == 1000, 20, "1,000 calls up", lab.tollgate)
    taken = []
    for kill in range(KILLS):
        time.sleep(random.uniform(0.1, 1))
        taken.append(lab.restart())
        # All places of the cap are taken: neither one more nor one less.
        lab.pbx(refused_caller(), name=f"surplus{kill}", port=5081, number=ALLOWED, calls=1, trace=False).finish(20, 1)
        equal(standing(lab)["calls"], 1000, "calls that count")
    print(f"        back within {max(taken):.2f} s, with 1,000 calls up", flush=True)
    pbx.finish(patience, 1000)
    carrier.stop(20, 1000)
    until(lambda: money(lab, "held") == 0, 40, "no lease is held any more", lab.tollgate)
    spent = money(lab, "spent")
    lab.tollgate.stop()
    lab.hung_up(1000)
    ends = [record for record in lab.tollgate.ledger() if record["record"] == "ended"]
    equal(spent, sum(Decimal(end["cost"]) for end in ends), "the budget's use, and what calls have cost")


def standing(lab):
    """How the tenant stands: its calls, and its budgets."""
    tenants = Control(lab.tollgate).ask("status")["status"]["tenants"]
    return next((it for it in tenants if it["name"] == "acme"), {"calls": 0, "budgets": []})


def money(lab, what):
    """What is spent or held of its budget."""
    return sum(Decimal(budget[what]) for budget in standing(lab)["budgets"] if "cap" not in budget)


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


@case(needs_tollgate=True, alone=True)
def kill_in_hold(lab):
    """kill -9 while the caller waits for the answer to its hold: it has that answer, and the call goes on."""
    lab.start()
    caller, callee = connected()
    # Whoever comes back says 100 once more.
    caller.pause(1500).request("INVITE", sdp("sendonly")).ignore(100).ignore(100).expect(200, HOLDING).request("ACK")
    callee.receive("INVITE", HELD).answer(100, "Trying", "INVITE").pause(2500)
    callee.answer(200, "OK", "INVITE", sdp("recvonly")).receive("ACK")
    holds(callee, caller)
    carrier = lab.waiting(lab.carrier(callee.hung_up().linger(), seconds=40), 5070)
    pbx = lab.pbx(caller.pause(500).bye(), number=ALLOWED, calls=1, seconds=40)
    until(lambda: standing(lab)["calls"] == 1, 10, "the call is up", lab.tollgate)
    time.sleep(2.5)
    lab.restart()
    # What was sent while nobody was there is sent again.
    pbx.finish(40, 1, repeated=True)
    carrier.stop(10, 1, repeated=True)
    lab.closed(allow=1)
