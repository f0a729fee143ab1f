"""Kamailio as a carrier that calls are registered with, and that lets nobody in without credentials."""

from pathlib import Path

from process import Process, until

REALM, USERNAME, SECRET = "sip.example", "acme-trunk", "only-tollgate-knows"

CONFIG = """\
debug=1
log_stderror=yes
children=1
listen=udp:{net}.2:5070
mpath="{modules}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "xlog.so"
modparam("auth", "nonce_expire", 30)
modparam("auth", "nonce_count", 1)
modparam("auth", "one_time_nonce", 0)
modparam("registrar", "min_expires", 70)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{realm}", "{secret}", "0") || $au != "{username}") {{
            www_challenge("{realm}", "1");
            exit;
        }}
        if (!save("location")) {{ exit; }}
        xlog("L_ERR", "REGISTERED $tU\\n");
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            if (is_method("BYE") && $si == "{net}.1") route(KNOWN);
            if (is_gruu("$ru")) {{
                xlog("L_ERR", "GRUU $rm\\n");
                lookup("location");
            }}
            t_relay();
        }} else if (!is_method("ACK")) {{
            sl_send_reply("404", "Not Here");
        }} else if (t_check_trans()) {{
            t_relay();
        }}
        exit;
    }}
    if (!is_method("INVITE")) {{
        sl_send_reply("405", "Method Not Allowed");
        exit;
    }}
    record_route();
    if ($si == "{net}.1") {{
        route(KNOWN);
        $du = "sip:{net}.4:5090";
    }} else if (!lookup("location")) {{
        sl_send_reply("480", "Nobody Registered");
        exit;
    }}
    t_relay();
}}

route[KNOWN] {{
    if (!pv_proxy_authenticate("{realm}", "{secret}", "0") || $au != "{username}") {{
        xlog("L_ERR", "CHALLENGED $rm\\n");
        proxy_challenge("{realm}", "1");
        exit;
    }}
    consume_credentials();
}}
"""


class Kamailio(Process):
    """The carrier at .2, which hands calls on to .4."""

    def __init__(self, lab):
        modules = next(path for path in Path("/usr/lib").glob("*/kamailio/modules"))
        home = lab.directory / "kamailio"
        home.mkdir(exist_ok=True)
        (home / "kamailio.cfg").write_text(
            CONFIG.format(net=lab.net, modules=modules, realm=REALM, username=USERNAME, secret=SECRET))
        super().__init__(lab, "kamailio", ["kamailio", "-f", home / "kamailio.cfg", "-DD", "-E", "-m", "16", "-M", "4",
                                           "-Y", home, "-P", home / "pid"])
        self.before = self.text()

    def said(self, word):
        """How often this one's log has a word."""
        return self.text()[len(self.before):].count(word)

    def registers(self, seconds, times=1):
        """Waits until somebody has registered so often."""
        until(lambda: self.said("REGISTERED") >= times, seconds, "a registration at Kamailio", self)
