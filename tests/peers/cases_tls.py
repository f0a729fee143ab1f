"""What is TLS's own: many connections, and certificates that change under them."""

import socket
import subprocess
import time

from cases import case
from cases_slow import resident
from cases_ways import Way
from lab import PROGRAM
from process import check, equal
from scenario import ALLOWED, plain_callee, plain_caller
from tls import Papers

CONNECTIONS, SOURCES, CALLS = 1_000, 10, 200


class Phone:
    """A TLS connection of a phone system, which asks for OPTIONS."""

    def __init__(self, lab, context, source):
        self.here = source
        plain = socket.create_connection((f"{lab.net}.1", 5061), 10, (source, 0))
        self.end = context.wrap_socket(plain, server_hostname="tollgate.invalid")

    def asks(self):
        """Whether it is answered."""
        mark, here = time.monotonic_ns(), f"{self.here}:{self.end.getsockname()[1]}"
        self.end.sendall("\r\n".join([
            "OPTIONS sip:tollgate.invalid SIP/2.0", f"Via: SIP/2.0/TLS {here};branch=z9hG4bK{mark}",
            "Max-Forwards: 70", f"From: <sip:ping@{here}>;tag={mark}", "To: <sip:tollgate.invalid>",
            f"Call-ID: {mark}@{here}", "CSeq: 1 OPTIONS", "Content-Length: 0", "", ""]).encode())
        return self.end.recv(4096).startswith(b"SIP/2.0 200")


def answered(phones):
    """How many of them are."""
    return sum(phone.asks() for phone in phones)


@case(needs_tollgate=True, alone=True)
def certificates_change(lab):
    """1,000 TLS connections and 200 calls over TLS while certificates are taken anew: nothing is dropped."""
    papers = Papers(lab.directory)
    papers.issue("tollgate.invalid")
    papers.issue("peer.invalid")
    pbx, carrier = Way(lab, "tls", 4, 3), Way(lab, "tls", 4, 2)
    pbx.papers = carrier.papers = papers
    lab.start(listen=papers.listener(f"{lab.net}.1:5061"), carrier=f"tls:{carrier.host}:5070",
              carrier_more=carrier.more, pbx_sources=f'"{pbx.source}", "{lab.net}.64/28"')
    context, before = papers.context("peer.invalid", server=False), resident(lab.tollgate)
    phones = [Phone(lab, context, f"{lab.net}.{64 + number % SOURCES}") for number in range(CONNECTIONS)]
    equal(answered(phones), CONNECTIONS, "connections that are answered")
    each = (resident(lab.tollgate) - before) / CONNECTIONS
    check(each <= 98_304, f"{each:.0f} bytes a connection")
    callee = carrier.waiting(carrier.sipp(lab, "carrier", plain_callee(), 5070), 5070)
    caller = pbx.sipp(lab, "pbx", plain_caller(), 5072, number=ALLOWED, calls=CALLS, rate=25, hold=2000)
    for _ in range(3):
        time.sleep(2)
        papers.issue("tollgate.invalid")
        done = subprocess.run([PROGRAM, "reload", "-c", lab.tollgate.config], capture_output=True, text=True,
                              timeout=30, check=False)
        equal(done.returncode, 0, f"exit code of `reload`\n{done.stderr}")
    caller.finish(60, CALLS)
    callee.stop(10, CALLS)
    equal(answered(phones), CONNECTIONS, "connections that are answered after three reloads")
    print(f"  {CONNECTIONS} TLS connections: {each:.0f} bytes each", flush=True)
    lab.closed(allow=CALLS, by="caller", cause="bye")
