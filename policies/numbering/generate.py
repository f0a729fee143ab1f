#!/usr/bin/env python3
"""Writes table.tsv, the world's numbering plan, from libphonenumber's metadata.

    python3 -m venv /tmp/numbering && /tmp/numbering/bin/pip install phonenumbers==9.0.43
    /tmp/numbering/bin/python policies/numbering/generate.py > policies/numbering/table.tsv

The source (Apache-2.0) describes each territory by regular expressions, one a
class. Here every expression becomes an automaton, all automata of a calling
code are walked together digit by digit, and where further digits no longer
change the answer, a range is written. Where the source is silent or wrong for
this purpose, OURS below says what is changed, and why.
"""

import sys
from functools import cache

import phonenumbers
from phonenumbers import PhoneMetadata
from phonenumbers.data import _COUNTRY_CODE_TO_REGION_CODE as REGIONS

SOURCE = "9.0.43"
OURS_VERSION = 1
MOST_DIGITS = 15  # E.164, with the calling code
DIGITS = "0123456789"

# The source's descriptions, in the order in which it asks them; ours beside them.
CLASSES = [
    ("premium_rate", "premium"),
    ("toll_free", "freephone"),
    ("shared_cost", "shared_cost"),
    ("voip", "ip"),
    ("personal_number", "personal"),
    ("pager", "pager"),
    ("uan", "uan"),
    ("voicemail", "voicemail"),
    ("fixed_line", "fixed"),
    ("mobile", "mobile"),
]

# Codes of no country, which the source describes as if they were ordinary
# mobiles and the like: whatever is assigned there is of this class.
GLOBAL = {
    800: "freephone",  # international freephone (E.169.1)
    808: "shared_cost",  # international shared cost (E.169.3)
    870: "satellite",  # Inmarsat
    878: "personal",  # universal personal telecommunications (E.168)
    881: "satellite",  # global mobile satellite systems
    882: "satellite",  # international networks: satellite, ships, aircraft, M2M
    883: "satellite",  # international networks
    888: "uan",  # disaster relief
    979: "premium",  # international premium rate (E.169.2)
}

# (country, class, national pattern): asked before the source; "*" is every
# country. A class of None takes numbers away.
OURS = [
    # 00 chooses a carrier or leads abroad, and is never part of a number: by the
    # source `0066 010 53…` would be a Japanese freephone number, and is a call to Cuba.
    ("*", None, r"00\d{1,13}"),
    # Mass calling and message services: whoever calls pays for more than the call.
    ("JP", "shared_cost", r"1[78]0\d{6}"),
    # Personal numbers are 0600; the rest of 060 is mobile since July 2026, and a
    # mobile number with its last digit missing is no number.
    ("JP", None, r"60[1-9]\d{6}"),
]


class Automaton:
    """One regular expression, as a deterministic automaton that grows when asked."""

    def __init__(self, pattern, prefix=False):
        self.pattern = pattern
        self.steps = []  # state -> list of (set of digits or None for empty, state)
        self.at = 0
        start, end = self.alternation()
        assert self.at == len(pattern), pattern
        self.end = end
        if prefix:  # what begins like this: go on for ever
            self.steps[end].append((frozenset(DIGITS), end))
        self.ids, self.sets, self.known = {}, [], {}
        self.start = self.intern(self.closure({start}))

    def state(self):
        self.steps.append([])
        return len(self.steps) - 1

    def alternation(self):
        start, end = self.state(), self.state()
        while True:
            first, last = self.sequence()
            self.steps[start].append((None, first))
            self.steps[last].append((None, end))
            if self.at >= len(self.pattern) or self.pattern[self.at] != "|":
                return start, end
            self.at += 1

    def sequence(self):
        first = last = self.state()
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            begin = self.at
            start, end = self.atom()
            low, high = self.count()
            resume = self.at
            for number in range(high):
                if number > 0:  # the same atom once more
                    self.at = begin
                    start, end = self.atom()
                if number >= low:
                    self.steps[start].append((None, end))
                self.steps[last].append((None, start))
                last = end
            self.at = resume
        return first, last

    def atom(self):
        rest = self.pattern[self.at :]
        if rest.startswith("(?:"):
            self.at += 3
            inner = self.alternation()
            assert self.pattern[self.at] == ")", self.pattern
            self.at += 1
            return inner
        if rest.startswith("\\d"):
            self.at += 2
            digits = frozenset(DIGITS)
        elif rest.startswith("["):
            close = rest.index("]")
            self.at += close + 1
            digits = digit_class(rest[1:close])
        else:
            assert rest[0] in DIGITS, f"{self.pattern} at {self.at}"
            self.at += 1
            digits = frozenset(rest[0])
        start, end = self.state(), self.state()
        self.steps[start].append((digits, end))
        return start, end

    def count(self):
        rest = self.pattern[self.at :]
        if rest.startswith("?"):
            self.at += 1
            return 0, 1
        if rest.startswith("{"):
            close = rest.index("}")
            self.at += close + 1
            low, _, high = rest[1:close].partition(",")
            return int(low), int(high or low)
        return 1, 1

    def closure(self, states):
        seen, todo = set(states), list(states)
        while todo:
            for digits, target in self.steps[todo.pop()]:
                if digits is None and target not in seen:
                    seen.add(target)
                    todo.append(target)
        return frozenset(seen)

    def intern(self, states):
        if states not in self.ids:
            self.ids[states] = len(self.sets)
            self.sets.append(states)
        return self.ids[states]

    def step(self, state, digit):
        """The state after a digit; None when nothing can match any more."""
        if state is None:
            return None
        if (state, digit) not in self.known:
            found = {
                target
                for one in self.sets[state]
                for digits, target in self.steps[one]
                if digits is not None and digit in digits
            }
            self.known[state, digit] = self.intern(self.closure(found)) if found else None
        return self.known[state, digit]

    def accepts(self, state):
        return state is not None and self.end in self.sets[state]


def digit_class(text):
    digits, at = set(), 0
    while at < len(text):
        if text[at + 1 : at + 2] == "-":
            digits.update(DIGITS[int(text[at]) : int(text[at + 2]) + 1])
            at += 3
        else:
            assert text[at] in DIGITS, text
            digits.add(text[at])
            at += 1
    return frozenset(digits)


class Code:
    """A calling code: the automata of its territories, in the source's order."""

    def __init__(self, code, regions):
        self.code = code
        self.automata = []
        self.territories = []
        for region in regions:
            world = region == "001"
            metadata = (
                PhoneMetadata.metadata_for_nongeo_region(code)
                if world
                else PhoneMetadata.metadata_for_region(region)
            )
            self.territories.append(self.territory(region, metadata, world))
        self.nodes = {}  # (territory/class at this point, children) -> id
        self.shapes = []
        self.empty = self.intern(None, None)

    def add(self, pattern, lengths=(), prefix=False):
        self.automata.append(Automaton(pattern, prefix))
        return len(self.automata) - 1, frozenset(n for n in lengths if n > 0)

    def territory(self, region, metadata, world):
        def described(name):
            found = getattr(metadata, name)
            if found is None or not found.national_number_pattern:
                return None
            return self.add(found.national_number_pattern, found.possible_length)

        leading = metadata.leading_digits
        return {
            "country": "-" if world else region.lower(),
            "leading": self.add(leading, prefix=True) if leading else None,
            "general": described("general_desc"),
            "classes": [(name, described(source)) for source, name in CLASSES],
            "ours": [(n, self.add(p)) for where, n, p in OURS if where in (region, "*") and not world],
        }

    def intern(self, answer, children):
        key = (answer, children)
        if key not in self.nodes:
            self.nodes[key] = len(self.shapes)
            self.shapes.append(key)
        return self.nodes[key]

    def matches(self, description, states, depth):
        if description is None:
            return False
        number, lengths = description
        return (not lengths or depth in lengths) and self.automata[number].accepts(states[number])

    def class_in(self, territory, states, depth):
        """The class of a whole number in one territory; None: no such number."""
        for name, description in territory["ours"]:
            if self.matches(description, states, depth):
                return name
        if not self.matches(territory["general"], states, depth):
            return None
        found = [n for n, d in territory["classes"] if self.matches(d, states, depth)]
        if not found:
            return None
        if found[0] == "fixed" and "mobile" in found:
            return "fixed_or_mobile"
        return GLOBAL.get(self.code, found[0])

    def answer(self, states, depth):
        """(country, class) of a whole number; None: no such number."""
        for territory in self.territories:
            name = self.class_in(territory, states, depth)
            leading = territory["leading"]
            if leading is not None and len(self.territories) > 1:
                if not self.matches(leading, states, depth):
                    continue
            elif name is None:
                continue
            return None if name is None else (territory["country"], name)
        return None

    def tree(self):
        """The smallest tree of answers, equal parts shared; the id of its root."""
        most = MOST_DIGITS - len(str(self.code))

        @cache
        def grow(states, depth):
            if all(s is None for s in states) or depth > most:
                return self.empty
            children = tuple(
                grow(tuple(a.step(s, d) for a, s in zip(self.automata, states)), depth + 1)
                for d in DIGITS
            )
            answer = self.answer(states, depth)
            if answer is None and all(child == self.empty for child in children):
                return self.empty
            return self.intern(answer, children)

        return grow(tuple(a.start for a in self.automata), 0)

    @cache
    def profile(self, node):
        """Answers by number of further digits, if these do not matter; else None."""
        answer, children = self.shapes[node]
        if node == self.empty:
            return ()
        if len(set(children)) > 1:
            return None
        below = self.profile(children[0])
        return None if below is None else (answer, *below)

    def ranges(self, node, prefix, depth):
        """Rows (prefix, country, class, lengths) of everything below a node.

        Digits behind which all is equal share their rows.
        """
        answer, children = self.shapes[node]
        if node == self.empty:
            return
        profile = self.profile(node)
        if profile is None:
            if answer is not None:
                yield prefix, *answer, [depth]
            for child in dict.fromkeys(children):
                digits = [d for d, c in zip(DIGITS, children) if c == child]
                yield from self.ranges(child, prefix + one_of(digits), depth + 1)
            return
        lengths = {}
        for more, answer in enumerate(profile):
            if answer is not None:
                lengths.setdefault(answer, []).append(depth + more)
        for answer in sorted(lengths, key=lambda a: lengths[a]):
            yield prefix, *answer, lengths[answer]


def one_of(digits):
    """["3"] -> "3", ["0", "2", "3", "4"] -> "[02-4]"; all ten are "x"."""
    if len(digits) == 10:
        return "x"
    return digits[0] if len(digits) == 1 else f"[{spans(map(int, digits), '')}]"


def spans(numbers, comma=","):
    """[9, 10, 11, 13, 14] -> "9-11,13,14"."""
    runs = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return comma.join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else comma.join(map(str, run)) for run in runs
    )


def main():
    assert phonenumbers.__version__ == SOURCE, f"needs phonenumbers {SOURCE}"
    sys.setrecursionlimit(10_000)
    out = sys.stdout
    out.write("# The world's numbering plan. Generated by generate.py, which says how: do not edit.\n")
    out.write("# Made from libphonenumber's metadata, Apache-2.0, (C) The Libphonenumber Authors.\n")
    out.write("# Tab-separated: prefix ([2-4] one of these digits, x any), country, class,\n")
    out.write("# lengths (all digits counted). Each number is in one range at most.\n")
    out.write(f"version\tlibphonenumber {SOURCE}, ours {OURS_VERSION}\n")
    codes = sorted(REGIONS, key=str)
    for code in codes:
        names = [r.lower() for r in REGIONS[code] if r != "001"]
        out.write(f"code\t{code}\t{','.join(names) or '-'}\n")
    for code in codes:
        table = Code(code, REGIONS[code])
        for prefix, country, name, lengths in table.ranges(table.tree(), str(code), len(str(code))):
            out.write(f"{prefix}\t{country}\t{name}\t{spans(lengths)}\n")


if __name__ == "__main__":
    main()
