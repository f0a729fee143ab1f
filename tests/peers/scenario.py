"""One end of a call, step by step, written out as a SIPp scenario.

Every case describes its two ends as two such lists, so that a call reads like
the ladder that RFC 3665 would draw of it.
"""

from xml.sax.saxutils import quoteattr

OWN = "+81335570001"
ALLOWED = "+442071838750"

OFFER = """\
v=0
o=- 1622001 1622001 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a={direction}
"""

ALLOW = "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, UPDATE, PRACK"


def sdp(direction="sendrecv"):
    """A session description; the direction tells one from another."""
    return OFFER.format(direction=direction)


class Check:
    """What SIPp itself looks for in a message that it receives."""

    def __init__(self, pattern, header=None, body=False, absent=False):
        self.pattern, self.header, self.body, self.absent = pattern, header, body, absent

    def action(self, name):
        if self.header:
            place = f'search_in="hdr" header="{self.header}:"'
        else:
            place = 'search_in="body"' if self.body else 'search_in="msg"'
        check = "check_it_inverse" if self.absent else "check_it"
        return f'<ereg regexp={quoteattr(self.pattern)} {place} {check}="true" assign_to="{name}"/>'


class End:
    """What both ends of a call have in common: requests and answers inside it."""

    first_cseq = 1

    def __init__(self, name):
        self.name = name
        self.steps = []
        self.variables = set()
        self.cseq = self.first_cseq - 1

    def xml(self):
        """The scenario as SIPp reads it."""
        steps = list(self.steps)
        if self.variables:
            steps.append(f'<Reference variables="{",".join(sorted(self.variables))}"/>')
        text = "\n".join(steps)
        return f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="{self.name}">\n{text}\n</scenario>\n'

    def pause(self, milliseconds=None):
        """Waits; without a time, for as long as SIPp was told to hold calls."""
        length = "" if milliseconds is None else f' milliseconds="{milliseconds}"'
        self.steps.append(f"<pause{length}/>")
        return self

    def linger(self, milliseconds=300):
        """Stays after the call, to answer what is repeated."""
        self.steps.append(f'<timewait milliseconds="{milliseconds}"/>')
        return self

    def _capture(self, name, header):
        self.variables.add(name)
        return f'<ereg regexp=".*" search_in="hdr" header="{header}:" assign_to="{name}"/>'

    def _expect(self, attributes, actions, checks):
        actions = list(actions)
        for check in checks:
            name = f"check{len(self.steps)}n{len(actions)}"
            self.variables.add(name)
            actions.append(check.action(name))
        inside = f"<action>{''.join(actions)}</action>" if actions else ""
        self.steps.append(f"<recv {attributes}>{inside}</recv>")
        return self

    def receive(self, method, *checks, optional=False):
        """A request of the other end's, kept for its answer."""
        actions = [self._capture(f"{method.lower()}_{field}", header)
                   for field, header in (("via", "Via"), ("from", "From"), ("to", "To"), ("cseq", "CSeq"))
                   if method != "ACK"]
        maybe = ' optional="true"' if optional else ""
        rrs = ' rrs="true"' if method in ("INVITE", "UPDATE") else ""
        return self._expect(f'request="{method}"{rrs}{maybe}', actions, checks)

    def answer(self, code, phrase, to, body="", headers=(), tag=""):
        """Answers the request of that method received last."""
        name = to.lower()
        lines = [f"SIP/2.0 {code} {phrase}",
                 f"Via:[${name}_via]", f"From:[${name}_from]", f"To:[${name}_to]{tag}",
                 "Call-ID: [call_id]", f"CSeq:[${name}_cseq]"]
        if to in ("INVITE", "UPDATE") and code < 300:
            lines += ["Contact: <sip:[local_ip]:[local_port];transport=[transport]>", ALLOW]
        retransmitted = to == "INVITE" and code >= 200
        return self._send(lines, headers, body, retransmitted)

    def _send(self, lines, headers, body, retransmitted):
        lines = lines + list(headers)
        if body:
            lines.append("Content-Type: application/dtmf-relay" if body.startswith("Signal")
                         else "Content-Type: application/sdp")
        text = "\n".join([*lines, "Content-Length: [len]", "", body])
        again = ' retrans="500"' if retransmitted else ""
        self.steps.append(f"<send{again}><![CDATA[\n{text}\n]]></send>")
        return self

    def _request(self, method, uri, to, branch, cseq, headers, body):
        lines = [f"{method} {uri} SIP/2.0",
                 f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch};rport"]
        if uri == "[next_url]":
            lines.append("[routes]")
        lines += ["Max-Forwards: 70", f"From: {self.local}", f"To: {to}", "Call-ID: [call_id]",
                  f"CSeq: {cseq} {method}"]
        if method in ("INVITE", "UPDATE"):
            lines += [f"Contact: <sip:{OWN}@[local_ip]:[local_port];transport=[transport]>", ALLOW]
        return self._send(lines, headers, body, method not in ("ACK",))

    def request(self, method, body="", headers=(), cseq=None):
        """A request inside the dialog."""
        if method not in ("ACK", "CANCEL"):
            self.cseq += 1
        branch = self._branch(f"{method}{len(self.steps)}")
        cseq = self.cseq if cseq is None else cseq
        return self._request(method, "[next_url]", self.remote, branch, cseq, headers, body)

    @staticmethod
    def _branch(name):
        return f"z9hG4bK{name}.[pid].[call_number]"

    def bye(self):
        """Hangs up. SIPp would take a 200 to INVITE that comes once more for the answer, were the answer
        not told to be one to this request, by its branch."""
        self.request("BYE")
        self.steps[-1] = self.steps[-1].replace("<send", '<send start_txn="bye"', 1)
        return self._expect('response="200" response_txn="bye"', (), ())

    def hung_up(self):
        """The other end hangs up."""
        return self.receive("BYE").answer(200, "OK", "BYE")

    def expect(self, code, *checks):
        """A response to INVITE that makes or refreshes the dialog."""
        return self._expect(f'response="{code}" rrs="true"', self._learn(), checks)

    def _learn(self):
        return []

    def answered(self, code, *checks):
        """A final response to a request inside the dialog."""
        return self._expect(f'response="{code}"', (), checks)

    def ignore(self, code):
        """A response that may come here or not."""
        self.steps.append(f'<recv response="{code}" optional="true"/>')
        return self


class Caller(End):
    """The end that opens the call."""

    local = f'"Front Desk" <sip:{OWN}@[local_ip]:[local_port]>;tag=c[pid]n[call_number]'
    remote = "[$peer]"

    def __init__(self, name="caller", user="[service]"):
        super().__init__(name)
        self.uri = f"sip:{user}@[remote_ip]:[remote_port];user=phone"

    def _learn(self):
        return [self._capture("peer", "To")]

    def invite(self, body=None, headers=()):
        """The INVITE that opens the call, with all a PBX likes to add."""
        self.cseq += 1
        extras = [f"P-Asserted-Identity: <sip:{OWN}@[local_ip]>",
                  "User-Agent: LabPBX 4.2", "X-Inside: extension 7042",
                  "Supported: replaces, timer, 100rel", "Session-Expires: 1800;refresher=uac",
                  "Min-SE: 90", *headers]
        return self._request("INVITE", self.uri, f"<{self.uri}>", self._branch("open"), self.cseq,
                             extras, sdp() if body is None else body)

    def ack(self, body="", cseq=None):
        """The ACK to a 200."""
        return self.request("ACK", body, cseq=cseq)

    def ack_refusal(self):
        """The ACK to anything else: part of the INVITE's transaction."""
        return self._request("ACK", self.uri, "[$refused]", self._branch("open"), 1, (), "")

    def refused(self, code, *checks):
        """A final response that ends the attempt, and its ACK."""
        self._expect(f'response="{code}"', [self._capture("refused", "To")], checks)
        return self.ack_refusal()

    def cancel(self):
        """Takes the INVITE back: same branch, same CSeq number."""
        return self._request("CANCEL", self.uri, f"<{self.uri}>", self._branch("open"), 1, (), "")


class Callee(End):
    """The end that is called."""

    first_cseq = 4711
    tag = ";tag=d[pid]n[call_number]"
    local = "[$here]" + tag
    remote = "[$there]"

    def __init__(self, name="callee"):
        super().__init__(name)
        self.open = False

    def called(self, *checks):
        """The INVITE that opens the call."""
        actions = [self._capture("here", "To"), self._capture("there", "From")]
        actions += [self._capture(f"invite_{field}", header)
                    for field, header in (("via", "Via"), ("from", "From"), ("to", "To"), ("cseq", "CSeq"))]
        return self._expect('request="INVITE" rrs="true"', actions, checks)

    def reply(self, code, phrase, body="", headers=(), tag=None):
        """A response to the INVITE that opened the call."""
        tag = self.tag if tag is None else tag
        return self.answer(code, phrase, "INVITE", body, headers, tag)

    def ring(self, **more):
        """180."""
        return self.reply(180, "Ringing", **more)

    def pick_up(self, body=None, **more):
        """200, with an answer."""
        return self.reply(200, "OK", sdp() if body is None else body, **more)


def plain_caller(hold=False):
    """INVITE 180 200 ACK BYE 200 from the caller's side."""
    end = Caller().invite().ignore(100).ignore(180).expect(200).ack()
    return (end.pause() if hold else end).bye()


def plain_callee():
    """The same from the other side."""
    return Callee().called().ring().pick_up().receive("ACK").hung_up().linger()
