"""Tells a machine that is too busy from a program that is at fault."""

import os
import threading
import time
from pathlib import Path

EVERY = 0.1
"""Seconds between two looks."""

SPAN = 0.5
"""The span looked at, in seconds: after so long SIP repeats what was not answered (RFC 3261, T1)."""

TOO_LONG = 0.2
"""A program that waited so many seconds of it for a processor was held up."""


class Watch:
    """Notes how long a case's programs, and this one, waited for a processor while
    they could have run: the kernel counts that for each thread."""

    def __init__(self, lab):
        self.lab = lab
        self.worst = (0.0, 0.0, "")
        self.looks = {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _look(self):
        while not self.over.wait(EVERY):
            programs = [(process.name, process.child.pid) for process in self.lab.started if process.running()]
            for name, pid in [("this program", os.getpid()), *programs]:
                for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                    try:
                        waited = int(task.read_text().split()[1]) / 1e9
                    except (OSError, IndexError):
                        continue
                    self._note(name, task, waited)

    def _note(self, name, task, waited):
        now = time.monotonic()
        looks = self.looks.setdefault(task, [])
        looks.append((now, waited))
        while len(looks) > 2 and now - looks[1][0] >= SPAN:
            looks.pop(0)
        self.worst = max(self.worst, (waited - looks[0][1], now - looks[0][0], name))

    def held_up(self):
        """In words who was held up, if anybody was; SIPp also says so itself."""
        for process in self.lab.started:
            errors = process.directory / "errors.log"
            if errors.exists() and "watchdog timer" in errors.read_text("utf-8", "replace"):
                return f"{process.name} says that it was overloaded"
        waited, span, name = self.worst
        return f"{name} waited {waited:.2f} s of {span:.2f} s for a processor" if waited >= TOO_LONG else ""
