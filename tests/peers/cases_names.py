"""Carriers that are reached by a name."""

import json
import subprocess
import time

from cases import case
from cases_calls import refused_caller
from cases_ways import BESIDE
from dns import A, NAPTR, SRV, NameServer, address, pointer, service
from lab import PROGRAM
from process import check, equal, until
from scenario import ALLOWED, OWN, Callee, plain_callee, plain_caller
from sipp import Sipp
from tls import Papers, Pipe

CARRIER = "sip.carrier.example"
SERVICE = f"_sip._udp.{CARRIER}"
CALLS = 20


def resolver(server):
    return f'[resolver]\nservers = ["{server.where}"]\ntimeout = "1s"\n'


def leads_to(lab):
    """What `tollgate status` says of the carrier's name."""
    done = subprocess.run([PROGRAM, "status", "--json", "-c", lab.tollgate.config],
                          capture_output=True, text=True, timeout=10, check=True)
    return json.loads(done.stdout)["carriers"][0]["leads_to"]


def gateways(lab):
    return [gateway["address"] for gateway in leads_to(lab)["gateways"]]


def carrier_at(lab, host, end, name, **more):
    """SIPp as the carrier at one of its addresses."""
    lab.carrier_address = host
    return lab.waiting(Sipp(lab, f"carrier-{name}", end, host, 5070, trace=False, **more), 5070)


def calls(lab, name, *ends, **more):
    """Calls from the phone system; `ends` are the programs that get all of them."""
    pbx = lab.pbx(plain_caller(), name=f"pbx-{name}", number=ALLOWED, calls=CALLS, trace=False, **more)
    pbx.finish(60, CALLS)
    for end in ends:
        end.stop(10, CALLS)


def out_of_service():
    return Callee().called().reply(503, "Out").receive("ACK").linger()


@case(needs_tollgate=True)
def names_followed(lab):
    """A carrier named by SRV: its second address takes over, and another answer is followed while calls are up."""
    server = NameServer(lab, f"{lab.net}.5")
    hosts = {"a": f"{lab.net}.2", "b": f"{lab.net}.4", "c": f"{lab.net}.6"}
    for label, host in hosts.items():
        server.has(f"{label}.carrier.example", A, address(host))
    server.has(SERVICE, SRV, service(10, 0, 5070, "b.carrier.example"), service(0, 0, 5070, "a.carrier.example"))
    lab.start(carrier=f"udp:{CARRIER}", carrier_source="", listen=resolver(server))
    equal(gateways(lab), [f"udp:{hosts['a']}:5070", f"udp:{hosts['b']}:5070"], "where the name leads")

    # The first address says that it is out of service, and then nothing at all.
    refusing = carrier_at(lab, hosts["a"], out_of_service(), "a")
    second = carrier_at(lab, hosts["b"], plain_callee(), "b")
    calls(lab, "1", refusing, second)
    second = carrier_at(lab, hosts["b"], plain_callee(), "b2")
    calls(lab, "2", second)

    # Another answer, while calls are up at what it leaves out.
    second = carrier_at(lab, hosts["b"], plain_callee(), "b3")
    third = carrier_at(lab, hosts["c"], plain_callee(), "c")
    up = lab.pbx(plain_caller(hold=True), name="pbx-up", port=5081, number=ALLOWED, calls=CALLS, hold=15000,
                 rate=100, trace=False)
    time.sleep(4)
    server.has(SERVICE, SRV, service(0, 0, 5070, "c.carrier.example"))
    until(lambda: gateways(lab) == [f"udp:{hosts['c']}:5070"], 15, "following the new answer", lab.tollgate)
    calls(lab, "3", third)
    up.finish(60, CALLS)
    second.stop(10, CALLS)

    # What the name leads to may call.
    lab.carrier_address = hosts["c"]
    lab.inbound(plain_caller(), plain_callee(), calls=CALLS, number=OWN)

    # Nobody answers any more, not even for the next life.
    server.end()
    until(lambda: leads_to(lab).get("fault"), 30, "a fault of the lookup", lab.tollgate)
    third = carrier_at(lab, hosts["c"], plain_callee(), "c-up")
    up = lab.pbx(plain_caller(hold=True), name="pbx-up-2", port=5082, number=ALLOWED, calls=CALLS, hold=8000,
                 rate=100, trace=False)
    time.sleep(3)
    lab.restart()
    equal(gateways(lab), [f"udp:{hosts['c']}:5070"], "where the name leads after a restart")
    up.finish(60, CALLS)
    third.stop(10, CALLS)
    third = carrier_at(lab, hosts["c"], plain_callee(), "c4")
    # Calls that had just ended are ended once more, at the port of before.
    calls(lab, "4", third, port=5094)
    lab.tollgate.stop(60)


@case(needs_tollgate=True)
def names_certified(lab):
    """NAPTR leads to TLS: the certificate must be for the name, and who shows another one gets no call."""
    papers, server = Papers(lab.directory), NameServer(lab, f"{lab.net}.5")
    for name in ("tollgate.invalid", "other.example", CARRIER):
        papers.issue(name)
    hosts = {"other.example": f"{lab.net}.4", CARRIER: f"{lab.net}.2"}
    secure = f"_sips._tcp.{CARRIER}"
    server.has(CARRIER, NAPTR, pointer(10, "SIPS+D2T", secure), pointer(20, "SIP+D2U", SERVICE))
    server.has(secure, SRV, service(0, 0, 5070, "a.carrier.example"), service(1, 0, 5070, "b.carrier.example"))
    server.has("a.carrier.example", A, address(hosts["other.example"]))
    server.has("b.carrier.example", A, address(hosts[CARRIER]))
    lab.start(carrier=CARRIER, carrier_source="", carrier_more=f'ca = "{papers.authority}"',
              listen=resolver(server) + papers.listener(f"{lab.net}.1:5061"))
    equal(gateways(lab), [f"tls:{host}:5070" for host in hosts.values()], "where the name leads")
    for name, host in hosts.items():
        Pipe(lab, papers, name, (host, 5070), (host, 5070 + BESIDE), from_tollgate=True)
    carriers = [Sipp(lab, f"carrier-{name}", plain_callee(), host, 5070 + BESIDE, transport="t1", trace=False)
                for name, host in hosts.items()]
    time.sleep(1)
    lab.pbx(plain_caller(), number=ALLOWED, calls=CALLS, trace=False).finish(60, CALLS)
    for carrier, expected in zip(carriers, (0, CALLS)):
        carrier.stop(10, expected)
    lab.tollgate.stop(60)


@case(needs_tollgate=True)
def names_appear(lab):
    """A name that leads nowhere at first: Tollgate starts, refuses calls, and takes them once it does; never beyond its sources."""
    server = NameServer(lab, f"{lab.net}.5")
    lab.start(carrier=CARRIER, carrier_source=f"{lab.net}.2/32", listen=resolver(server))
    equal(gateways(lab), [], "where the name leads")
    check("no such name" in leads_to(lab)["fault"], "the fault is not told")
    refused = lab.pbx(refused_caller(), name="pbx-refused", number=ALLOWED, calls=1, trace=False)
    refused.finish(20, 1)
    server.has(CARRIER, NAPTR, pointer(10, "SIPS+D2T", f"_sips._tcp.{CARRIER}"), pointer(20, "SIP+D2U", SERVICE))
    server.has(SERVICE, SRV, service(0, 5, 5070, "a.carrier.example"))
    server.has("a.carrier.example", A, address(f"{lab.net}.6"), address(f"{lab.net}.2"))
    until(lambda: gateways(lab) == [f"udp:{lab.net}.2:5070"], 30, "the name leading to the carrier", lab.tollgate)
    check(f"{lab.net}.6:5070: by the rules it is not this carrier's" in leads_to(lab)["left_out"][0],
          "an address beyond the sources is not left out")
    carrier = carrier_at(lab, f"{lab.net}.2", plain_callee(), "a")
    calls(lab, "1", carrier)
    # An answer of which nothing is the carrier's by the rules is as none.
    server.has("a.carrier.example", A, address(f"{lab.net}.6"))
    until(lambda: "of use" in leads_to(lab).get("fault", ""), 30, "a fault of the answer", lab.tollgate)
    equal(gateways(lab), [f"udp:{lab.net}.2:5070"], "where the name leads")
    carrier = carrier_at(lab, f"{lab.net}.2", plain_callee(), "a2")
    calls(lab, "2", carrier)
    lab.tollgate.stop()
