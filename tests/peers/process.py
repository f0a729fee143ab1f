"""Programs that a case starts, each ended by its own id whatever happens."""

import ctypes
import os
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """What a case expected and did not see."""


def check(condition, message):
    """Fails the case unless the condition holds."""
    if not condition:
        raise Failed(message)


def equal(found, expected, what):
    """Fails the case unless two figures are the same."""
    check(found == expected, f"{what}: {found}, expected {expected}")


def until(condition, seconds, what, process=None):
    """Waits for something to become true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        check(process is None or process.running(), f"{what}: the program has ended\n{process and process.tail()}")
        check(time.monotonic() < deadline, f"{what}: not within {seconds} s\n{process and process.tail()}")
        time.sleep(0.02)
    return value


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A program with its output in a file, in a directory of its own."""

    def __init__(self, lab, name, command, stdin=subprocess.DEVNULL, env=None):
        self.name = name
        self.directory = lab.directory / name
        self.directory.mkdir(exist_ok=True)
        self.output = self.directory / "output"
        with self.output.open("ab") as output:
            self.child = subprocess.Popen(
                [str(word) for word in command], cwd=self.directory, stdin=stdin, stdout=output,
                stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, preexec_fn=_die_with_parent)
        lab.started.append(self)

    def running(self):
        return self.child.poll() is None

    def signal(self, number):
        if self.running():
            self.child.send_signal(number)

    def wait(self, seconds):
        """The exit code, once it has ended by itself."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} has not ended within {seconds} s\n{self.tail()}") from None

    def end(self):
        """Ends it, by force in the end."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.running():
                return
            self.child.send_signal(number)
            try:
                self.child.wait(2)
            except subprocess.TimeoutExpired:
                continue

    def text(self):
        return self.output.read_text("utf-8", "replace")

    def tail(self, lines=15):
        return "\n".join(f"    {self.name}: {line}" for line in self.text().splitlines()[-lines:])
