"""What happens between an INVITE and the last BYE, one thing a case."""

from cases import case
from process import check, equal
from scenario import Callee, Caller, Check, plain_callee, sdp

HELD = Check("a=sendonly", body=True)
HOLDING = Check("a=recvonly", body=True)
TALKING = Check("a=sendrecv", body=True)
DIGIT = "Signal=5\nDuration=160\n"


def connected():
    """Both ends, the caller's ACK sent and received."""
    return (Caller().invite().ignore(100).expect(180).expect(200).ack(),
            Callee().called().ring().pick_up().receive("ACK"))


@case
def cancel(lab):
    """The caller gives up while it rings."""
    lab.start()
    caller = (Caller().invite().ignore(100).expect(180).pause(200)
              .cancel().answered(200).refused(487))
    callee = (Callee().called().ring().receive("CANCEL").answer(200, "OK", "CANCEL")
              .reply(487, "Request Terminated").receive("ACK").linger())
    lab.outbound(caller, callee)
    lab.closed(allow=20, answered=0, by="caller", cause="cancelled")


@case(needs_tollgate=True)
def cancel_early(lab):
    """The caller gives up before the carrier said anything: its CANCEL waits (RFC 3261 §9.1)."""
    lab.start()
    caller = Caller().invite().answered(100).pause(50).cancel().answered(200).refused(487)
    callee = (Callee().called().pause(300).ring().receive("CANCEL").answer(200, "OK", "CANCEL")
              .reply(487, "Request Terminated").receive("ACK").linger())
    lab.outbound(caller, callee)
    lab.closed(allow=20, answered=0, by="caller", cause="cancelled")


@case
def late_answer(lab):
    """The carrier's 200 crosses the CANCEL: that call is hung up."""
    lab.start()
    caller = (Caller().invite().ignore(100).expect(180).pause(200)
              .cancel().answered(200))
    if lab.direct:
        caller.expect(200).ack().bye()
    else:
        caller.refused(487)
    callee = (Callee().called().ring().receive("CANCEL").answer(200, "OK", "CANCEL")
              .pick_up().receive("ACK").hung_up().linger())
    lab.outbound(caller, callee)
    lab.closed(allow=20, answered=0, by="caller", cause="cancelled")


def refuses(lab, code, phrase):
    """The carrier refuses, and the caller learns it."""
    lab.start()
    lab.outbound(Caller().invite().ignore(100).ignore(180).refused(code),
                 Callee().called().ring().reply(code, phrase).receive("ACK").linger())
    lab.closed(allow=20, answered=0, by="callee", cause="rejected", status=code)


@case
def busy(lab):
    """The called party is busy."""
    refuses(lab, 486, "Busy Here")


@case
def carrier_fails(lab):
    """The carrier fails: its 503 is relayed, so that the PBX may go elsewhere."""
    refuses(lab, 503, "Service Unavailable")


@case(needs_tollgate=True)
def no_answer(lab):
    """It rings for longer than the tenant allows."""
    lab.start(longest_ring="2s")
    caller = Caller().invite().ignore(100).expect(180).refused(480)
    callee = (Callee().called().ring().receive("CANCEL").answer(200, "OK", "CANCEL")
              .reply(487, "Request Terminated").receive("ACK").linger())
    lab.outbound(caller, callee)
    lab.closed(allow=20, answered=0, by="tollgate", cause="longest-ring")


@case(needs_tollgate=True)
def too_long(lab):
    """It lasts for longer than the tenant allows: both ends are hung up."""
    lab.start(longest_call="2s")
    caller, callee = connected()
    lab.outbound(caller.hung_up().linger(), callee.hung_up().linger())
    lab.closed(allow=20, by="tollgate", cause="longest-call")


@case
def callee_hangs_up(lab):
    """The called party hangs up."""
    lab.start()
    caller, callee = connected()
    lab.outbound(caller.hung_up().linger(), callee.pause(200).bye())
    lab.closed(allow=20, by="callee", cause="bye")


def holds(one, other):
    """One end puts the other on hold and takes it back."""
    one.pause(200)
    for direction, answer, seen in (("sendonly", HOLDING, HELD), ("sendrecv", TALKING, TALKING)):
        one.request("INVITE", sdp(direction)).ignore(100).expect(200, answer).request("ACK")
        back = "recvonly" if direction == "sendonly" else "sendrecv"
        other.receive("INVITE", seen).answer(200, "OK", "INVITE", sdp(back)).receive("ACK")
        one.pause(100)


@case
def hold_by_caller(lab):
    """The caller holds and resumes: two re-INVITEs."""
    lab.start()
    caller, callee = connected()
    holds(caller, callee)
    lab.outbound(caller.bye(), callee.hung_up().linger())
    lab.closed(allow=20)


@case
def hold_by_callee(lab):
    """The called party holds and resumes."""
    lab.start()
    caller, callee = connected()
    holds(callee, caller)
    lab.outbound(caller.hung_up().linger(), callee.bye())
    lab.closed(allow=20)


@case
def hold_inbound(lab):
    """An inbound call, held and resumed by the phone system that was called."""
    lab.start()
    caller, callee = connected()
    holds(callee, caller)
    lab.inbound(caller.hung_up().linger(), callee.bye())
    lab.closed(allow=20, by="callee")


@case
def reinvite_refused(lab):
    """A re-INVITE that the other end does not take leaves the call as it was."""
    lab.start()
    caller, callee = connected()
    caller.pause(200).request("INVITE", sdp("sendonly")).ignore(100)
    refused = caller.steps[-2].split("branch=")[1].split(";")[0]
    caller.answered(488)
    caller._request("ACK", "[next_url]", "[$peer]", refused, 2, (), "")
    callee.receive("INVITE").answer(488, "Not Acceptable Here", "INVITE").receive("ACK")
    lab.outbound(caller.pause(100).bye(), callee.hung_up().linger())
    lab.closed(allow=20)


@case
def update(lab):
    """UPDATE with an offer, from either end."""
    lab.start()
    caller, callee = connected()
    for one, other in ((caller, callee), (callee, caller)):
        one.pause(200).request("UPDATE", sdp("sendonly")).answered(200, HOLDING)
        other.receive("UPDATE", HELD).answer(200, "OK", "UPDATE", sdp("recvonly"))
    lab.outbound(caller.pause(400).bye(), callee.hung_up().linger())
    lab.closed(allow=20)


@case
def dtmf(lab):
    """Digits in INFO, from either end."""
    lab.start()
    caller, callee = connected()
    digit = Check("Signal=5", body=True)
    for one, other in ((caller, callee), (callee, caller)):
        one.pause(200).request("INFO", DIGIT).answered(200)
        other.receive("INFO", digit).answer(200, "OK", "INFO")
    lab.outbound(caller.pause(400).bye(), callee.hung_up().linger())
    lab.closed(allow=20)


@case
def reliable_ringing(lab):
    """100rel: the 180 is acknowledged by PRACK, whose RAck names each leg's own INVITE."""
    lab.start()
    caller = (Caller().invite().ignore(100).expect(180, Check("100rel", header="Require"))
              .request("PRACK", headers=["RAck: 17 1 INVITE"]).answered(200).expect(200).ack(cseq=1).pause(100).bye())
    callee = (Callee().called(Check("100rel", header="Supported"))
              .ring(headers=["Require: 100rel", "RSeq: 17"])
              .receive("PRACK").answer(200, "OK", "PRACK").pause(200)
              .pick_up().receive("ACK").hung_up().linger())
    _, carrier = lab.outbound(caller, callee)
    numbers = {invite.call_id: invite.first("CSeq") for invite in carrier.requests("INVITE")}
    pracks = carrier.requests("PRACK")
    equal(len(pracks), 20, "PRACKs at the carrier")
    for prack in pracks:
        equal(prack.first("RAck"), f"17 {numbers[prack.call_id]}", "RAck at the carrier")
    lab.closed(allow=20)


@case
def delayed_offer(lab):
    """No offer in the INVITE: it comes in the 200, and its answer in the ACK."""
    lab.start()
    caller = (Caller().invite(body="").ignore(100).expect(180).expect(200, HELD)
              .ack(sdp("recvonly")).pause(100).bye())
    callee = (Callee().called(Check("m=audio", absent=True)).ring().pick_up(sdp("sendonly"))
              .receive("ACK", HOLDING).hung_up().linger())
    lab.outbound(caller, callee)
    lab.closed(allow=20)


@case
def early_media(lab):
    """183 with a session description, then 200 with the same."""
    lab.start()
    caller = Caller().invite().ignore(100).expect(183, TALKING).expect(200, TALKING).ack().pause(100).bye()
    callee = (Callee().called().reply(183, "Session Progress", sdp()).pause(200).pick_up().receive("ACK")
              .hung_up().linger())
    lab.outbound(caller, callee)
    lab.closed(allow=20)


FIRST, SECOND = ";tag=first[call_number]", ";tag=d[pid]n[call_number]"


@case
def forked_ringing(lab):
    """Two phones ring, the second answers: everything later goes to that one."""
    lab.start()
    caller = Caller().invite().ignore(100).expect(180).expect(180).expect(200).ack().pause(100).bye()
    callee = (Callee().called().ring(tag=FIRST).pause(100).ring(tag=SECOND).pause(100).pick_up(tag=SECOND)
              .receive("ACK").hung_up().linger())
    pbx, carrier = lab.outbound(caller, callee)
    for message in carrier.requests("ACK") + carrier.requests("BYE"):
        check(message.tag("To").startswith("d"), f"sent to the wrong phone\n{message.head}")
    tags = {}
    for message in pbx.messages(received=True):
        if message.is_response(180, "INVITE"):
            tags.setdefault(message.call_id, set()).add(message.tag("To"))
    equal({len(both) for both in tags.values()}, {2}, "To tags of the 180s at the phone system")
    lab.closed(allow=20)


@case(needs_tollgate=True)
def unknown_dialog(lab):
    """Requests inside calls that do not exist are 481, and reach nobody."""
    lab.start()
    carrier = lab.waiting(lab.carrier(plain_callee()), 5070)
    end = Caller()
    for method in ("BYE", "INFO", "UPDATE", "INVITE"):
        end.cseq += 1
        end._request(method, end.uri, f"<{end.uri}>;tag=guessed", end._branch(method), end.cseq, (), "")
        if method == "INVITE":
            end._expect('response="481"', (), ())
            end._request("ACK", end.uri, f"<{end.uri}>;tag=guessed", end._branch(method), end.cseq, (), "")
        else:
            end.answered(481)
    lab.pbx(end, number="+442071838750", calls=10).finish(20, 10)
    carrier.stop(10, 0)
    lab.closed()
