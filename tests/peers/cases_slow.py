"""Whoever has many connections, or fills one: the connections of others are served as ever."""

import os
import resource
import socket
import ssl
import sys
import time
from pathlib import Path

from cases import case
from cases_flood import broken, percentile, reload
from cases_phones import registered_over_tcp
from process import Process, check, equal
from tls import Papers

SLOW = int(os.environ.get("SLOW_CONNECTIONS", "2000"))
"""Connections that send a byte in ten seconds: over TCP, and as many over TLS. A peer may have a thousand from each
address."""

SECONDS = int(os.environ.get("FLOOD_SECONDS", "6"))
"""For how long a flood goes on."""

BYTES = {"tcp": 16_384, "tls": 98_304}
"""Memory that a connection may take."""

CLOSED_S, WAITS_S = 30, 0.1
"""When all slow ones are closed, and how long a new one of an honest peer may wait for its answer meanwhile."""

PORTS = {"tcp": 5060, "tls": 5061}


class Crowd:
    """Connections that say something whole, since others are closed after 15 s, and then a byte in ten seconds."""

    TEXT = b"OPTIONS sip:nobody SIP/2.0\r\nVia: SIP/2.0/TCP nowhere;branch=z9hG4bKslow\r\n" * 4

    def __init__(self, net, transport, papers):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, SLOW + 256)), hard))
        self.context = trusting(papers) if transport == "tls" else None
        self.net, self.port = net, PORTS[transport]
        begun = time.monotonic()
        self.open = [self._connect(number) for number in range(SLOW)]
        self.took = time.monotonic() - begun
        self.begun = time.monotonic()

    def _connect(self, number):
        end = connected(f"{self.net}.{64 + number % max(SLOW // 1000, 1)}", (f"{self.net}.1", self.port), self.context)
        end.sendall(b"\r\n\r\n")
        answer = end.recv(2)
        check(answer == b"\r\n", f"connection {number}: {answer!r} for a ping")
        end.setblocking(False)
        return end

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
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            except OSError:
                end.close()
                continue
            left.append(end)
        self.open = left
        return len(left)


def trusting(papers):
    """Trusts the case's authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(papers.authority)
    return context


def connected(host, there, context):
    """A connection from a host to there, with TLS if there is a context for it."""
    end = socket.socket()
    end.settimeout(10)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.bind((host, 0))
    end.connect(there)
    return context.wrap_socket(end, server_hostname="tollgate.invalid") if context else end


def resident(process):
    """Memory of a program, in bytes."""
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def options(end, there):
    """Asks over a connection whether somebody is there: how many seconds the answer takes."""
    begun = time.monotonic()
    here = "{}:{}".format(*end.getsockname())
    end.sendall("\r\n".join([
        f"OPTIONS sip:{there} SIP/2.0", f"Via: SIP/2.0/TCP {here};branch=z9hG4bK{time.monotonic_ns()}",
        "Max-Forwards: 70", f"From: <sip:ping@{here}>;tag=1", f"To: <sip:{there}>",
        f"Call-ID: {time.monotonic_ns()}@{here}", "CSeq: 1 OPTIONS", "Content-Length: 0", "", ""]).encode())
    answer = end.recv(4096)
    check(answer.startswith(b"SIP/2.0 200"), f"an honest OPTIONS was not answered: {answer!r}")
    return time.monotonic() - begun


def honest(lab, transport, papers):
    """How long an OPTIONS over a new connection takes to be answered, in seconds."""
    begun = time.monotonic()
    context = trusting(papers) if transport == "tls" else None
    with connected(f"{lab.net}.3", (f"{lab.net}.1", PORTS[transport]), context) as end:
        options(end, f"{lab.net}.1")
    return time.monotonic() - begun


def listening(lab, more=""):
    """Tollgate over TCP and over TLS, and the papers for that; the phone system sends from these networks, too."""
    papers = Papers(lab.directory)
    papers.issue("tollgate.invalid", f"{lab.net}.1")
    listen = f'[[listen]]\naddress = "tcp:{lab.net}.1:5060"\n{papers.listener(f"{lab.net}.1:5061")}'
    lab.start(listen=listen, pbx_sources=f'"{lab.net}.3/32"{more}')
    return papers


def slow(lab, transport):
    """A crowd over this transport."""
    papers = listening(lab, f', "{lab.net}.64/28"')
    honest(lab, transport, papers)
    before = resident(lab.tollgate)
    crowd = Crowd(lab.net, transport, papers)
    each = (resident(lab.tollgate) - before) / SLOW
    slowest = max(honest(lab, transport, papers) for _ in range(20))
    crowd.begun, at = time.monotonic(), 0
    crowd.say(at)
    while crowd.still_open():
        passed = time.monotonic() - crowd.begun
        check(passed < CLOSED_S, f"{len(crowd.open)} connections are still open after {passed:.0f} s")
        if passed > 10 * (at + 1):
            at += 1
            crowd.say(at)
        slowest = max(slowest, honest(lab, transport, papers))
        time.sleep(0.1)
    print(f"        {SLOW} connections over {transport}, made in {crowd.took:.1f} s: {each:.0f} bytes each, all closed after "
          f"{time.monotonic() - crowd.begun:.0f} s, an honest peer waited {slowest * 1000:.0f} ms at most", flush=True)
    check(each <= BYTES[transport], f"{each:.0f} bytes a connection")
    check(slowest <= WAITS_S, f"an honest peer waited {slowest * 1000:.0f} ms")
    lab.closed()


def asking(lab, method, end):
    """A request of somebody whom nobody knows, which is longer than the answer to it."""
    here, mark = "{}:{}".format(*end.getsockname()), time.monotonic_ns()
    return "\r\n".join([
        f"{method} sip:{lab.net}.1 SIP/2.0", f"Via: SIP/2.0/TCP {here};branch=z9hG4bK{mark}", "Max-Forwards: 70",
        f"From: <sip:nobody@{lab.net}.1>;tag={mark}", f"To: <sip:nobody@{lab.net}.1>", f"Call-ID: {mark}@{here}",
        f"CSeq: 1 {method}", f"Contact: <sip:nobody@{here}>", f"User-Agent: {'a' * 300}", "Content-Length: 0", "", ""])


@case(needs_tollgate=True)
def strangers_connected(lab):
    """Strangers at a TCP listener that challenges: one 401 for each of a few questions, and for nothing else anything."""
    lab.start(**registered_over_tcp(lab))

    def connect():
        return connected(f"{lab.net}.77", (f"{lab.net}.1", 5060), None)

    with connect() as end:
        for _ in range(4):
            for method in ("REGISTER", "INVITE"):
                end.sendall(asking(lab, method, end).encode())
                answer = end.recv(4096)
                check(answer.startswith(b"SIP/2.0 401 ") and answer.count(b"SIP/2.0 401") == 1, f"{method}: {answer!r}")
        end.sendall(asking(lab, "REGISTER", end).encode())
        equal(end.recv(4096), b"", "the answer to one question too many")
    for said in ("OPTIONS", "BYE", "MESSAGE", "SUBSCRIBE"):
        with connect() as end:
            end.sendall(asking(lab, said, end).encode())
            equal(end.recv(4096), b"", f"the answer to {said}")
    with connect() as end:
        try:
            end.sendall(b"REGISTER sip:a SIP/2.0\r\nX: " + b"x" * 20_000)
            answer = end.recv(4096)
        except ConnectionError:
            answer = b""
        equal(answer, b"", "the answer to a message that is too long")
    ends = [connect() for _ in range(64)]
    time.sleep(0.5)
    left = 0
    for end in ends:
        end.setblocking(False)
        try:
            left += end.recv(1) != b""
        except BlockingIOError:
            left += 1
        except OSError:
            pass
    equal(left, 32, "connections of one address that are open")
    for end in ends:
        end.close()
    lab.closed()


@case(needs_tollgate=True, alone=True)
def slow_connections(lab):
    """Thousands of TCP connections that send a byte in 10 s: little memory, closed within 30 s, and nobody waits."""
    slow(lab, "tcp")


@case(needs_tollgate=True, alone=True)
def slow_connections_tls(lab):
    """The same over TLS."""
    slow(lab, "tls")


class Filler(Process):
    """Fills connections with INVITEs, or makes connections without end: see stuffer.py."""

    def __init__(self, lab, what, host, port, authority):
        program = Path(__file__).resolve().with_name("stuffer.py")
        super().__init__(lab, f"{what}-{port}", [sys.executable, program, what, f"{lab.net}.1:{port}", SECONDS + 2, host,
                                                 authority])

    def sent(self):
        """How many there were a second."""
        self.wait(SECONDS + 30)
        count, seconds = self.text().split()
        return int(count) / float(seconds)


ADDED_S = 0.1
"""What a flood over connections may add to what an answer takes: to the longest but one in a hundred. The processors are few
for all who want one: see `cases_flood`."""


def asked(lab, papers, seconds):
    """How long answers take over connections that are open, and over new ones, by transport."""
    times, until = {}, time.monotonic() + seconds
    ends = {kind: connected(f"{lab.net}.3", (f"{lab.net}.1", port), trusting(papers) if kind == "tls" else None)
            for kind, port in PORTS.items()}
    while time.monotonic() < until:
        for kind, end in ends.items():
            times.setdefault(kind, []).append(options(end, f"{lab.net}.1"))
            times.setdefault(f"new {kind}", []).append(honest(lab, kind, papers))
        time.sleep(0.01)
    for end in ends.values():
        end.close()
    return {kind: percentile(all, 0.99) for kind, all in times.items()}


@case(needs_tollgate=True, alone=True)
def flood_connected(lab):
    """INVITEs, connections and handshakes without end, over TCP and TLS: the connections of others are served as ever."""
    papers = listening(lab)
    broken(lab)
    reload(lab)
    quiet = asked(lab, papers, 3)
    print("        quiet: " + ", ".join(f"{kind} {1000 * slow:.1f} ms" for kind, slow in quiet.items()), flush=True)
    worst = {}
    for name, what, host, port in [
            ("INVITEs over TCP", "invites", f"{lab.net}.4", 5060),
            ("INVITEs over TLS", "invites", f"{lab.net}.4", 5061),
            ("connections of a peer", "connections", f"{lab.net}.4", 5060),
            ("handshakes of a peer", "handshakes", f"{lab.net}.4", 5061),
            ("connections of a stranger", "connections", f"{lab.net}.101", 5061)]:
        filler = Filler(lab, what, host, port, papers.authority)
        time.sleep(0.5)
        found = asked(lab, papers, SECONDS)
        rate = filler.sent()
        print(f"        {name}, {rate:.0f} a second: " +
              ", ".join(f"{kind} {1000 * slow:.1f} ms" for kind, slow in found.items()), flush=True)
        for kind, slow in found.items():
            worst[name, kind] = slow - quiet[kind]
    for (name, kind), added in worst.items():
        check(added <= ADDED_S, f"{name}: {1000 * added:.0f} ms added to an answer over {kind}")
    lab.tollgate.stop(20)
