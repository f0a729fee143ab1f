"""Real phones as the phone system, SIPp as the carrier."""

import time

from cases import case
from cases_blocked import Control
from phones import Baresip, Linphone
from process import check, equal
from scenario import ALLOWED, Callee, Caller, Check, sdp
from tls import Papers

MEDIA = Check("m=audio", body=True)
HELD = Check("a=(sendonly|inactive)", body=True)


def carrier(lab, end, **more):
    """One call at the carrier; a fresh SIPp, so that its figures are this call's."""
    lab.turn = getattr(lab, "turn", 0) + 1
    return lab.carrier(end, name=f"carrier{lab.turn}", calls=1, seconds=20, **more)


def answering():
    """The carrier's end, up to the ACK."""
    return Callee().called(MEDIA).pause(100).ring().pause(300).pick_up().receive("ACK")


def calling():
    """The carrier's end of a call to the phone, up to its ACK."""
    return Caller().invite().ignore(100).expect(180).expect(200, MEDIA).ack()


def phone_calls(lab, make, **rules):
    """Outbound: hung up by the phone, by the carrier, before the answer; held; refused."""
    lab.start(**rules)
    phone = make(lab)

    def call(end):
        far = lab.waiting(carrier(lab, end), 5070)
        phone.dial(ALLOWED)
        return far

    far = call(answering().hung_up().linger())
    phone.rings()
    phone.talks()
    time.sleep(0.5)
    phone.hang_up()
    phone.ended()
    far.finish(10, 1)

    far = call(answering().pause(500).bye())
    phone.talks()
    phone.ended()
    far.finish(10, 1)

    far = call(Callee().called().ring().receive("CANCEL").answer(200, "OK", "CANCEL")
               .reply(487, "Request Terminated").receive("ACK").linger())
    phone.rings()
    phone.hang_up()
    phone.ended()
    far.finish(10, 1)

    far = call(answering()
               .receive("INVITE", HELD).answer(200, "OK", "INVITE", sdp("recvonly")).receive("ACK")
               .receive("INVITE").answer(200, "OK", "INVITE", sdp()).receive("ACK")
               .hung_up().linger())
    phone.talks()
    time.sleep(0.5)
    phone.hold()
    time.sleep(0.5)
    phone.resume()
    time.sleep(0.5)
    phone.hang_up()
    phone.ended()
    far.finish(10, 1)

    far = call(Callee().called().ring().reply(486, "Busy Here").receive("ACK").linger())
    phone.ended(486)
    far.finish(10, 1)

    if not lab.direct:
        phone.dial("+23276123456")
        phone.ended(603)
    phone.end()
    records = lab.closed(allow=5, refuse=1, answered=3)
    callers = {record["caller"] for record in records if record["record"] == "verdict"}
    check(all("+81335570001" in caller for caller in callers), f"callers in the ledger: {callers}")


def phone_is_called(lab, make, **rules):
    """Inbound: hung up by the phone, by the carrier, before the answer."""
    lab.start(**rules)
    phone = make(lab)

    def call(end):
        far = carrier(lab, end, number="+81335570001")
        phone.rung()
        return far

    far = call(calling().hung_up().linger())
    phone.pick_up()
    phone.talks()
    time.sleep(0.5)
    phone.hang_up()
    phone.ended()
    far.finish(10, 1)

    far = call(calling().pause(800).bye())
    phone.pick_up()
    phone.talks()
    phone.ended()
    far.finish(10, 1)

    far = call(Caller().invite().ignore(100).expect(180).pause(500).cancel().answered(200).refused(487))
    phone.ended()
    far.finish(10, 1)
    phone.end()
    lab.closed(allow=3, answered=2)


@case
def baresip_calls(lab):
    """baresip as the phone system, calling."""
    phone_calls(lab, Baresip)


@case
def baresip_called(lab):
    """baresip as the phone system, called."""
    phone_is_called(lab, Baresip)


ACCOUNT = ("acme-pbx", "only-the-phone-system-knows")


def registered(lab):
    """baresip where no rule knows it, and rules by which it registers with a digest and proves each call.

    Debian's baresip knows MD5 alone, and takes no challenge that has another algorithm beside it."""
    secret = lab.directory / "config/secrets/pbx"
    secret.parent.mkdir(parents=True)
    secret.write_text(ACCOUNT[1] + "\n")
    lab.pbx_address = f"{lab.net}.5"
    account = f'[[account]]\nusername = "{ACCOUNT[0]}"\nsecret_file = "secrets/pbx"\n'
    return {"listen": 'challenge = true\nalgorithms = ["MD5"]\n', "pbx": "registered", "pbx_known": account}


@case(needs_tollgate=True)
def baresip_registers_and_calls(lab):
    """baresip, known by its account alone, calling."""
    phone_calls(lab, lambda it: Baresip(it, account=ACCOUNT), **registered(lab))


@case(needs_tollgate=True)
def baresip_registers_and_is_called(lab):
    """baresip, known by its account alone, called."""
    phone_is_called(lab, lambda it: Baresip(it, account=ACCOUNT), **registered(lab))


def registered_over_tcp(lab):
    """The same over TCP."""
    rules = registered(lab)
    return {**rules, "listen": f'[[listen]]\naddress = "tcp:{lab.net}.1:5060"\n{rules["listen"]}'}


@case(needs_tollgate=True)
def baresip_registers_and_calls_tcp(lab):
    """baresip, known over the TCP connection that it has registered over, calling."""
    phone_calls(lab, lambda it: Baresip(it, account=ACCOUNT, transport="tcp"), **registered_over_tcp(lab))


@case(needs_tollgate=True)
def baresip_registers_and_is_called_tcp(lab):
    """baresip, known over the TCP connection that it has registered over, called."""
    phone_is_called(lab, lambda it: Baresip(it, account=ACCOUNT, transport="tcp"), **registered_over_tcp(lab))


@case(needs_tollgate=True)
def baresip_registers_and_is_called_tls(lab):
    """The same over TLS, without a certificate of its own that anybody asks for."""
    papers, rules = Papers(lab.directory), registered(lab)
    papers.issue("tollgate.invalid", f"{lab.net}.1")
    rules["listen"] = papers.listener(f"{lab.net}.1:5061") + rules["listen"]
    phone_is_called(lab, lambda it: Baresip(it, papers, account=ACCOUNT), **rules)


def phones(lab):
    """What `status` says of who has registered."""
    return Control(lab.tollgate).ask("status")["status"].get("phones", [])


@case(needs_tollgate=True)
def baresip_is_called_after_a_kill(lab):
    """kill -9 where baresip has registered: it is called at once, and registers no sooner than it would have."""
    lab.start(**registered(lab))
    phone = Baresip(lab, account=ACCOUNT)
    before, = phones(lab)
    equal((before["name"], before["account"]), ("acme", ACCOUNT[0]), "who has registered")
    equal(before["way"], f"udp:{lab.pbx_address}:5080", "the way to it")
    back = lab.restart()
    after, = phones(lab)
    for key in ("account", "contact", "since", "way"):
        equal(after[key], before[key], f"the {key} of what is registered, before and after")
    far = carrier(lab, calling().hung_up().linger(), number="+81335570001")
    phone.rung()
    phone.pick_up()
    phone.talks()
    phone.hang_up()
    phone.ended()
    far.finish(10, 1)
    print(f"        back within {back:.2f} s, and the phone is where it was", flush=True)
    phone.end()
    lab.closed(allow=1)


def over_tls(lab):
    """Papers, and rules by which the phone system is reached over TLS and known by its certificate."""
    papers = Papers(lab.directory)
    papers.issue("tollgate.invalid", f"{lab.net}.1")
    return papers, {
        "listen": papers.listener(f"{lab.net}.1:5061", asks=True),
        "pbx": f"tls:{lab.pbx_address}:5081",
        "pbx_known": 'tls_names = ["pbx.acme.example"]',
        "pbx_more": papers.towards("pbx.acme.example"),
    }


@case(needs_tollgate=True)
def baresip_calls_tls(lab):
    """baresip over TLS, known by its certificate, calling."""
    papers, rules = over_tls(lab)
    phone_calls(lab, lambda it: Baresip(it, papers), **rules)


@case(needs_tollgate=True)
def baresip_called_tls(lab):
    """baresip over TLS, called: its certificate is checked."""
    papers, rules = over_tls(lab)
    phone_is_called(lab, lambda it: Baresip(it, papers), **rules)


@case
def linphone_calls(lab):
    """linphone as the phone system, calling."""
    phone_calls(lab, Linphone)


@case
def linphone_called(lab):
    """linphone as the phone system, called."""
    phone_is_called(lab, Linphone)
