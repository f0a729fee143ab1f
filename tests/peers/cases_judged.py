"""What the other side may learn, and who may say what."""

import re

from cases import case
from cases_races import wires
from process import check, equal
from scenario import ALLOWED, OWN, Callee, Caller, plain_callee, plain_caller
from wire import Call


@case
def hidden(lab):
    """What the carrier sees is Tollgate's own, and nothing else of the phone system's."""
    lab.start()
    pbx, carrier = lab.outbound(plain_caller(), plain_callee(), 5)
    lab.closed(allow=5)
    if lab.direct:
        return
    invites = [message for message in pbx.messages(received=False) if message.is_request("INVITE")]
    inside = {text for invite in invites for text in (invite.call_id, invite.tag("From"))}
    inside |= {lab.pbx_address, "LabPBX", "X-Inside", "Front Desk", "branch=z9hG4bKopen"}
    for message in carrier.messages(received=True):
        for word in inside:
            check(word not in message.head, f"{word} reached the carrier\n{message.head}")
        equal(len(message.all("Via")), 1, "Via fields at the carrier")
    for invite in carrier.requests("INVITE"):
        where = f"sip:{ALLOWED}@{lab.carrier_address}"
        check(invite.start.startswith(f"INVITE {where}"), f"Request-URI {invite.start}")
        check(where in invite.first("To"), f"To {invite.first('To')}")
        check(f"sip:{OWN}@" in invite.first("From"), f"From {invite.first('From')}")
        check(f"sip:{OWN}@" in invite.first("P-Asserted-Identity"), f"no P-Asserted-Identity\n{invite.head}")
    for ends in ((pbx, carrier), (carrier, pbx)):
        sent, received = ({message.body for message in end.messages(received=way) if message.body}
                          for end, way in zip(ends, (False, True)))
        equal(received, sent, f"session descriptions at {ends[1].name}")


@case(needs_tollgate=True)
def dialled_forms(lab):
    """However it is dialled, the carrier gets the one number that was judged."""
    lab.start()
    numbers = ["010442071838750", "184010442071838750", "%30%31%30442071838750", "+44-20-7183-8750"]
    carrier = lab.waiting(lab.carrier(plain_callee()), 5070)
    pbx = lab.pbx(with_user("[field0]"), numbers=numbers, calls=4)
    pbx.finish(20, 4)
    carrier.stop(10, 4)
    for invite in carrier.requests("INVITE"):
        check(f"sip:{ALLOWED}@" in invite.start and f"sip:{ALLOWED}@" in invite.first("To"),
              f"another number than was judged\n{invite.head}")
    lab.closed(allow=4)


def with_user(user):
    """A plain call to a user part that SIPp fills in."""
    return Caller(user=user).invite().ignore(100).ignore(180).expect(200).ack().bye()


EVASIONS = [
    "sip:*01023276123456@{gw}", "sip:+442071838750;rn=+23276123456@{gw}", "sip:+442071838750;isub=23276@{gw}",
    "sip:+442071838750;phone-context=+232@{gw};user=phone", "sip:+442071838750;postd=pp22@{gw};user=phone",
    "sip:+442071838750@{gw}?Route=%3Csip:192.0.2.1%3E", "sip:+442071838750,+23276123456@{gw}",
    "sip:1101@{gw}", "sip:110;phone-context=+232@{gw};user=phone", "tel:+23276123456", "tel:+232-76-123456",
    "tel:7042;phone-context=+8133557", "tel:7042", "sip:%EF%BC%91%EF%BC%91%EF%BC%90@{gw}", "sip:0%30%310442071838750@{gw}",
    "sip:%00442071838750@{gw}", "sip:+442071838750%20@{gw}", "sip:+81335571234%0d%0aRoute:x@{gw}", "sip:{gw}",
    "urn:service:counseling", "sip:+00442071838750@{gw}", "sip:++442071838750@{gw}",
]
# What is no URI at all, or of no known kind, has answers of its own.
NO_URIS = ["sip:１１０@{gw}", "sip:+442071838750@@{gw}", "mailto:x@example.com", "sip:%4@{gw}", "sip:+4420\u200b71838750@{gw}"]


@case(needs_tollgate=True)
def evasions(lab):
    """One way round the rules after the other: every one refused, none at the carrier."""
    lab.start()
    pbx, carrier = wires(lab)
    codes = []
    with pbx, carrier:
        for at, form in enumerate(EVASIONS + NO_URIS):
            uri = form.format(gw=f"{lab.net}.1")
            dialog = (f"<sip:{OWN}@{pbx.here}>;tag=c{at}", "<sip:+442071838750@gw>", f"evasion{at}@x")
            pbx.ask("INVITE", uri, dialog, 1, pbx.description())
            final = pbx.receive(lambda message: message.start > "SIP/2.0 2", f"a final response to {uri}")
            codes.append(final.start.split()[1])
            allowed = ("603",) if form in EVASIONS else ("400", "416", "603")
            check(codes[-1] in allowed, f"{uri} was answered {final.start}")
            check(final.call_id == dialog[2], "an answer to another INVITE")
            pbx.acknowledge(final, uri)
        carrier.quiet()
        pbx.quiet()
    lab.closed(refuse=codes.count("603"))


@case(needs_tollgate=True)
def withheld(lab):
    """184 in front: the carrier is asked to withhold the number, and From is anonymous."""
    lab.start()
    _, carrier = lab.outbound(plain_caller(), plain_callee(), 5, number="184" + ALLOWED)
    for invite in carrier.requests("INVITE"):
        check("id" in re.split(r"\s*;\s*", invite.first("Privacy")), f"Privacy {invite.first('Privacy')!r}")
        check("anonymous@anonymous.invalid" in invite.first("From"), f"From {invite.first('From')}")
        check(f"sip:{OWN}@" in invite.first("P-Asserted-Identity"), "no P-Asserted-Identity")
    lab.closed(allow=5)


@case(needs_tollgate=True)
def replaced(lab):
    """A caller number that is not the tenant's is replaced, in every header."""
    lab.start()
    end = plain_caller()
    end.steps = [step.replace(OWN, "+81312345678") for step in end.steps]
    _, carrier = lab.outbound(end, plain_callee(), 5)
    for invite in carrier.requests("INVITE"):
        check("+81312345678" not in invite.head, f"the foreign number reached the carrier\n{invite.head}")
        check("sip:+81335570000@" in invite.first("From"), f"From {invite.first('From')}")
    lab.closed(allow=5)


@case(needs_tollgate=True)
def redirected(lab):
    """The carrier's 302 to a dear number is refused, on record, and its Contact goes no further."""
    lab.start()
    callee = (Callee().called().reply(302, "Moved Temporarily", headers=["Contact: <sip:+23276123456@192.0.2.1>"])
              .receive("ACK").linger())
    pbx, _ = lab.outbound(Caller().invite().ignore(100).refused(603), callee, 5)
    check(not any("192.0.2.1" in message.head for message in pbx.messages(received=True)), "the redirection leaked")
    records = lab.closed(allow=5, refuse=5, answered=0)
    refused = {(it["number"], it["received_uri"]) for it in records if it.get("decision") == "refuse"}
    equal(refused, {("+23276123456", "sip:+23276123456@192.0.2.1")}, "what was refused")
    equal(sum(it.get("what") == "redirect-refused" for it in records), 5, "notes of redirections")


@case(needs_tollgate=True)
def redirect_followed(lab):
    """The carrier's 302 to an allowed number is a call there, through the carrier, with a verdict of its own."""
    other = ALLOWED[:-1] + "1"
    lab.start(calls_at_once=1)
    pbx, carrier = wires(lab)
    with pbx, carrier:
        call = Call(pbx, carrier, ALLOWED)
        first = call.invite
        carrier.send(["SIP/2.0 302 Moved Temporarily", *(f"Via: {via}" for via in first.all("Via")),
                      f"From: {first.first('From')}", f"To: {first.first('To')};tag=d0", f"Call-ID: {first.call_id}",
                      f"CSeq: {first.first('CSeq')}",
                      f"Contact: <sip:+23276123456@192.0.2.1>;q=0.3, <sip:{other}@192.0.2.1>;q=0.9"])
        carrier.request("ACK")
        call.invite = carrier.request("INVITE")
        check(other in call.invite.start and "192.0.2.1" not in call.invite.head, call.invite.head)
        check(call.invite.call_id != first.call_id, "the same call once more")
        call.answered("d1")
        call.connected()
        call.caller_asks("BYE")
        pbx.response(200, "BYE")
        carrier.answer(carrier.request("BYE"), 200, "OK")
    records = lab.closed(allow=2, answered=1)
    numbers = [it["number"] for it in records if it["record"] == "verdict"]
    equal(numbers, [ALLOWED, other], "numbers judged")


@case(needs_tollgate=True)
def retransmitted(lab):
    """An INVITE sent four times is one call: one at the carrier, one under the cap."""
    lab.start(calls_at_once=1)
    pbx, carrier = wires(lab)
    with pbx, carrier:
        pbx.copies = 4
        call = Call(pbx, carrier, ALLOWED)
        call.answered("d1")
        pbx.copies = 1
        call.connected()
        call.caller_asks("BYE")
        carrier.answer(carrier.request("BYE"), 200, "OK")
        pbx.response(200, "BYE")
        carrier.quiet()
    lab.closed(allow=1, by="caller", cause="bye")


@case(needs_tollgate=True)
def guessed(lab):
    """Requests into a live call with a wrong tag, or from the wrong side: 481, no more."""
    lab.start()
    pbx, carrier = wires(lab)
    with pbx, carrier:
        call = Call(pbx, carrier, ALLOWED)
        call.answered("d1")
        call.connected()
        near, far, call_id = call.dialog
        other_near, other_far, other_id = call.other_dialog
        wrong = [(pbx, (near + "x", far, call_id)), (pbx, (near, far + "x", call_id)), (pbx, (near, far, "x" + call_id)),
                 (carrier, (other_near, other_far + "x", other_id)), (carrier, (near, far, call_id)),
                 (pbx, (other_near, other_far, other_id))]
        for end, dialog in wrong:
            for method in ("BYE", "INFO", "UPDATE"):
                end.ask(method, call.uri, dialog, 77)
                end.response(481, method)
        pbx.quiet()
        carrier.quiet()
        call.caller_asks("BYE")
        carrier.answer(carrier.request("BYE"), 200, "OK")
        pbx.response(200, "BYE")
    lab.closed(allow=1, by="caller", cause="bye")


@case(needs_tollgate=True)
def methods(lab):
    """Methods that nobody allowed are refused, outside a call and in one."""
    lab.start()
    pbx, carrier = wires(lab)
    with pbx, carrier:
        for end in (pbx, carrier):
            for method in ("REGISTER", "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH"):
                end.ask(method, f"sip:{lab.net}.1", (f"<sip:x@{end.here}>;tag=1", "<sip:y@example.com>", f"{method}@x"), 1)
                check("Allow" in end.response(405, method).head, f"405 to {method} without Allow")
            end.ask("BREW", f"sip:{lab.net}.1", (f"<sip:x@{end.here}>;tag=1", "<sip:y@example.com>", "brew@x"), 1)
            end.response(501, "BREW")
        call = Call(pbx, carrier, ALLOWED)
        call.answered("d1")
        call.connected()
        call.callee_asks("MESSAGE")
        carrier.response(405, "MESSAGE")
        call.callee_asks("BYE", 2)
        carrier.response(200, "BYE")
        pbx.answer(pbx.request("BYE"), 200, "OK")
        pbx.quiet()
        carrier.quiet()
    lab.closed(allow=1, by="callee", cause="bye")


@case(needs_tollgate=True)
def transfers(lab):
    """REFER to nobody, outside a call and by a carrier, and a 302 to whom rules refuse: refused on record, and nobody else
    hears of it."""
    dear = "Refer-To: <sip:+23276123456@192.0.2.1?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>"
    lab.start()
    pbx, carrier = wires(lab)
    with pbx, carrier:
        pbx.ask("REFER", f"sip:{lab.net}.1", (f"<sip:x@{pbx.here}>;tag=1", "<sip:y@example.com>", "refer@x"), 1,
                headers=[dear])
        pbx.response(603, "REFER")
        call = Call(pbx, carrier, ALLOWED)
        call.answered("d1")
        call.connected()
        pbx.ask("REFER", call.uri, call.dialog, 2, headers=[dear])
        pbx.response(202, "REFER")
        for code in ("100", "481"):
            notify = pbx.request("NOTIFY")
            equal(notify.body.split()[1], code, "what becomes of a transfer to a call that is not there")
            pbx.answer(notify, 200, "OK")
        carrier.ask("REFER", call.invite.target(), call.other_dialog, 1, headers=[dear])
        carrier.response(603, "REFER")
        call.caller_asks("BYE", 3)
        pbx.response(200, "BYE")
        carrier.answer(carrier.request("BYE"), 200, "OK")
        inbound = Call(carrier, pbx, OWN)
        asked = inbound.invite
        pbx.send(["SIP/2.0 302 Moved Temporarily", *(f"Via: {via}" for via in asked.all("Via")),
                  f"From: {asked.first('From')}", f"To: {asked.first('To')};tag=d0", f"Call-ID: {asked.call_id}",
                  f"CSeq: {asked.first('CSeq')}", "Contact: <sip:+23276123456@192.0.2.1>"])
        pbx.request("ACK")
        carrier.acknowledge(carrier.response(603, "INVITE"), inbound.uri)
        pbx.quiet()
        carrier.quiet()
    records = lab.closed(allow=2, refuse=4, answered=1)
    refused = [(it["reason"], it["number"]) for it in records if it.get("decision") == "refuse"]
    # What nobody could dial has no number.
    dear = "+23276123456"
    equal(refused, [("no-transfers", ""), ("no-transfers", dear), ("no-transfers", ""), ("destination-not-allowed", dear)],
          "what was refused")


@case(needs_tollgate=True)
def longer_interval(lab):
    """The carrier wants a longer session interval (422): Tollgate asks again by itself."""
    lab.start(calls_at_once=1)
    pbx, carrier = wires(lab)
    with pbx, carrier:
        call = Call(pbx, carrier, ALLOWED)
        check(int(call.invite.first("Session-Expires").split(";")[0] or 0) < 300, "no session timer asked for")
        carrier.answer(call.invite, 422, "Session Interval Too Small", "d0", headers=["Min-SE: 300"])
        carrier.request("ACK")
        call.invite = carrier.request("INVITE")
        check(int(call.invite.first("Session-Expires").split(";")[0]) >= 300, f"the same interval\n{call.invite.head}")
        call.answered("d1")
        call.connected()
        call.caller_asks("BYE")
        carrier.answer(carrier.request("BYE"), 200, "OK")
        pbx.response(200, "BYE")
    lab.closed(allow=1, by="caller", cause="bye")
