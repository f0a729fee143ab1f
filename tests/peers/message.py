"""A SIP message, as far as a test looks into it."""

import re


class Message:
    """Start line, fields and body, as sent or received."""

    def __init__(self, text, received=True):
        self.received = received
        self.head, _, self.body = text.replace("\r", "").partition("\n\n")
        self.start, *lines = self.head.split("\n")
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines if ":" in line]

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def first(self, name):
        return next(iter(self.all(name)), "")

    def tag(self, name):
        found = re.search(r";tag=([^;>\s]+)", self.first(name))
        return found[1] if found else ""

    def target(self):
        """The URI in Contact."""
        found = re.search(r"<([^>]+)>", self.first("Contact"))
        return found[1] if found else ""

    def is_request(self, method):
        return self.start.startswith(method + " ")

    def is_response(self, code, method):
        return self.start.startswith(f"SIP/2.0 {code} ") and self.first("CSeq").endswith(" " + method)

    @property
    def call_id(self):
        return self.first("Call-ID")
