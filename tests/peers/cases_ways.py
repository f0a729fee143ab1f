"""Every way to a peer: UDP, TCP and TLS, IPv4 and IPv6, and all pairs of them."""

import resource
import socket
import time
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


SLOW, SOURCES = 10_000, 10


class Crowd:
    """Connections that send a byte in ten seconds."""

    TEXT = b"OPTIONS sip:nobody SIP/2.0\r\nVia: SIP/2.0/TCP nowhere;branch=z9hG4bKslow\r\n" * 4

    def __init__(self, net):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, SLOW + 256)), hard))
        self.begun = time.monotonic()
        self.open = []
        for number in range(SLOW):
            end = socket.socket()
            end.bind((f"{net}.{64 + number % SOURCES}", 0))
            end.connect((f"{net}.1", 5060))
            end.setblocking(False)
            self.open.append(end)
        self.say(0)

    def say(self, at):
        """One byte more on each."""
        for end in self.open:
            try:
                end.send(self.TEXT[at:at + 1])
            except OSError:
                pass

    def still_open(self):
        """Drops those that were closed; how many are left."""
        left = []
        for end in self.open:
            try:
                if end.recv(1) == b"":
                    end.close()
                    continue
            except BlockingIOError:
                pass
            except OSError:
                end.close()
                continue
            left.append(end)
        self.open = left
        return len(left)


def resident(process):
    """Memory of a program, in bytes."""
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def honest_call(lab):
    """How long an OPTIONS over a new connection takes to be answered, in seconds."""
    begun = time.monotonic()
    with socket.socket() as end:
        end.settimeout(5)
        end.bind((f"{lab.net}.3", 0))
        end.connect((f"{lab.net}.1", 5060))
        here = f"{lab.net}.3:{end.getsockname()[1]}"
        end.send("\r\n".join([
            f"OPTIONS sip:{lab.net}.1 SIP/2.0", f"Via: SIP/2.0/TCP {here};branch=z9hG4bK{time.monotonic_ns()}",
            "Max-Forwards: 70", f"From: <sip:ping@{here}>;tag=1", f"To: <sip:{lab.net}.1>",
            f"Call-ID: {time.monotonic_ns()}@{here}", "CSeq: 1 OPTIONS", "Content-Length: 0", "", ""]).encode())
        check(end.recv(4096).startswith(b"SIP/2.0 200"), "an honest OPTIONS was not answered")
    return time.monotonic() - begun


@case(needs_tollgate=True, alone=True)
def slow_connections(lab):
    """10,000 connections that send a byte in 10 s: little memory, closed within 30 s, and nobody waits."""
    lab.start(listen=f'[[listen]]\naddress = "tcp:{lab.net}.1:5060"',
              pbx_sources=f'"{lab.net}.3/32", "{lab.net}.64/28"')
    honest_call(lab)
    before = resident(lab.tollgate)
    crowd = Crowd(lab.net)
    each = (resident(lab.tollgate) - before) / SLOW
    slowest = max(honest_call(lab) for _ in range(5))
    check(each <= 16_384, f"{each:.0f} bytes a connection")
    at = 0
    while crowd.still_open():
        passed = time.monotonic() - crowd.begun
        check(passed < 30, f"{len(crowd.open)} connections are still open after {passed:.0f} s")
        if passed > 10 * (at + 1):
            at += 1
            crowd.say(at)
        slowest = max(slowest, honest_call(lab))
        time.sleep(0.1)
    check(slowest <= 1, f"an honest peer waited {slowest * 1000:.0f} ms")
    print(f"  {SLOW} connections: {each:.0f} bytes each, closed after {time.monotonic() - crowd.begun:.0f} s, "
          f"an honest peer waited {slowest * 1000:.0f} ms at most", flush=True)
    lab.closed()
