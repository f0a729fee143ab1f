"""An end of a call in plain Python, for what SIPp cannot do: to send before it
reads, and to take messages in whatever order they come."""

import socket
import time

from message import Message
from process import Failed
from scenario import OWN, sdp


class Wire:
    """One UDP address that speaks SIP, a message at a time."""

    def __init__(self, address, port, next_hop):
        self.here = f"{address}:{port}"
        host, _, there = next_hop.partition(":")
        self.next_hop = (host, int(there))
        self.pending = []
        self.via = ""
        self.copies = 1
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, lines, body=""):
        """A message, sent to the next hop whatever it says."""
        kind = ["Content-Type: application/sdp"] if body else []
        text = "\n".join([*lines, *kind, f"Content-Length: {len(body.encode()) + body.count(chr(10))}", "", body])
        for _ in range(self.copies):
            self.socket.sendto(text.replace("\n", "\r\n").encode(), self.next_hop)

    def description(self):
        host, _, port = self.here.partition(":")
        return sdp().replace("[local_ip]", host).replace("[media_port]", port)

    def receive(self, wanted, what, seconds=5):
        """The first message that is wanted; others wait for their turn."""
        deadline = time.monotonic() + seconds
        while True:
            for at, message in enumerate(self.pending):
                if wanted(message):
                    return self.pending.pop(at)
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                self.pending.append(Message(self.socket.recv(65535).decode()))
            except TimeoutError:
                found = ", ".join(message.start for message in self.pending) or "nothing"
                raise Failed(f"{self.here} waits for {what} and has {found}") from None

    def request(self, method, seconds=5):
        """The next request with this method."""
        return self.receive(lambda message: message.is_request(method), method, seconds)

    def response(self, code, method):
        """The next response with this code, to this method."""
        return self.receive(lambda message: message.is_response(code, method), f"{code} to {method}")

    def answer(self, request, code, phrase, tag="", body="", headers=()):
        """Answers a request."""
        to = request.first("To") + (f";tag={tag}" if tag and not request.tag("To") else "")
        self.send([f"SIP/2.0 {code} {phrase}", *(f"Via: {via}" for via in request.all("Via")),
                   f"From: {request.first('From')}", f"To: {to}", f"Call-ID: {request.call_id}",
                   f"CSeq: {request.first('CSeq')}", f"Contact: <sip:{self.here}>", *headers], body)

    def quiet(self, seconds=0.3):
        """Nothing more comes, but what repeats or reports progress."""
        self.pending = [message for message in self.pending if not message.start.startswith("SIP/2.0 1")]
        self.socket.settimeout(seconds)
        try:
            self.pending.append(Message(self.socket.recv(65535).decode()))
        except TimeoutError:
            pass
        if self.pending:
            raise Failed(f"{self.here} got more than it should\n{self.pending[0].head}")

    def acknowledge(self, refusal, uri):
        """The ACK to a final response that is no 2xx."""
        self.send([f"ACK {uri} SIP/2.0", f"Via: {self.via}", "Max-Forwards: 70", f"From: {refusal.first('From')}",
                   f"To: {refusal.first('To')}", f"Call-ID: {refusal.call_id}",
                   f"CSeq: {refusal.first('CSeq').split()[0]} ACK"])

    def ask(self, method, uri, dialog, cseq, body="", headers=()):
        """Sends a request of a dialog."""
        near, far, call_id = dialog
        self.via = f"SIP/2.0/UDP {self.here};branch=z9hG4bK{time.monotonic_ns()};rport"
        lines = [f"{method} {uri} SIP/2.0",
                 f"Via: {self.via}",
                 "Max-Forwards: 70", f"From: {near}", f"To: {far}", f"Call-ID: {call_id}", f"CSeq: {cseq} {method}",
                 f"Contact: <sip:{self.here}>", *headers]
        self.send(lines, body)


class Call:
    """A call that two wires have between them: one calls, the other answers."""

    def __init__(self, caller, callee, number):
        self.caller, self.callee = caller, callee
        self.uri = "sip:{}@{}:{}".format(number, *caller.next_hop)
        mark = time.monotonic_ns()
        self.dialog = (f"<sip:{OWN}@{caller.here}>;tag=c{mark}", f"<{self.uri}>", f"{mark}@{caller.here}")
        caller.ask("INVITE", self.uri, self.dialog, 1, caller.description())
        self.invite = callee.request("INVITE")

    def answered(self, tag):
        """The callee's 200."""
        self.callee.answer(self.invite, 200, "OK", tag, self.callee.description())

    def connected(self):
        """The caller has the 200 and acknowledges it."""
        ok = self.caller.response(200, "INVITE")
        self.dialog = (self.dialog[0], ok.first("To"), self.dialog[2])
        self.uri = ok.target()
        self.caller.ask("ACK", self.uri, self.dialog, 1)
        ack = self.callee.request("ACK")
        self.other_dialog = (ack.first("To"), ack.first("From"), ack.call_id)
        return ack

    def caller_asks(self, method, cseq=2, body=""):
        self.caller.ask(method, self.uri, self.dialog, cseq, body)

    def callee_asks(self, method, cseq=1, body=""):
        self.callee.ask(method, self.invite.target(), self.other_dialog, cseq, body)
