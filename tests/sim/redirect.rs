//! Carriers that redirect calls (RFC 3261 §21.3): to where, and after what. Drawn by itself:
//! the other calls of a seed are what they would be without.

use std::fmt::Write;

use crate::dial::{Dialled, Group, dial};
use crate::link::{Nanos, SEC};
use crate::net::Net;
use crate::peer::{Peers, State};
use crate::plan::CallPlan;
use crate::rng::Rng;
use crate::text::Body;

/// A host that nobody must ever be sent to.
const ELSEWHERE: &str = "203.0.113.66";

/// One redirection of a call.
#[derive(Clone, Debug)]
pub struct Redirect {
    pub after: Nanos,
    /// It rings before.
    pub rings: bool,
    pub code: u16,
    /// With their `q`, in thousandths.
    pub contacts: Vec<(Dialled, Option<u64>)>,
}

/// Draws which calls are redirected, how often in a row, and where to.
pub fn draw(seed: u64, plans: &mut [CallPlan]) {
    let mut rng = Rng::new(!seed.rotate_left(16));
    let share = *rng.pick(&[0, 100, 100, 300]);
    for plan in plans.iter_mut().filter(|plan| !plan.inbound) {
        if !rng.permille(share) {
            continue;
        }
        let levels = *rng.pick(&[1, 1, 1, 2, 3, 12]);
        let dialled = plan.dial.clone();
        plan.redirects = (0..levels).map(|_| redirect(&mut rng, &dialled)).collect();
    }
}

fn redirect(rng: &mut Rng, dialled: &Dialled) -> Redirect {
    let count = *rng.pick(&[1, 1, 1, 1, 2, 3, 6]);
    let contacts = (0..count).map(|_| {
        let q = rng.permille(400).then(|| rng.below(1_001));
        (contact(rng, dialled), q)
    });
    Redirect {
        contacts: contacts.collect(),
        after: rng.below(2) * rng.below(3 * SEC),
        rings: rng.permille(250),
        code: *rng.pick(&[300, 301, 302, 302, 302, 305]),
    }
}

/// A place to redirect to: mostly one that may be allowed, else the same number, an
/// emergency number, a dear one, or nonsense.
fn contact(rng: &mut Rng, dialled: &Dialled) -> Dialled {
    let groups = [
        Group::JpFixed,
        Group::JpMobile,
        Group::Us,
        Group::London,
        Group::SierraLeone,
        Group::Premium,
        Group::Emergency,
        Group::Nothing,
    ];
    if rng.permille(60) && dialled.uri.is_ascii() {
        return dialled.clone();
    }
    loop {
        let group = groups[rng.weighted(&[30, 25, 12, 12, 6, 3, 3, 4])];
        let drawn = dial(rng, group, ELSEWHERE);
        // What is no URI at all ends the list that it stands in.
        if drawn.uri.is_ascii() {
            return drawn;
        }
    }
}

impl Redirect {
    fn lines(&self) -> String {
        let mut lines = String::new();
        for (dial, q) in &self.contacts {
            // Writing to a string cannot fail.
            let _ = write!(lines, "Contact: <{}>", dial.uri);
            if let Some(q) = q {
                let _ = write!(lines, ";q={}.{:03}", q / 1_000, q % 1_000);
            }
            lines.push_str("\r\n");
        }
        lines
    }
}

impl Peers {
    /// The carrier sends the call elsewhere.
    pub(super) fn redirect(&mut self, net: &mut Net, leg: u32, level: u8) {
        let state = &self.legs[leg as usize];
        let early = state.state == State::Early && !state.dead && !state.cancelled;
        let plan = &self.plans[state.plan as usize];
        let Some(redirect) = plan.redirects.get(usize::from(level)).filter(|_| early) else {
            return;
        };
        let (tx, code, lines) = (state.invite, redirect.code, redirect.lines());
        self.reply(net, tx, code, &lines, &Body::default());
        self.legs[leg as usize].state = State::Over;
    }
}
