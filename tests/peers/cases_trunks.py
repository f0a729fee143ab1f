"""Trunks that register."""

from cases import case
from kamailio import REALM, SECRET, USERNAME, Kamailio
from process import check, equal
from scenario import ALLOWED, OWN, Callee, plain_callee, plain_caller
from sipp import Sipp

CALLS = 20


class Behind(Callee):
    """Who is called by way of a proxy: every Via and Record-Route goes back."""

    def _send(self, lines, headers, body, retransmitted):
        if lines[0].startswith("SIP/2.0"):
            lines = [lines[0], "[last_Via:]", "[last_Record-Route:]", *lines[2:]]
        return super()._send(lines, headers, body, retransmitted)

REGISTRATION = f"""\
registration = {{ aor = "sip:{OWN}@{REALM}", username = "{USERNAME}", secret_file = "secrets/trunk", expires = "60s" }}
"""


def out(lab, turn):
    """Calls from the phone system to the world behind the carrier."""
    behind = Behind().called().ring().pick_up().receive("ACK").hung_up().linger()
    world = lab.waiting(Sipp(lab, f"carrier-world{turn}", behind, f"{lab.net}.4", 5090), 5090)
    lab.pbx(plain_caller(), name=f"pbx{turn}", port=5082, number=ALLOWED, calls=CALLS).finish(60, CALLS)
    world.stop(10, CALLS)


def inward(lab, turn):
    """Calls from there to the phone system."""
    pbx = lab.waiting(lab.pbx(plain_callee(), name=f"pbx-called{turn}"), 5080)
    world = Sipp(lab, f"world-calls{turn}", plain_caller(), f"{lab.net}.4", 5092, to=f"{lab.net}.2:5070", number=OWN,
                 calls=CALLS)
    world.finish(60, CALLS)
    pbx.stop(10, CALLS)


@case(needs_tollgate=True)
def trunk_is_called_by_its_gruu(lab):
    """Kamailio gives a GRUU with the registration: within calls it is asked by that."""
    secret = lab.directory / "config/secrets/trunk"
    secret.parent.mkdir(parents=True)
    secret.write_text(SECRET + "\n")
    lab.carrier_address = f"{lab.net}.4"
    carrier = Kamailio(lab)
    lab.start(carrier_more=REGISTRATION.replace(" }", ", gruu = true }"))
    carrier.registers(10)
    out(lab, 1)
    inward(lab, 1)
    check(carrier.said("GRUU ACK") >= CALLS, "Kamailio saw no GRUU in an ACK")
    check(carrier.said("GRUU BYE") >= CALLS, "Kamailio saw no GRUU in a BYE")
    lab.closed(allow=2 * CALLS, by="caller", cause="bye")


@case(needs_tollgate=True)
def trunk_registers(lab):
    """Kamailio as a carrier that challenges: Tollgate registers, calls both ways, over restarts of both."""
    secret = lab.directory / "config/secrets/trunk"
    secret.parent.mkdir(parents=True)
    secret.write_text(SECRET + "\n")
    lab.carrier_address = f"{lab.net}.4"
    carrier = Kamailio(lab)
    lab.start(carrier_more=REGISTRATION)
    carrier.registers(10)
    # It registers again, and the same: a call that forked would come twice.
    lab.restart()
    carrier.registers(10, times=2)
    out(lab, 1)
    inward(lab, 1)
    check(carrier.said("CHALLENGED INVITE") >= CALLS, "Kamailio challenged no INVITE")
    check(carrier.said("CHALLENGED BYE") >= CALLS, "Kamailio challenged no BYE")

    # The carrier forgets all that was registered, and hears of it again.
    carrier.end()
    carrier = Kamailio(lab)
    carrier.registers(60)
    inward(lab, 2)
    out(lab, 2)

    lab.closed(allow=4 * CALLS, by="caller", cause="bye")

    told = [path.read_text("utf-8", "replace") for path in lab.directory.glob("pbx*/messages.log")]
    equal(len(told), 4, "traces of the phone system")
    for word in ("Authenticate", "Authorization", REALM, USERNAME, SECRET):
        check(not any(word in text for text in told), f"the phone system was told of {word}")
    kept = [path.read_bytes() for path in (lab.directory / "config/var").rglob("*") if path.is_file()]
    check(not any(SECRET.encode() in text for text in [*kept, lab.tollgate.text().encode()]), "the secret is in a file")
