"""Does to connections what a broken phone system can: until its time is over.

    stuffer.py invites|connections|handshakes HOST:PORT SECONDS SOURCE AUTHORITY

`invites` are as many as go on one connection, whose answers are read and thrown away; `connections` are made and left,
and `handshakes` are made over them first. Port 5061 is TLS. At the end it says how many there were, and in how many
seconds.
"""

import select
import socket
import ssl
import sys
import time

from flooder import INVITE


def invite(end, there):
    """An INVITE with places for what must differ."""
    host, port = end.getsockname()[:2]
    text = INVITE.format(number="01023276123456", there=f"{there[0]}:{there[1]}", here=f"{host}:{port}", host=host)
    text = text.replace("SIP/2.0/UDP", "SIP/2.0/TCP")
    head, body = text.split("\n\n")
    body = body.replace("\n", "\r\n")
    head = head.replace("Content-Length: 122", f"Content-Length: {len(body)}").replace("\n", "\r\n")
    return f"{head}\r\n\r\n{body}".encode()


def connect(source, there, context, shake):
    end = socket.socket()
    end.settimeout(5)
    end.bind((source, 0))
    end.connect(there)
    return context.wrap_socket(end, server_hostname="tollgate.invalid") if shake else end


def stuff(source, there, context, end_at):
    """INVITEs as fast as they are taken."""
    end = connect(source, there, context, there[1] == 5061)
    text, sent = invite(end, there), 0
    end.setblocking(False)
    rest = b""
    while time.monotonic() < end_at:
        if not rest:
            rest = b"".join(text % (mark, mark, mark) for mark in range(sent, sent + 20))
            sent += 20
        try:
            while end.recv(65536):
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        try:
            rest = rest[end.send(rest):]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            select.select([end], [end], [], 0.1)
    return sent


def main():
    what, to, seconds, source, authority = sys.argv[1:]
    host, _, port = to.partition(":")
    there = (host, int(port))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority)
    start = time.monotonic()
    end_at, count = start + float(seconds), 0
    if what == "invites":
        count = stuff(source, there, context, end_at)
    while time.monotonic() < end_at:
        try:
            connect(source, there, context, what == "handshakes").close()
            count += 1
        except OSError:
            pass
    print(f"{count} {time.monotonic() - start:.3f}", flush=True)


if __name__ == "__main__":
    main()
