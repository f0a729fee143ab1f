"""A name server with a zone that a case changes while it runs."""

import socket
import struct
import threading

A, SRV, NAPTR = 1, 33, 35


def name(text):
    """A domain name, uncompressed."""
    labels = [label.encode() for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def address(text):
    return socket.inet_aton(text)


def service(priority, weight, port, target):
    return struct.pack("!HHH", priority, weight, port) + name(target)


def pointer(order, services, target):
    texts = b"".join(bytes([len(text)]) + text for text in (b"s", services.encode(), b""))
    return struct.pack("!HH", order, 10) + texts + name(target)


class NameServer:
    """Answers over UDP at an address of the case's."""

    def __init__(self, lab, host, port=5353):
        self.where = f"{host}:{port}"
        self.zone, self.asked = {}, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        lab.pipes.append(self)

    def has(self, owner, kind, *records, ttl=1):
        """These are the records of one kind at a name from now on."""
        self.zone[owner, kind] = (ttl, records)

    def end(self):
        """Falls silent for good."""
        # A thread that waits in recvfrom is woken by this, and not by closing alone.
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def _serve(self):
        while True:
            try:
                question, sender = self.socket.recvfrom(2048)
                if question:
                    self.socket.sendto(self._answer(question), sender)
            except OSError:
                return

    def _answer(self, question):
        at, labels = 12, []
        while length := question[at]:
            labels.append(question[at + 1:at + 1 + length].decode().lower())
            at += length + 1
        kind, = struct.unpack("!H", question[at + 1:at + 3])
        owner = ".".join(labels)
        self.asked.append((owner, kind))
        known = any(there == owner for there, _ in self.zone)
        ttl, records = self.zone.get((owner, kind), (0, ()))
        head = question[:2] + struct.pack("!HHHHH", 0x8180 if known else 0x8183, 1, len(records), 0, 0)
        fields = lambda data: struct.pack("!HHIH", kind, 1, ttl, len(data)) + data
        return head + question[12:at + 5] + b"".join(name(owner) + fields(data) for data in records)
