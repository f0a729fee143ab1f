"""The list of cases."""

CASES = []


def case(function=None, *, needs_tollgate=False, alone=False):
    """Adds a function to the cases. Most also hold for two ends that talk to
    each other directly, which tells a fault of a scenario from one of Tollgate.
    One that needs the machine for itself runs with no other beside it."""
    def add(function):
        function.needs_tollgate = needs_tollgate
        function.alone = alone
        CASES.append(function)
        return function
    return add(function) if function else add


def load():
    """Every case, in the order in which they run."""
    # pylint: disable=import-outside-toplevel,unused-import
    import cases_blocked, cases_calls, cases_disk, cases_flood, cases_judged, cases_midcall, cases_phones  # noqa: E401,F401
    import cases_kill, cases_names, cases_onward, cases_races, cases_report, cases_signals, cases_tls  # noqa: E401,F401
    import cases_slow, cases_transfers, cases_trunks, cases_ways  # noqa: E401,F401
    return CASES
