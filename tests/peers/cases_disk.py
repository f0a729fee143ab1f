"""A journal that cannot be written."""

import json
import os
import signal
import socket
import time

from cases import case
from cases_calls import refused_caller
from disk import OnSmallDisk
from process import check, equal, until
from scenario import ALLOWED, plain_callee, plain_caller, sdp

ABROAD = "+23276123456"


@case(needs_tollgate=True, alone=True)
def disk_full(lab):
    """The disk fills up: new calls are refused but emergencies, live ones go on and are signed, and it resumes by itself."""
    lab.program = OnSmallDisk
    lab.start(segment_megabytes=1)
    carrier = lab.waiting(lab.carrier(plain_callee()), 5070)
    held = lab.pbx(plain_caller(hold=True), name="held", number=ALLOWED, calls=10, rate=100, hold=25000)
    time.sleep(1)
    lab.disk.fill()
    signed = lab.disk.checkpoints()
    # Refusals are recorded, too: until the room that each shard keeps ahead is used.
    large = sdp() + "".join(f"a=room:{number:0900}\r\n" for number in range(33))
    for port, number in ((5081, ABROAD), (5082, "999999")):
        lab.pbx(refused_caller(body=large), name=f"refused-{port}", port=port, number=number, calls=300, rate=100,
                trace=False).finish(30, 300)
    until(lambda: lab.tollgate.text().count("new calls are refused, emergency calls excepted") == 2, 5,
          "each shard missing its room", lab.tollgate)
    lab.pbx(refused_caller(), name="late", port=5083, number=ALLOWED, calls=5).finish(10, 5)
    lab.pbx(plain_caller(), name="emergency", port=5084, number="110", calls=2).finish(10, 2)
    held.finish(30, 10)
    # What of it is in the journal is signed in time: there is room for that.
    check(0 < signed < lab.disk.checkpoints(), f"{signed} checkpoints, and {lab.disk.checkpoints()} on the full disk")
    check("no checkpoint can be written" not in lab.tollgate.text(), lab.tollgate.tail())
    lab.disk.free()
    until(lambda: lab.tollgate.text().count("the journal is written again") == 2, 5,
          "each shard having room again", lab.tollgate)
    lab.pbx(plain_caller(), name="resumed", port=5085, number=ALLOWED, calls=5).finish(10, 5)
    carrier.stop(10, 17)
    time.sleep(0.5)
    lab.tollgate.says("ledger", "verify")
    records = lab.tollgate.says("ledger", "export", "--verdict", "allow")
    ends = records.count('"record":"ended"')
    equal(ends, 15, "calls ended in the ledger")
    check("panicked" not in lab.tollgate.text(), "Tollgate panicked")
    lab.tollgate.stop()


FULL = "new calls are refused, emergency calls excepted"


class Collector:
    """Who is sent alerts, by syslog."""

    def __init__(self, lab):
        address = (f"{lab.net}.4", 5140)
        self.rules = '[[alerts.syslog]]\naddress = "udp:{}:{}"\n'.format(*address)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.text = ""

    def has(self, words):
        """Whether this has come."""
        try:
            while True:
                self.text += self.socket.recv(65535).decode() + "\n"
        except BlockingIOError:
            return words in self.text


def restarted(lab, crowd=lambda: None):
    """kill -9, and Tollgate again on the same disk."""
    lab.tollgate.signal(signal.SIGKILL)
    lab.tollgate.wait(10)
    crowd()
    lab.tollgate.output.rename(lab.tollgate.output.with_suffix(f".{time.monotonic_ns()}"))
    lab.tollgate = lab.program(lab)


def crowd_out(lab):
    """Has a disk full to the last byte behind what is written: no room is kept for more."""
    for shard in (lab.disk.path / "ledger").glob("shard-*"):
        (shard / "next").unlink(missing_ok=True)
        segment = max(shard.glob("*.tgj"))
        os.truncate(segment, len(segment.read_bytes().rstrip(b"\0")))
    lab.disk.fill()


class OnManyShards(OnSmallDisk):
    """With so many that a page of the disk holds one checkpoint."""

    megabytes = 64

    def launch(self, lab):
        self.config.write_text(self.config.read_text().replace("shards = 2", "shards = 16"))
        super().launch(lab)


@case(needs_tollgate=True, alone=True)
def disk_full_and_killed(lab):
    """kill -9 on a disk without a free page: what was recorded there was signed as it came, and nobody is accused."""
    lab.program = OnManyShards
    lab.start(segment_megabytes=1)
    carrier = lab.waiting(lab.carrier(plain_callee(), seconds=90), 5070)
    time.sleep(1)
    signed = lab.disk.checkpoints()
    for call in range(7):
        # What the index gives back is taken, too.
        lab.disk.fill()
        lab.pbx(plain_caller(), name=f"help{call}", port=5081 + call, number="110", calls=1).finish(10, 1)
        time.sleep(4)
    check(lab.disk.checkpoints() >= signed + 2, f"{signed} checkpoints, and {lab.disk.checkpoints()} on the full disk")
    restarted(lab)
    lab.disk.free()
    lab.pbx(plain_caller(), name="last", port=5080, number=ALLOWED, calls=1).finish(10, 1)
    carrier.stop(10, 8)
    lab.tollgate.stop()
    said = lab.tollgate.says("ledger", "verify")
    check("intact" in said, said)


@case(needs_tollgate=True, alone=True)
def disk_full_at_start(lab):
    """kill -9 on a full disk: it starts, calls that are up go on, emergencies pass, caps hold, and it resumes by itself."""
    lab.program = OnSmallDisk
    collector = Collector(lab)
    lab.start(segment_megabytes=1, calls_at_once=12, listen=collector.rules)
    carrier = lab.waiting(lab.carrier(plain_callee()), 5070)
    held = lab.pbx(plain_caller(hold=True), name="held", number=ALLOWED, calls=10, rate=100, hold=22000)
    time.sleep(1)
    # The room that each shard has kept is there again.
    lab.disk.fill()
    restarted(lab)
    check(FULL not in lab.tollgate.text(), f"the room is lost\n{lab.tollgate.tail()}")
    lab.pbx(plain_caller(), name="room", port=5081, number=ALLOWED, calls=2).finish(10, 2)
    time.sleep(0.5)
    # None is.
    restarted(lab, lambda: crowd_out(lab))
    until(lambda: lab.tollgate.text().count(FULL) == 2, 5, "each shard missing its room", lab.tollgate)
    check("Tollgate starts all the same" in lab.tollgate.text(), f"it does not say so\n{lab.tollgate.tail()}")
    until(lambda: collector.has("the journal cannot be written: only emergency calls"), 10, "an alert", lab.tollgate)
    check("CANNOT BE WRITTEN" in lab.tollgate.says("status"), "`status` calls the journal written")
    lab.pbx(refused_caller(), name="late", port=5082, number=ALLOWED, calls=5).finish(10, 5)
    lab.pbx(plain_caller(), name="emergency", port=5083, number="110", calls=2).finish(10, 2)
    # Nothing of that life could be written, so nothing of it is known. No file can be made.
    restarted(lab, lab.disk.fill_with_files)
    check("no orders are taken before there is room" in lab.tollgate.text(), "there is room for a socket")
    until(lambda: lab.tollgate.text().count(FULL) == 2, 5, "each shard missing its room again", lab.tollgate)
    lab.pbx(plain_caller(), name="help", port=5084, number="110", calls=2).finish(10, 2)
    lab.disk.free()
    until(lambda: lab.tollgate.text().count("the journal is written again") == 2, 5,
          "each shard having room again", lab.tollgate)
    until(lambda: "orders are taken at" in lab.tollgate.text(), 5, "the control socket", lab.tollgate)
    check("journal    written" in lab.tollgate.says("status"), "`status` calls the journal unwritten")
    # Ten are up, and the cap is twelve.
    more = lab.pbx(plain_caller(hold=True), name="more", port=5085, number=ALLOWED, calls=2, hold=2000)
    time.sleep(0.5)
    lab.pbx(refused_caller(), name="surplus", port=5086, number=ALLOWED, calls=1).finish(10, 1)
    more.finish(10, 2)
    held.finish(40, 10)
    lab.pbx(plain_caller(), name="resumed", port=5087, number=ALLOWED, calls=5).finish(10, 5)
    carrier.stop(10, 23)
    lab.tollgate.stop()
    lab.tollgate.says("ledger", "verify")
    records = [json.loads(line) for line in lab.tollgate.says("ledger", "export").splitlines()]
    ends = [record for record in records if record["record"] == "ended"]
    # Those of the life that could not be written are in no ledger.
    equal(len(ends), 10 + 2 + 2 + 2 + 5, "calls ended in the ledger")
    equal(sum(record["live"] for record in records if record["record"] == "stopped"), 0, "calls up at the end")
    for shard in (0, 1):
        of = [record["record"] for record in records if record["shard"] == shard]
        begins = of[len(of) - 1 - of[::-1].index("started"):]
        check(begins.index("resumed") < begins.index("verdict"), f"shard {shard} begins with {begins[:9]}")
