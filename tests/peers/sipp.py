"""SIPp as one end of the calls."""

import csv
import re
import signal

from message import Message
from process import Process, check, equal

OPTIONS = ["-nostdin", "-timer_resol", "1", "-buff_size", "4194304", "-trace_stat", "-fd", "1",
           "-stf", "figures.csv", "-trace_err", "-error_file", "errors.log"]


class NoFigures(Exception):
    """SIPp ended without its figures."""


class Sipp(Process):
    """One SIPp with one scenario."""

    def __init__(self, lab, name, end, address, port, *, to=None, number="", calls=None, rate=20,
                 hold=0, trace=True, numbers=None, seconds=90, transport="u1", options=()):
        directory = lab.directory / name
        directory.mkdir()
        (directory / "scenario.xml").write_text(end.xml())
        command = ["sipp", "-sf", "scenario.xml", "-i", address, "-p", port, "-mi", address, "-t", transport,
                   *OPTIONS, *options, "-timeout", seconds, "-timeout_error"]
        if trace:
            command += ["-trace_msg", "-message_file", "messages.log"]
        if numbers:
            (directory / "numbers.csv").write_text("SEQUENTIAL\n" + "".join(f"{n}\n" for n in numbers))
            command += ["-inf", "numbers.csv"]
        if calls is not None:
            command += ["-m", calls]
        if to:
            command += [to, "-s", number or "nobody", "-r", rate, "-l", calls, "-d", hold]
        super().__init__(lab, name, command)

    def finish(self, seconds, calls, repeated=False):
        """Waits for its end and checks that every call went as written, and nothing was `repeated` if it may not be."""
        code = self.wait(seconds)
        self._judge(code, calls, repeated)

    def stop(self, seconds, calls, repeated=False):
        """Ends it after the calls that it has; exactly so many have come."""
        self.signal(signal.SIGUSR1)
        self._judge(self.wait(seconds), calls, repeated)

    def _judge(self, code, calls, repeated):
        figures = self.figures()
        if "SuccessfulCall(C)" not in figures:
            raise NoFigures(f"{self.name} wrote no figures, exit {code}")
        summary = (f"{self.name}: ok {figures['SuccessfulCall(C)']}, failed {figures['FailedCall(C)']}, "
                   f"retransmitted {figures['Retransmissions(C)']}, exit {code}\n{self.errors()}")
        good = (figures["SuccessfulCall(C)"] == calls and figures["FailedCall(C)"] == 0
                and (repeated or figures["Retransmissions(C)"] == 0) and (code == 0 or (not calls and code == 99)))
        check(good, f"{calls} calls expected; {summary}")
        equal(figures["IncomingCall(C)"] + figures["OutgoingCall(C)"], calls, f"{self.name}: calls begun")
        if repeated:
            return
        equal(figures["OutOfCallMsgs(C)"], 0, f"{self.name}: messages outside calls")
        equal(figures["DeadCallMsgs(C)"], 0, f"{self.name}: messages after calls")

    def figures(self):
        """The last line of SIPp's statistics."""
        path = self.directory / "figures.csv"
        if not path.exists():
            return {}
        rows = list(csv.DictReader(path.open(), delimiter=";"))
        last = rows[-1] if rows else {}
        return {key: int(value) for key, value in last.items() if value and value.isdigit()}

    def peak(self):
        """The most calls that were up at once."""
        rows = csv.DictReader((self.directory / "figures.csv").open(), delimiter=";")
        return max(int(row["CurrentCall"]) for row in rows)

    def errors(self, lines=12):
        path = self.directory / "errors.log"
        text = path.read_text("utf-8", "replace") if path.exists() else self.tail()
        return "\n".join(f"    {self.name}: {line}" for line in text.splitlines()[:lines])

    def messages(self, received=None):
        """Every message sent and received, in order."""
        text = (self.directory / "messages.log").read_text("utf-8", "replace").replace("\r", "")
        parts = re.split(r"^-{20,} .*\nUDP message (sent|received) .*\n\n", text, flags=re.M)
        found = [Message(body, way == "received") for way, body in zip(parts[1::2], parts[2::2])]
        return [message for message in found if received is None or message.received == received]

    def requests(self, method):
        """The requests of a method that it received."""
        return [message for message in self.messages(received=True) if message.is_request(method)]
