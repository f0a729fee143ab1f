"""What the two ends do at the same moment."""

from cases import case
from process import check, equal
from scenario import ALLOWED
from wire import Call, Wire


def wires(lab):
    """The phone system and the carrier."""
    return (Wire(lab.pbx_address, 5080, lab.next_hop_of_pbx),
            Wire(lab.carrier_address, 5070, lab.next_hop_of_carrier))


@case
def both_hang_up(lab):
    """Both hang up at the same time: no BYE stays without its answer."""
    lab.start()
    pbx, carrier = wires(lab)
    with pbx, carrier:
        for _ in range(20):
            call = Call(pbx, carrier, ALLOWED)
            call.answered("d1")
            call.connected()
            call.caller_asks("BYE")
            call.callee_asks("BYE")
            for end in (pbx, carrier):
                if lab.direct:
                    end.answer(end.request("BYE"), 200, "OK")
            for end in (pbx, carrier):
                end.response(200, "BYE")
                # Tollgate hung up too, unless the BYE from here came first.
                for message in end.pending:
                    end.answer(message, 200, "OK")
                end.pending.clear()
    lab.closed(allow=20, cause="bye")


@case
def both_hold(lab):
    """Both re-INVITE at the same time: each is told 491, and the call goes on."""
    lab.start()
    pbx, carrier = wires(lab)
    with pbx, carrier:
        call = Call(pbx, carrier, ALLOWED)
        call.answered("d1")
        call.connected()
        call.caller_asks("INVITE", 2, pbx.description())
        call.callee_asks("INVITE", 1, carrier.description())
        if lab.direct:
            for end in (pbx, carrier):
                end.answer(end.request("INVITE"), 491, "Request Pending")
        else:
            carrier.answer(carrier.request("INVITE"), 491, "Request Pending")
        for end in (pbx, carrier):
            end.response(491, "INVITE")
        if not lab.direct:
            carrier.request("ACK")
        call.caller_asks("BYE", 3)
        carrier.answer(carrier.request("BYE"), 200, "OK")
        pbx.response(200, "BYE")
    lab.closed(allow=1, by="caller", cause="bye")


@case(needs_tollgate=True)
def forked_answers(lab):
    """Two phones answer: the first has the call, the second gets ACK and BYE."""
    lab.start()
    pbx, carrier = wires(lab)
    with pbx, carrier:
        for _ in range(10):
            call = Call(pbx, carrier, ALLOWED)
            call.answered("first")
            call.answered("second")
            acks = {carrier.request("ACK").tag("To"): None}
            bye = carrier.request("BYE")
            equal((bye.tag("To"), list(acks)), ("second", ["second"]), "who is hung up, and acknowledged before")
            carrier.answer(bye, 200, "OK")
            equal(call.connected().tag("To"), "first", "who has the call")
            call.caller_asks("BYE")
            bye = carrier.request("BYE")
            equal(bye.tag("To"), "first", "who is hung up in the end")
            carrier.answer(bye, 200, "OK")
            pbx.response(200, "BYE")
            check(not [message for message in pbx.pending if message.is_response(200, "INVITE")
                       and message.tag("To") != call.dialog[1].partition(";tag=")[2]],
                  "the second 200 reached the phone system")
    lab.closed(allow=10, by="caller", cause="bye")
