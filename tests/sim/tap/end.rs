//! What must be true when the faults are over and everybody has hung up.

use super::judge::Held;
use super::{Id, Tap, Turn};
use crate::link::SEC;
use crate::peer::T64;
use crate::seen::Met;
use crate::wire::Method;

impl Tap {
    /// Checks the whole book.
    pub fn finish(&mut self, turn: &mut Turn<'_>) {
        for id in 0..self.servers.len() {
            self.server_ended(turn, id);
        }
        for id in 0..self.clients.len() {
            self.client_ended(turn, id);
        }
        for leg in 0..self.legs.len() {
            self.leg_ended(turn, leg);
            self.limits_kept(turn, leg);
        }
        self.all_written(turn);
    }

    fn server_ended(&mut self, turn: &mut Turn<'_>, id: Id) {
        let server = &self.servers[id];
        self.plan = turn.peers.plan_of(server.peer, &server.request);
        let server = &self.servers[id];
        if server.method == Method::Ack || server.excused {
            return;
        }
        if server.due.is_some_and(|due| self.ended_by(id, due)) {
            return;
        }
        let Some((code, _, at)) = server.answer else {
            // RFC 4320: who relays a non-INVITE may have nothing to say.
            if server.relay.is_none() || server.method == Method::Invite {
                let name = server.method.name();
                self.fail(turn.now, format!("this {name} never got a final response"));
            } else {
                turn.seen.note(Met::MidUnanswered);
            }
            return;
        };
        if server.method == Method::Invite
            && code >= 300
            && server.acked.is_none_or(|a| a >= at + T64)
        {
            turn.seen.note(Met::TimerH);
        }
        if !server.request.to_tag.is_empty() && code >= 300 {
            turn.seen.note(Met::MidRefused);
        }
    }

    fn client_ended(&mut self, turn: &mut Turn<'_>, id: Id) {
        let client = &self.clients[id];
        let leg = client.leg;
        self.about(leg);
        let client = &self.clients[id];
        let over = |d: &super::Dialog| d.bye_in.is_some() || d.bye_out.is_some();
        let ended = self.legs[leg].dialogs.iter().any(over);
        let unanswered = client.answer.is_none() && !client.excused;
        match client.method {
            Method::Invite
                if unanswered && !ended && client.provisional && client.cancel.is_none() =>
            {
                self.fail(turn.now, "an INVITE was let ring for ever".into());
            }
            Method::Bye if unanswered => {
                turn.seen.note(Met::ByeUnanswered);
                if turn.peers.hosts[usize::from(client.peer)].stream {
                    return;
                }
                if client.sends == 11 {
                    turn.seen.note(Met::TimerF);
                } else if !client.provisional && self.slack < SEC {
                    let sends = client.sends;
                    self.fail(
                        turn.now,
                        format!("an unanswered BYE was sent {sends} times"),
                    );
                }
            }
            _ => {}
        }
    }

    fn leg_ended(&mut self, turn: &mut Turn<'_>, leg: Id) {
        self.about(leg);
        let state = &self.legs[leg];
        if state.out && !state.excused && self.held(leg, turn.now) == Held::Yes {
            self.fail(turn.now, "a leg is not over".into());
        }
        for index in 0..self.legs[leg].dialogs.len() {
            let state = &self.legs[leg];
            let dialog = &state.dialogs[index];
            let Some(ok) = dialog.ok else { continue };
            if state.excused || dialog.doubtful {
                continue;
            }
            let out = state.out;
            // Who gave up waiting for the ACK, and said BYE, gets none.
            let gave_up = dialog.bye_in.is_some() && dialog.bye_out.is_none();
            if out {
                match dialog.opened() {
                    None if gave_up => {}
                    None => self.fail(turn.now, "a 2xx was never ACKed".into()),
                    Some(at) if at > ok + T64 + self.slack => {
                        self.fail(turn.now, "a 2xx was ACKed too late".into());
                    }
                    Some(_) => {}
                }
            } else if dialog.opened().is_none() {
                turn.seen.note(Met::OkNeverAcked);
            }
            let dialog = &self.legs[leg].dialogs[index];
            if dialog.bye_in.is_none() && dialog.bye_out.is_none() {
                let side = if out { "callee" } else { "caller" };
                self.fail(turn.now, format!("the {side}'s dialog never saw a BYE"));
            }
        }
    }
}
