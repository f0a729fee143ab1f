"""Calls that a phone system has go elsewhere: REFER, Replaces, its own 3xx."""

from cases import case
from cases_races import wires
from phones import Baresip
from process import check, equal
from scenario import ALLOWED, OWN
from wire import Call, Wire

OTHER = "+442071838751"
DEAR = "+23276123456"


def media(carrier, who):
    """A session description by which it can be told whose it is; media goes to no port that is listened at."""
    return carrier.description().replace("o=-", f"o={who}").replace("m=audio 5070", "m=audio 5072")


def joined(carrier, first, second):
    """Who is transferred takes the other's offer, and the other its answer: returns the ACK that has it."""
    carrier.answer(second, 200, "OK", "b", media(carrier, "b"))
    offered = carrier.request("INVITE")
    equal(offered.call_id, first.call_id, "who gets the offer")
    check("o=b" in offered.body, f"another offer:\n{offered.body}")
    carrier.answer(offered, 200, "OK", body=media(carrier, "a"))
    acks = {ack.call_id: ack for ack in (carrier.request("ACK"), carrier.request("ACK"))}
    check("o=a" in acks[second.call_id].body, "the answer did not reach who made the offer")
    return acks


def hang_up(carrier, ack, tag, other):
    """Who has got this ACK hangs up, and the other is hung up, too."""
    uri = ack.start.split()[1]
    near = ack.first("To")
    carrier.ask("BYE", f"sip:{carrier.next_hop[0]}:{carrier.next_hop[1]}", (near, ack.first("From"), ack.call_id), 7)
    carrier.response(200, "BYE")
    bye = carrier.request("BYE")
    equal(bye.call_id, other, f"who is hung up after {tag} at {uri}")
    carrier.answer(bye, 200, "OK")


def refer(pbx, call, target, cseq):
    pbx.ask("REFER", call.uri, call.dialog, cseq, headers=[f"Refer-To: <{target}>"])
    pbx.response(202, "REFER")


def notified(pbx, *codes):
    """The phone system is told so."""
    for code in codes:
        notify = pbx.request("NOTIFY")
        equal(notify.body.split()[1], str(code), "what became of the transfer")
        pbx.answer(notify, 200, "OK")


@case(needs_tollgate=True)
def baresip_transfers(lab):
    """baresip transfers a call: to whom it may call, and to whom it may not."""
    lab.start()
    phone = Baresip(lab)
    with Wire(lab.carrier_address, 5070, lab.next_hop_of_carrier) as carrier:
        first = dialled(phone, carrier)
        phone.transfer(DEAR)
        phone.sees("TRANSFER_FAILED")
        # The call has gone on; that it is over baresip does not say then.
        phone.hang_up()
        carrier.answer(carrier.request("BYE"), 200, "OK")
        first = dialled(phone, carrier)
        phone.transfer(OTHER)
        second = carrier.request("INVITE")
        check(f"sip:{OTHER}@" in second.start, f"the transfer is to {second.start}")
        acks = joined(carrier, first, second)
        phone.ended()
        hang_up(carrier, acks[second.call_id], "b", first.call_id)
    phone.end()
    lab.closed(allow=3, refuse=1, answered=3)


def dialled(phone, carrier):
    """A call that is up: its INVITE at the carrier."""
    phone.dial(ALLOWED)
    invite = carrier.request("INVITE")
    carrier.answer(invite, 200, "OK", "a", media(carrier, "a"))
    carrier.request("ACK")
    phone.talks()
    return invite


@case(needs_tollgate=True)
def transfers_to_each_other(lab):
    """A phone system joins pairs of its calls, whichever shard each of them lives in, and the ends hang up."""
    lab.start()
    pbx, carrier = wires(lab)
    with pbx, carrier:
        for _ in range(8):
            calls = []
            for number, tag in ((ALLOWED, "a"), (OTHER, "b")):
                call = Call(pbx, carrier, number)
                call.answered(tag)
                call.connected()
                calls.append(call)
            first, second = calls
            near, far, call_id = second.dialog
            tags = [field.split(";tag=")[1] for field in (far, near)]
            target = f"sip:{OTHER}@{first.uri.split(':', 1)[1]}?Replaces={call_id.replace('@', '%40')}" \
                f"%3Bto-tag%3D{tags[0]}%3Bfrom-tag%3D{tags[1]}"
            refer(pbx, first, target, 2)
            again = carrier.request("INVITE")
            equal(again.call_id, second.invite.call_id, "whom the transfer is to")
            acks = joined(carrier, first.invite, again)
            # Both of its calls are over for the phone system.
            for bye in (pbx.request("BYE"), pbx.request("BYE")):
                pbx.answer(bye, 200, "OK")
            notified(pbx, 100, 200)
            hang_up(carrier, acks[first.invite.call_id], "a", second.invite.call_id)
    lab.closed(allow=16, answered=16)


@case(needs_tollgate=True)
def phone_system_redirects(lab):
    """A phone system redirects calls that come in: one goes on to whom it may call, another ends."""
    lab.start()
    pbx, carrier = wires(lab)
    with pbx, carrier:
        for number, follows in ((OTHER, True), (DEAR, False)):
            call = Call(carrier, pbx, OWN)
            asked = call.invite
            pbx.send(["SIP/2.0 302 Moved Temporarily", *(f"Via: {via}" for via in asked.all("Via")),
                      f"From: {asked.first('From')}", f"To: {asked.first('To')};tag=r", f"Call-ID: {asked.call_id}",
                      f"CSeq: {asked.first('CSeq')}", f"Contact: <sip:{number}@{pbx.here}>"])
            pbx.request("ACK")
            if not follows:
                carrier.acknowledge(carrier.response(603, "INVITE"), call.uri)
                continue
            onward = carrier.request("INVITE")
            check(f"sip:{number}@" in onward.start, f"it goes on by {onward.start}")
            carrier.answer(onward, 200, "OK", "b", media(carrier, "b"))
            ok = carrier.response(200, "INVITE")
            dialog = (call.dialog[0], ok.first("To"), call.dialog[2])
            carrier.ask("ACK", ok.target(), dialog, 1)
            carrier.request("ACK")
            carrier.ask("BYE", ok.target(), dialog, 2)
            carrier.response(200, "BYE")
            carrier.answer(carrier.request("BYE"), 200, "OK")
    lab.closed(allow=3, refuse=1, answered=2)
