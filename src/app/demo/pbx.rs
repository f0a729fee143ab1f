//! The phone system: makes the calls of the script, and counts how each ended.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::base::time::Mono;
use crate::net::clock;

use super::message::{self, Invite};
use super::script::{FORMS, Planned, Role};
use super::{Switch, lock};

/// After this long without an answer, a request is repeated.
const REPEAT: Duration = Duration::from_millis(500);

/// After this long without an answer, a call counts as lost.
const LOST: Duration = Duration::from_secs(5);

/// How many refusals are kept for the view.
const RECENT: usize = 5;

/// How calls of one role ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    /// Begun.
    pub(super) made: u64,
    /// Answered, and hung up in order.
    pub(super) done: u64,
    /// Refused.
    pub(super) refused: u64,
    /// Without an answer to the INVITE or the BYE.
    pub(super) lost: u64,
    /// Why the last that was refused was.
    pub(super) reason: String,
}

/// What the phone system counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    pub(super) ordinary: Ended,
    pub(super) attack: Ended,
    pub(super) flood: Ended,
    pub(super) dear: Ended,
    /// The attack's calls by form.
    pub(super) forms: [Ended; FORMS.len()],
    /// Refusals of attack and flood, by reason.
    pub(super) reasons: BTreeMap<String, u64>,
    /// Why the first ordinary call that failed did.
    pub(super) failure: Option<String>,
    /// The last refusals: what was dialled, and why not.
    pub(super) recent: VecDeque<(String, String)>,
    /// How long it has been at work.
    pub(super) elapsed: Duration,
}

impl Counted {
    fn each(&mut self, role: Role, mut count: impl FnMut(&mut Ended)) {
        match role {
            Role::Ordinary => count(&mut self.ordinary),
            Role::Flood => count(&mut self.flood),
            Role::Dear => count(&mut self.dear),
            Role::Attack(form) => {
                count(&mut self.attack);
                self.forms.get_mut(form).into_iter().for_each(count);
            }
        }
    }

    fn refused(&mut self, role: Role, dialled: &str, reason: String) {
        self.each(role, |ended| {
            ended.refused += 1;
            reason.clone_into(&mut ended.reason);
        });
        if role == Role::Ordinary {
            self.failure
                .get_or_insert_with(|| format!("{dialled}: {reason}"));
            return;
        }
        self.recent.truncate(RECENT - 1);
        self.recent.push_front((dialled.to_owned(), reason.clone()));
        *self.reasons.entry(reason).or_default() += 1;
    }

    fn lost(&mut self, role: Role, dialled: &str) {
        self.each(role, |ended| ended.lost += 1);
        if role == Role::Ordinary {
            self.failure
                .get_or_insert_with(|| format!("{dialled}: no answer"));
        }
    }
}

/// What a call waits for.
enum Waits {
    /// The final response to its INVITE.
    Answer,
    /// The end of the talk.
    Talk(Mono),
    /// The response to its BYE.
    Farewell,
}

struct Call {
    role: Role,
    uri: String,
    talk: Duration,
    waits: Waits,
    begun: Mono,
    sent: Mono,
    /// The request that was sent last, and would be repeated.
    request: String,
    /// The 200, once it came.
    answer: String,
}

/// The phone system.
pub(super) struct Pbx {
    socket: UdpSocket,
    address: SocketAddr,
    tollgate: SocketAddr,
    calls: HashMap<String, Call>,
    counted: Arc<Mutex<Counted>>,
}

impl Pbx {
    pub(super) fn new(
        socket: UdpSocket,
        tollgate: SocketAddr,
        counted: Arc<Mutex<Counted>>,
    ) -> io::Result<Self> {
        socket.set_read_timeout(Some(Duration::from_millis(4)))?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            tollgate,
            calls: HashMap::new(),
            counted,
        })
    }

    /// Makes every call, and returns when the last is over. Once `halt` is
    /// thrown no call begins, and those that talk are hung up.
    pub(super) fn run(mut self, script: &[Planned], halt: &Switch) -> io::Result<()> {
        let start = clock::mono();
        let mut script = script.iter().peekable();
        let mut buffer = vec![0; 65_535];
        loop {
            let elapsed = clock::mono().saturating_since(start);
            if halt.is_thrown() {
                script = [].iter().peekable();
            }
            while let Some(planned) = script.next_if(|planned| planned.at <= elapsed) {
                self.begin(planned)?;
            }
            self.tend(halt.is_thrown())?;
            lock(&self.counted).elapsed = elapsed;
            if script.peek().is_none() && self.calls.is_empty() {
                return Ok(());
            }
            if let Some(text) = super::receive(&self.socket, &mut buffer)?.map(|(text, _)| text) {
                self.take(&text)?;
            }
        }
    }

    fn send(&self, text: &str) -> io::Result<()> {
        self.socket
            .send_to(text.as_bytes(), self.tollgate)
            .map(drop)
    }

    fn begin(&mut self, planned: &Planned) -> io::Result<()> {
        let role = planned.role;
        let id = {
            let mut counted = lock(&self.counted);
            counted.each(role, |ended| ended.made += 1);
            let counted = &*counted;
            let all = [
                &counted.ordinary,
                &counted.attack,
                &counted.flood,
                &counted.dear,
            ];
            let made: u64 = all.map(|ended| ended.made).iter().sum();
            format!("c{made}")
        };
        let invite = Invite {
            uri: &planned.uri,
            to: &planned.to,
            caller: &planned.caller,
            id: &id,
            via: self.address,
        };
        let (request, now) = (invite.text(), clock::mono());
        self.send(&request)?;
        let call = Call {
            role,
            uri: planned.uri.clone(),
            talk: planned.talk,
            waits: Waits::Answer,
            begun: now,
            sent: now,
            request,
            answer: String::new(),
        };
        self.calls.insert(id, call);
        Ok(())
    }

    /// Hangs up what talked long enough, repeats what was not answered, and
    /// gives up what never is.
    fn tend(&mut self, at_once: bool) -> io::Result<()> {
        let (now, mut lost) = (clock::mono(), Vec::new());
        for (id, call) in &mut self.calls {
            let waited = now.saturating_since(call.sent);
            match call.waits {
                Waits::Talk(until) if at_once || until <= now => {
                    call.request = message::within(&call.answer, "BYE", 2, id, self.address);
                    call.waits = Waits::Farewell;
                    call.sent = now;
                    call.begun = now;
                }
                Waits::Talk(_) => continue,
                _ if now.saturating_since(call.begun) > LOST => {
                    lost.push(id.clone());
                    continue;
                }
                _ if waited >= REPEAT => call.sent = now,
                _ => continue,
            }
            self.socket
                .send_to(call.request.as_bytes(), self.tollgate)?;
        }
        for id in lost {
            if let Some(call) = self.calls.remove(&id) {
                lock(&self.counted).lost(call.role, user(&call.uri));
            }
        }
        Ok(())
    }

    fn take(&mut self, text: &str) -> io::Result<()> {
        let Some(status) = message::status(text) else {
            // A request: Tollgate looks after its calls. Everything is in order.
            return match message::first_word(text) {
                "ACK" => Ok(()),
                _ => self.send(&message::response(text, "200 OK")),
            };
        };
        let id = message::header(text, "Call-ID").trim_end_matches("@pbx");
        let Some(call) = self.calls.get_mut(id) else {
            return Ok(());
        };
        let of_invite = message::header(text, "CSeq").ends_with("INVITE");
        match (status, of_invite, &call.waits) {
            (..200, ..) => Ok(()),
            (200..300, true, waits) => {
                if matches!(waits, Waits::Answer) {
                    text.clone_into(&mut call.answer);
                    call.waits = Waits::Talk(clock::mono() + call.talk);
                }
                let ack = message::within(text, "ACK", 1, id, self.address);
                self.send(&ack)
            }
            (_, true, Waits::Answer) => {
                let ack = message::ack_refusal(&call.request, text);
                let reason = message::reason(text);
                lock(&self.counted).refused(call.role, user(&call.uri), reason);
                self.calls.remove(id);
                self.send(&ack)
            }
            (200..300, false, Waits::Farewell) => {
                lock(&self.counted).each(call.role, |ended| ended.done += 1);
                self.calls.remove(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// What of a URI was dialled.
fn user(uri: &str) -> &str {
    let end = uri.find('@').unwrap_or(uri.len());
    let user = uri.get(..end).unwrap_or(uri);
    user.strip_prefix("sip:").unwrap_or(user)
}
