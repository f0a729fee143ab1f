//! What must follow in the very turn that it becomes due: nothing that one side
//! says may wait while the other goes on talking, ringing, or costing money.

use super::{Id, Tap, Turn};
use crate::link::SEC;
use crate::wire::Method;

/// `longest_call` and `longest_ring` of every tenant.
const LONGEST_CALL: u64 = 360 * SEC;
const LONGEST_RING: u64 = 60 * SEC;
/// The same for emergency calls.
const LONGEST_URGENT: u64 = 86_400 * SEC;
const LONGEST_URGENT_RING: u64 = 600 * SEC;

impl Tap {
    /// The turn of a message is over: is everything passed on?
    pub(super) fn prompt(&mut self, turn: &Turn<'_>) {
        let result = match self.current {
            (Some(server), _) if self.servers[server].method == Method::Cancel => {
                let leg = self.servers[server].leg;
                leg.map_or(Ok(()), |leg| self.cancel_passed(leg))
            }
            (Some(server), _) if self.servers[server].method == Method::Bye => {
                let leg = self.servers[server].leg;
                leg.map_or(Ok(()), |leg| self.bye_passed(leg))
            }
            (None, Some(client)) => self.answer_passed(turn, client),
            _ => Ok(()),
        };
        if let Err(what) = result {
            self.fail(turn.now, what);
        }
    }

    /// The caller took its INVITE back: so must the core, if it may.
    fn cancel_passed(&self, caller: Id) -> Result<(), String> {
        let Some(invite) = self.other_invite(caller) else {
            return Ok(());
        };
        let server = &self.servers[self.legs[caller].invite];
        let client = &self.clients[invite];
        let may = client.provisional && client.answer.is_none() && client.cancel.is_none();
        if server.cancelled && may && !client.excused && !self.legs[caller].excused {
            return Err("a CANCEL was not passed on at once".into());
        }
        Ok(())
    }

    /// One side hung up: the other is, too.
    fn bye_passed(&self, leg: Id) -> Result<(), String> {
        let Some(other) = self.other_leg(leg) else {
            return Ok(());
        };
        let state = &self.legs[other];
        if state.excused || self.legs[leg].excused {
            return Ok(());
        }
        // Only the dialog that the call went on in ends the call.
        let first = self.legs[leg].dialogs.iter().filter_map(|d| d.ok).min();
        let ours = |d: &super::Dialog| d.ok == first && d.bye_in.is_some();
        // Of two that were made in one instant nobody here knows which that was.
        let firsts = self.legs[leg].dialogs.iter().filter(|d| d.ok == first);
        if first.is_none() || firsts.count() > 1 || !self.legs[leg].dialogs.iter().any(ours) {
            return Ok(());
        }
        let first = state
            .dialogs
            .iter()
            .filter(|d| d.ok.is_some())
            .min_by_key(|d| d.ok);
        match first {
            Some(main) => {
                // A caller is told after its ACK (RFC 3261 §15).
                let may = state.out || main.opened().is_some();
                if may && main.bye_in.is_none() && main.bye_out.is_none() {
                    return Err("a BYE was not passed on at once".into());
                }
                Ok(())
            }
            None if state.out => {
                let client = &self.clients[state.invite];
                let open = client.answer.is_none() && client.cancel.is_none();
                if open && client.provisional && !client.excused {
                    return Err("the caller hung up, and it still rings".into());
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A final response that came is passed on; a CANCEL that waited for a
    /// provisional leaves.
    fn answer_passed(&self, turn: &Turn<'_>, id: Id) -> Result<(), String> {
        let client = &self.clients[id];
        let rings = client.provisional && client.answer.is_none() && !client.excused;
        if client.left && rings && client.cancel.is_none() {
            return Err("an attempt that was left behind rings on".into());
        }
        let Some(relay) = client.relay_of else {
            return Ok(());
        };
        let server = &self.servers[relay];
        if client.excused || server.excused || self.legs[client.leg].excused {
            return Ok(());
        }
        if server.cancelled && client.method == Method::Invite {
            let may = client.provisional && client.answer.is_none();
            if may && client.cancel.is_none() {
                return Err("a CANCEL that waited for this never left".into());
            }
        }
        let now = client.answer.is_some_and(|(_, at)| at == turn.now);
        if now && server.answer.is_none() && server.relay == Some(id) {
            return Err("a final response was not passed on at once".into());
        }
        Ok(())
    }

    /// Neither ringing nor talking went on longer than allowed.
    pub(super) fn limits_kept(&mut self, turn: &Turn<'_>, leg: Id) {
        let state = &self.legs[leg];
        if !state.out || state.excused {
            return;
        }
        let client = &self.clients[state.invite];
        if client.excused {
            return;
        }
        let (ring, call) = match state.urgent {
            true => (LONGEST_URGENT_RING, LONGEST_URGENT),
            false => (LONGEST_RING, LONGEST_CALL),
        };
        let cancelled = client.cancel.map(|cancel| self.clients[cancel].at);
        let rang = cancelled
            .or(client.answer.map(|(_, at)| at))
            .map(|at| at - client.at);
        if rang.is_some_and(|rang| rang > ring + self.slack) {
            self.fail(turn.now, "a call rang for too long".into());
            return;
        }
        let main = state
            .dialogs
            .iter()
            .filter(|d| d.ok.is_some())
            .min_by_key(|d| d.ok);
        let Some(main) = main else { return };
        let end = main.parted.into_iter().chain(main.bye_in).min();
        let talked = end.zip(main.ok).map(|(end, ok)| end.saturating_sub(ok));
        if talked.is_some_and(|talked| talked > call + self.slack) {
            self.fail(turn.now, "a call lasted for too long".into());
        }
    }

    /// A session timer is in force: nobody lets it run out (RFC 4028 §10).
    pub(super) fn session_kept(&mut self, turn: &Turn<'_>, leg: Id) {
        let state = &self.legs[leg];
        let Some((seconds, last)) = state.timer else {
            return;
        };
        let bye = |d: &super::Dialog| d.bye_in.is_some() || d.bye_out.is_some();
        if state.excused || state.dialogs.iter().any(bye) {
            return;
        }
        let over = turn.now.saturating_sub(last + u64::from(seconds) * SEC);
        if over > self.slack {
            self.fail(
                turn.now,
                format!("a session of {seconds} s outlived its refresh"),
            );
        }
    }
}
