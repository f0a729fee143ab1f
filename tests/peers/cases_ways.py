"""Every way to a peer: UDP, TCP and TLS, IPv4 and IPv6, and all pairs of them."""

import socket
from pathlib import Path

from apart import apart
from cases import case
from process import check, until
from scenario import ALLOWED, OWN, plain_callee, plain_caller
from sipp import Sipp
from tls import Papers, Pipe

CALLS = 200

# How far from the port of a peer that has no TLS itself its other port is.
BESIDE = 2000


NET6 = "fd00:5060::"


def six(lab, last):
    """An IPv6 address: the machine has one on its loopback network, a network of the case's own has more."""
    return f"{NET6}{last}" if getattr(lab, "apart", False) else "::1"


class Way:
    """How one peer is reached, and where it is."""

    def __init__(self, lab, transport, version, last):
        self.transport, self.version = transport, version
        v6 = version == 6
        self.host = f"[{six(lab, last)}]" if v6 else f"{lab.net}.{last}"
        port = 5061 if transport == "tls" else 5060
        self.tollgate = f"[{six(lab, 1)}]:{port}" if v6 else f"{lab.net}.1:{port}"
        self.papers = None

    def __str__(self):
        return f"{self.transport}{self.version}"

    @property
    def source(self):
        """Its address as a rule has it."""
        return f"{self.host.strip('[]')}/128" if self.version == 6 else f"{self.host}/32"

    def sipp(self, lab, name, end, port, **more):
        """SIPp there; calls Tollgate if there is a number. It has no TLS: a pipe of ours has it."""
        if "number" in more:
            more["to"] = self.tollgate
        if self.transport == "tls":
            host = self.host.strip("[]")
            if "number" in more:
                more["to"] = f"{self.host}:{port + BESIDE}"
                tollgate = (self.tollgate.rsplit(":", 1)[0].strip("[]"), 5061)
                Pipe(lab, self.papers, "peer.invalid", (host, port + BESIDE), tollgate, from_tollgate=False)
            else:
                Pipe(lab, self.papers, "peer.invalid", (host, port), (host, port + BESIDE), from_tollgate=True)
                port += BESIDE
        transport = "u1" if self.transport == "udp" else "t1"
        return Sipp(lab, name, end, self.host, port, transport=transport, trace=False, **more)

    @property
    def more(self):
        """What its rule says besides its address."""
        return self.papers.towards("peer.invalid") if self.transport == "tls" else ""

    def waiting(self, process, port):
        """Waits until it has its port."""
        port += BESIDE if self.transport == "tls" else 0
        kind = "udp" if self.transport == "udp" else "tcp"
        table = Path(f"/proc/thread-self/net/{kind}{'6' if self.version == 6 else ''}")
        local = lambda line: line.split()[1]
        listens = lambda: any(local(line).endswith(f":{port:04X}") for line in table.read_text().splitlines()[1:])
        until(listens, 5, f"{process.name} on port {port}", process)
        return process


def pair(lab, number, pbx, carrier):
    """So many calls each way between two peers, both ways at once."""
    here = f"[{six(lab, 1)}]"
    listen = "\n".join(f'[[listen]]\naddress = "{scheme}:{host}"'
                       for scheme, host in [("tcp", f"{lab.net}.1:5060"), ("udp", f"{here}:5060"), ("tcp", f"{here}:5060")])
    papers = Papers(lab.directory)
    papers.issue("tollgate.invalid")
    papers.issue("peer.invalid")
    pbx.papers = carrier.papers = papers
    listen += "\n" + papers.listener(f"{lab.net}.1:5061") + papers.listener(f"{here}:5061")
    sources = {f'"{lab.net}.3/32"', f'"{pbx.source}"'}
    port = 5070 + number * 10
    lab.start(listen=listen, carrier=f"{carrier.transport}:{carrier.host}:{port}", carrier_source=carrier.source,
              carrier_more=carrier.more, pbx_more=pbx.more, segment_megabytes=8,
              pbx=f"{pbx.transport}:{pbx.host}:{port + 1}", pbx_sources=", ".join(sorted(sources)))
    name = f"{pbx}-{carrier}"
    called = carrier.waiting(carrier.sipp(lab, f"carrier-{name}", plain_callee(), port), port)
    called_back = pbx.waiting(pbx.sipp(lab, f"pbx-called-{name}", plain_callee(), port + 1), port + 1)
    caller = pbx.sipp(lab, f"pbx-{name}", plain_caller(), port + 2, number=ALLOWED, calls=CALLS, rate=100)
    caller_back = carrier.sipp(lab, f"carrier-calls-{name}", plain_caller(), port + 3, number=OWN, calls=CALLS, rate=100)
    caller.finish(60, CALLS)
    caller_back.finish(60, CALLS)
    called.stop(10, CALLS)
    called_back.stop(10, CALLS)
    lab.closed(allow=2 * CALLS, by="caller", cause="bye")


TRANSPORTS = ("udp", "tcp", "tls")


def pairs(lab, versions):
    """Every pair of transports between peers of these versions."""
    directory, ways = lab.directory, [(pbx, carrier) for pbx in TRANSPORTS for carrier in TRANSPORTS]
    for number, (pbx, carrier) in enumerate(ways):
        lab.directory = directory / f"{pbx}-{carrier}"
        lab.directory.mkdir()
        pair(lab, number, Way(lab, pbx, versions[0], 3), Way(lab, carrier, versions[1], 2))


@case(needs_tollgate=True, alone=True)
def ways_v4(lab):
    """200 calls each way, each of UDP, TCP and TLS to each, over IPv4."""
    pairs(lab, (4, 4))


@case(needs_tollgate=True, alone=True)
def ways_v6_v4(lab):
    """200 calls each way, each of UDP, TCP and TLS to each, from IPv6 to IPv4."""
    pairs(lab, (6, 4))


@case(needs_tollgate=True, alone=True)
def ways_v4_v6(lab):
    """200 calls each way, each of UDP, TCP and TLS to each, from IPv4 to IPv6."""
    pairs(lab, (4, 6))


@case(needs_tollgate=True, alone=True)
def ways_v6(lab):
    """200 calls each way, each of UDP, TCP and TLS to each, over IPv6."""
    lab.apart = True
    with apart(*(six(lab, last) for last in (1, 2, 3))):
        pairs(lab, (6, 6))
