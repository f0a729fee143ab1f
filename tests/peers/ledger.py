"""Verifies a ledger by what src/ledger/FORMAT.md says, and by none of Tollgate's code.

    ledger.py FOLDER PUBLIC_KEY

It takes blake3 and cryptography (PyPI). Every fault is a line, and the exit code is 1 then.
"""

import base64
import hashlib
import re
import struct
import sys
import zlib
from pathlib import Path

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HEADER = 64
NOTE = re.compile(r"(?P<text>(?:.+\n)+)\n\u2014 tollgate (?P<signature>\S+)\n")
STATE = re.compile(r"shard (\d+) oldest (\d+) segment (\d+) offset (\d+) count (\d+) head ([0-9a-f]{64})")
START = re.compile(r"start (\d+) segment (\d+) count (\d+) head ([0-9a-f]{64})")
faults = []


def public_key(path):
    """The key, and the bytes that name it."""
    _, named, encoded = Path(path).read_text().strip().split("+", 2)
    key = base64.b64decode(encoded)
    name = hashlib.sha256(b"tollgate\n" + key).digest()[:4]
    if key[0] != 1 or name.hex() != named:
        sys.exit(f"{path}: no public key of a ledger")
    return key[1:], name


def checkpoints(folder, key, name):
    """The texts of all notes, in order, if they are signed and follow each other."""
    before, number, texts = None, None, []
    for path in sorted((folder / "checkpoints").glob("*.txt")):
        notes, end = path.read_text(), 0
        for note in NOTE.finditer(notes):
            text, signature = note["text"], base64.b64decode(note["signature"])
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(signature[4:], text.encode())
            except InvalidSignature:
                faults.append(f"{path}: a note is not signed: {text!r}")
            origin, count, _time, follows, *_ = text.splitlines()
            count = int(count.removeprefix("checkpoint "))
            if note.start() != end or origin != "tollgate ledger v2" or signature[:4] != name:
                faults.append(f"{path}: what is at {end} is no note of this key")
            if number is not None and (count != number + 1 or follows != f"before {before}"):
                faults.append(f"{path}: checkpoint {count} does not follow checkpoint {number}")
            before, number, end = blake3(note[0].encode()).hexdigest(), count, note.end()
            texts.append(text)
    return texts


def anchors(texts):
    """Where each shard's head is known, and its oldest segment."""
    known, oldest = {}, {}
    for text in texts:
        for line in text.splitlines()[4:]:
            if state := STATE.fullmatch(line):
                shard, first, segment, offset, count, head = state.groups()
                oldest[int(shard)] = int(first)
            elif start := START.fullmatch(line):
                (shard, segment, count, head), offset = start.groups(), 0
            else:
                faults.append(f"{line}: a chain that begins anew, or a line of another form")
                continue
            known.setdefault(int(shard), {})[int(segment), int(offset)] = (int(count), bytes.fromhex(head))
    return known, oldest


def pieces(data):
    """The header and the whole frames of a segment: where each ends, and its bytes."""
    yield HEADER, data[:HEADER]
    at, end = HEADER, len(data.rstrip(b"\0"))
    while at < end:
        length, total = struct.unpack_from("<II", data.ljust(at + 8, b"\0"), at)
        frame = data[at:at + 8 + length]
        if length == 0 or len(frame) < 8 + length or zlib.crc32(frame[:4] + frame[8:]) != total:
            # Cut short, or damaged: then the series ends before an anchor.
            return
        at += len(frame)
        yield at, frame


def walk(folder, shard, oldest, known, named):
    """Compares a shard's series with all that was signed of it, up to the first fault."""
    last, met, link, records = max(known), None, None, 0
    for sequence in range(oldest, last[0] + 1):
        path = folder / f"shard-{shard:03}" / f"{sequence:08}.tgj"
        data = path.read_bytes() if path.exists() else b""
        header = data[:HEADER].ljust(HEADER, b"\0")
        form = struct.unpack("<8sIIQ8x16s12xI", header)
        if form != (b"TOLLGATE", 2, shard, sequence, named, zlib.crc32(header[:60])):
            return faults.append(f"{path}: it is missing, or its header is not as it was")
        for end, piece in [(0, b""), *pieces(data)]:
            link = link and link.update(piece)
            records += end > HEADER
            if (sequence, end) not in known:
                continue
            count, head = known[sequence, end]
            if link is None and end > 0 or link and (link.digest(), records) != (head, count):
                return faults.append(f"{path}: what is before byte {end} is not as it was signed")
            link, records, met = Link(head), count, (sequence, end)
    if met != last:
        faults.append(f"shard {shard}: it ends before byte {last[1]} of segment {last[0]}, up to which it was signed")
    return None


class Link:
    """From an anchor on: its head, and with the first byte behind it the hash over both."""

    def __init__(self, head):
        self.head, self.hash = head, None

    def update(self, piece):
        if piece:
            self.hash = self.hash or blake3(self.head)
            self.hash.update(piece)
        return self

    def digest(self):
        return self.hash.digest() if self.hash else self.head


def main(folder, public):
    folder = Path(folder)
    key, name = public_key(public)
    texts = checkpoints(folder, key, name)
    known, oldest = anchors(texts)
    if not known:
        faults.append("nothing is signed")
    for shard, places in known.items():
        walk(folder, shard, oldest[shard], places, blake3(key).digest()[:16])
    print("\n".join(faults) or f"intact: {len(texts)} checkpoints, "
          f"{sum(places[max(places)][0] for places in known.values())} records")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
