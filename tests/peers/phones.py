"""Two phones of this world, without a screen or a sound card."""

import json
import os
import re
import socket
import subprocess

from process import Process, check, until
from scenario import OWN

PORT = 5080


class Baresip(Process):
    """baresip, told what to do over its control port, which also says what happens."""

    CONTROL = 4444

    def __init__(self, lab, papers=None, account=None, transport="udp"):
        """Over TLS, and with a certificate, if there are `papers`; registered, if it has an `account` and a password."""
        self.lab, self.said, self.rest = lab, [], b""
        self.tls = ";transport=tls" if papers else ""
        self.over = self.tls or ("" if transport == "udp" else f";transport={transport}")
        home = lab.directory / "baresip"
        home.mkdir()
        shown = []
        if papers:
            both = "".join(path.read_text() for path in papers.issue("pbx.acme.example", lab.pbx_address))
            (home / "own.pem").write_text(both)
            shown = [f"sip_certificate {home}/own.pem", f"sip_cafile {papers.authority}", "sip_verify_server yes",
                     "sip_transports tls"]
        modules = next(path for path in ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")
                       if os.path.isdir(path))
        (home / "config").write_text("\n".join([
            f"sip_listen {lab.pbx_address}:{PORT}", f"net_interface {lab.pbx_address}",
            f"ctrl_tcp_listen {lab.pbx_address}:{self.CONTROL}", "call_max_calls 4", "rtp_ports 10000-10100",
            "audio_source aubridge,nil", "audio_player aubridge,nil", "audio_alert aubridge,nil",
            f"module_path {modules}", "module g711.so", "module aubridge.so", "module_tmp account.so",
            "module_app menu.so", "module_app ctrl_tcp.so", *shown, ""]))
        where, registers, port = lab.pbx_address, "regint=0", ""
        if account:
            where, port, registers = f"{lab.net}.1", ":5061" if papers else ":5060", "regint=60;auth_user={};auth_pass={}".format(*account)
        (home / "accounts").write_text(
            f"<sip:{OWN}@{where}{port}{self.over}>;{registers};answermode=manual;audio_codecs=pcmu\n")
        (home / "contacts").write_text("")
        super().__init__(lab, "baresip", ["baresip", "-4", "-f", home], env={"HOME": str(home)})
        self.control = until(self._connect, 10, "baresip's control port", self)
        if account:
            until(lambda: "1 binding]" in self.text(), 10, "baresip registered", self)

    def _connect(self):
        try:
            return socket.create_connection((self.lab.pbx_address, self.CONTROL), 1)
        except OSError:
            return None

    def _tell(self, command, parameters=""):
        text = json.dumps({"command": command, "params": parameters}).encode()
        self.control.sendall(b"%d:%s," % (len(text), text))

    def _listen(self):
        """Reads what it says: netstrings of JSON."""
        self.control.settimeout(0.05)
        try:
            self.rest += self.control.recv(65536)
        except TimeoutError:
            return
        while (found := re.match(rb"(\d+):", self.rest)) and len(self.rest) > found.end() + int(found[1]):
            end = found.end() + int(found[1])
            self.said.append(json.loads(self.rest[found.end():end]))
            self.rest = self.rest[end + 1:]

    def sees(self, event, seconds=5):
        """Waits for an event of a call, and forgets it and those before it."""
        def seen():
            self._listen()
            types = [message.get("type") for message in self.said]
            return types.index(event) + 1 if event in types else 0
        at = until(seen, seconds, f"baresip's {event}", self)
        message, self.said = self.said[at - 1], self.said[at:]
        return message

    def dial(self, number):
        hop = f"{self.lab.net}.1:5061" if self.tls else self.lab.next_hop_of_pbx
        self._tell("dial", f"sip:{number}@{hop}{self.over}")

    def rings(self):
        self.sees("CALL_RINGING")

    def rung(self):
        self.sees("CALL_INCOMING")

    def talks(self):
        self.sees("CALL_ESTABLISHED")

    def ended(self, code=None):
        closed = self.sees("CALL_CLOSED")
        check(code is None or closed["param"].startswith(str(code)), f"baresip's call ended with {closed['param']}")

    def pick_up(self):
        self._tell("accept")

    def hang_up(self):
        self._tell("hangup")

    def transfer(self, number):
        self._tell("transfer", f"sip:{number}@{self.lab.next_hop_of_pbx}")

    def hold(self):
        self._tell("hold")

    def resume(self):
        self._tell("resume")


class Linphone(Process):
    """linphonec, told what to do on its standard input."""

    def __init__(self, lab):
        self.lab, self.read = lab, 0
        home = lab.directory / "linphone"
        for folder in (".local/share/linphone", ".config/linphone"):
            (home / folder).mkdir(parents=True)
        (home / "linphonerc").write_text("\n".join([
            "[sip]", f"bind_address={lab.pbx_address}", f"sip_port={PORT}", "sip_tcp_port=0", "sip_tls_port=0",
            # Without it, linphone holds that a machine with a loopback network alone has none.
            "auto_net_state_mon=0", "use_ipv6=0", "guess_hostname=0", f"contact=sip:{OWN}@{lab.pbx_address}",
            "[rtp]", "audio_rtp_port=10200", "[video]", "enabled=0", ""]))
        super().__init__(lab, "linphone", ["linphonec", "-c", home / "linphonerc"], stdin=subprocess.PIPE,
                         env={"HOME": str(home), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""})
        lab.waiting(self, PORT)
        self._tell("soundcard use files")
        self.sees("wav files")

    def _tell(self, command):
        self.child.stdin.write(command.encode() + b"\n")
        self.child.stdin.flush()

    def sees(self, words, seconds=5):
        """Waits for a line that it prints, and forgets it and those before it."""
        def seen():
            return re.search(f".*{words}.*\n", self.text()[self.read:])
        found = until(seen, seconds, f"linphone's line with {words!r}", self)
        self.read += found.end()
        return found[0]

    def dial(self, number):
        self._tell(f"call sip:{number}@{self.lab.next_hop_of_pbx}")

    def rings(self):
        self.sees("ringing")

    def rung(self):
        self.sees("Receiving new incoming call")

    def talks(self):
        self.sees("Media streams established")

    def ended(self, code=None):
        self.sees(r"Call \d+ with .* (error|declined)" if code else r"Call \d+ with .* ended")

    def pick_up(self):
        self._tell("answer")

    def hang_up(self):
        self._tell("terminate")

    def hold(self):
        self._tell("pause")
        self.sees("paused")

    def resume(self):
        self._tell("resume")
        self.talks()
