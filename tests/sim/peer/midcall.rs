//! What either side does inside an established call.

use std::rc::Rc;

use super::{Peers, Purpose, State};
use crate::link::SEC;
use crate::net::{Net, Task};
use crate::plan::{Mid, Reply};
use crate::seen::Met;
use crate::text::Body;
use crate::wire::{Method, Wire};

impl Peers {
    /// One of the things a side planned to do in the call.
    pub(super) fn mid(&mut self, net: &mut Net, leg: u32, mid: u8) {
        let state = &self.legs[leg as usize];
        if state.dead || state.state != State::Up || state.bye {
            return;
        }
        let Some(&(_, mid)) = self.side(leg).mids.get(usize::from(mid)) else {
            return;
        };
        let state = &self.legs[leg as usize];
        let none = Body::default();
        match mid {
            Mid::HangUp => self.hang_up(net, leg),
            Mid::ReInvite { offer } => {
                if state.mine_open.is_some() || state.theirs_open.is_some() {
                    return;
                }
                let body = if offer { self.sdp(net, leg) } else { none };
                let tx = self.send(net, leg, Purpose::ReInvite, Method::Invite, "", &body);
                self.legs[leg as usize].mine_open = Some(tx);
            }
            Mid::Update { offer } => {
                let body = if offer { self.sdp(net, leg) } else { none };
                self.send(net, leg, Purpose::Other, Method::Update, "", &body);
            }
            Mid::Info => {
                let serial = self.next_serial();
                self.send(
                    net,
                    leg,
                    Purpose::Other,
                    Method::Info,
                    "",
                    &Body::digit(serial),
                );
            }
            Mid::BadCSeq => {
                net.seen.note(Met::BadCSeq);
                let kept = self.legs[leg as usize].cseq;
                self.legs[leg as usize].cseq = kept.saturating_sub(2);
                self.send(net, leg, Purpose::Attack, Method::Info, "", &none);
                self.legs[leg as usize].cseq = kept;
            }
            Mid::Options => self.attack_inside(net, leg, Method::Options, ""),
            Mid::Unknown => self.attack_inside(net, leg, Method::Other, ""),
            Mid::Refer => {
                let line = "Refer-To: <sip:01023276123456@10.5.0.1>\r\n";
                self.attack_inside(net, leg, Method::Refer, line);
            }
            Mid::StrayPrack => {
                self.attack_inside(net, leg, Method::Prack, "RAck: 4711 1 INVITE\r\n");
            }
        }
    }

    fn attack_inside(&mut self, net: &mut Net, leg: u32, method: Method, extra: &str) {
        self.send(net, leg, Purpose::Attack, method, extra, &Body::default());
    }

    /// A request came inside a dialog.
    pub(super) fn inside(&mut self, net: &mut Net, leg: u32, tx: u32, wire: &Rc<Wire>) {
        let state = &mut self.legs[leg as usize];
        let none = Body::default();
        state.heard = state.heard.max(wire.cseq);
        match wire.method {
            Method::Bye => self.told_bye(net, leg, tx, wire),
            _ if state.state == State::Over => self.reply(net, tx, 481, "", &none),
            Method::Prack => {
                let wanted = state.reliable.as_ref().map(|(rseq, _, _)| *rseq);
                if wanted.is_some() && wire.rack.map(|r| r.0) == wanted {
                    state.reliable = None;
                    let body = if wire.body().is_empty() {
                        none
                    } else {
                        self.sdp(net, leg)
                    };
                    self.reply(net, tx, 200, "", &body);
                } else {
                    self.reply(net, tx, 481, "", &none);
                }
            }
            Method::Invite => {
                if state.mine_open.is_some() || state.theirs_open.is_some() {
                    net.seen.note(Met::Glare);
                    self.reply(net, tx, 491, "", &none);
                    return;
                }
                state.theirs_open = Some(tx);
                let reply = self.side(leg).reply;
                if let Reply::Late(_) = reply {
                    self.reply(net, tx, 100, "", &none);
                }
                self.reply_as_planned(net, tx, reply);
            }
            Method::Update | Method::Info | Method::Options => {
                let reply = self.side(leg).reply;
                self.reply_as_planned(net, tx, reply);
            }
            _ => self.reply(net, tx, 405, "Allow: INVITE, ACK, BYE\r\n", &none),
        }
    }

    /// The other side hangs up; or the core ends an extra fork.
    fn told_bye(&mut self, net: &mut Net, leg: u32, tx: u32, wire: &Rc<Wire>) {
        let state = &mut self.legs[leg as usize];
        let main = wire.text(wire.to_tag) == state.tag;
        if main {
            if state.bye {
                net.seen.note(Met::CrossingByes);
            }
            state.bye = true;
            state.state = State::Over;
            // RFC 3261 §15.1.2: what is pending is ended with 487.
            if let Some(open) = state.theirs_open.take()
                && self.servers[open as usize].code < 200
            {
                self.reply(net, open, 487, "", &Body::default());
            }
        }
        let reply = self.side(leg).bye;
        self.reply_as_planned(net, tx, reply);
    }

    /// This side refreshes the session.
    pub(super) fn refresh(&mut self, net: &mut Net, leg: u32) {
        let state = &self.legs[leg as usize];
        let Some(timer) = state.timer else { return };
        if state.dead || state.state != State::Up || state.bye || self.winding_down {
            return;
        }
        let seconds = timer.seconds;
        let lines = format!("Supported: timer\r\nSession-Expires: {seconds};refresher=uac\r\n");
        net.seen.note(Met::RefreshByPeer);
        self.send(
            net,
            leg,
            Purpose::Refresh,
            Method::Update,
            &lines,
            &Body::default(),
        );
        net.after(u64::from(seconds) * SEC / 2, Task::Refresh(leg));
    }
}
