//! The carrier: answers every call that reaches it, and counts them by number.
//! What it counted is the bill.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::base::time::Mono;
use crate::net::clock;

use super::message;
use super::script::{self, DEAR_MINUTE_YEN, DEAR_PULSE_S, FLOODED};
use super::{Switch, lock};

/// How long it rings.
const RING: Duration = Duration::from_millis(100);

/// After this long without an ACK, a 200 is repeated.
const REPEAT: Duration = Duration::from_millis(500);

/// What reached the carrier.
#[derive(Clone, Debug, Default)]
pub(super) struct Bill {
    /// Calls by number, each once.
    pub(super) numbers: BTreeMap<String, u64>,
    /// The most calls to the flooded number that there were at once.
    pub(super) flood_peak: u64,
    /// What calls to dear numbers cost, in hundredths of a yen.
    pub(super) dear_sen: u64,
}

impl Bill {
    fn sum(&self, which: impl Fn(&str) -> bool) -> u64 {
        let numbers = self.numbers.iter().filter(|(number, _)| which(number));
        numbers.map(|(_, calls)| calls).sum()
    }

    /// Calls to the numbers of the office.
    pub(super) fn ordinary(&self) -> u64 {
        self.sum(script::is_ordinary)
    }

    /// Calls to the number that is flooded.
    pub(super) fn flood(&self) -> u64 {
        self.sum(|number| number == FLOODED)
    }

    /// Calls to dear numbers.
    pub(super) fn dear(&self) -> u64 {
        self.sum(script::is_dear)
    }

    /// Calls to any other number: there is nobody but the attack to make them.
    pub(super) fn attack(&self) -> u64 {
        let allowed = |number: &str| script::is_ordinary(number) || script::is_dear(number);
        self.sum(|number| number != FLOODED && !allowed(number))
    }
}

/// A 200 that waits for its time, or for its ACK.
struct Pending {
    due: Mono,
    text: String,
}

/// The carrier.
pub(super) struct Carrier {
    socket: UdpSocket,
    address: SocketAddr,
    tollgate: SocketAddr,
    /// By Call-ID.
    pending: HashMap<String, Pending>,
    /// Every Call-ID that there was: a repeated INVITE is no second call.
    seen: HashSet<String>,
    flood: HashSet<String>,
    /// Calls to dear numbers, from their answer on.
    dear: HashMap<String, Mono>,
    bill: Arc<Mutex<Bill>>,
}

impl Carrier {
    pub(super) fn new(
        socket: UdpSocket,
        tollgate: SocketAddr,
        bill: Arc<Mutex<Bill>>,
    ) -> io::Result<Self> {
        socket.set_read_timeout(Some(Duration::from_millis(10)))?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            tollgate,
            pending: HashMap::new(),
            seen: HashSet::new(),
            flood: HashSet::new(),
            dear: HashMap::new(),
            bill,
        })
    }

    /// Serves until `halt` is thrown.
    pub(super) fn run(mut self, halt: &Switch) -> io::Result<()> {
        let mut buffer = vec![0; 65_535];
        while !halt.is_thrown() {
            let now = clock::mono();
            for pending in self.pending.values_mut() {
                if pending.due <= now {
                    pending.due = now + REPEAT;
                    self.socket
                        .send_to(pending.text.as_bytes(), self.tollgate)?;
                }
            }
            if let Some((text, from)) = super::receive(&self.socket, &mut buffer)? {
                self.take(&text, from)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, text: &str, from: SocketAddr) -> io::Result<()> {
        let call = message::header(text, "Call-ID");
        match message::first_word(text) {
            "INVITE" => {
                if self.seen.insert(call.to_owned()) {
                    self.count(text, call);
                    let pending = Pending {
                        due: clock::mono() + RING,
                        text: message::answer(text, self.address),
                    };
                    self.pending.insert(call.to_owned(), pending);
                }
                self.send(from, &message::response(text, "180 Ringing"))
            }
            "ACK" => {
                self.pending.remove(call);
                Ok(())
            }
            "SIP/2.0" => Ok(()),
            method => {
                if method == "BYE" || method == "CANCEL" {
                    self.pending.remove(call);
                    self.flood.remove(call);
                    self.charge(call);
                }
                self.send(from, &message::response(text, "200 OK"))
            }
        }
    }

    /// A call is over: what it cost, by the time since its answer.
    fn charge(&mut self, call: &str) {
        let Some(answered) = self.dear.remove(call) else {
            return;
        };
        let seconds = clock::mono().saturating_since(answered).as_secs() + 1;
        let pulses = seconds.div_ceil(DEAR_PULSE_S);
        lock(&self.bill).dear_sen += pulses * DEAR_PULSE_S * DEAR_MINUTE_YEN * 100 / 60;
    }

    fn count(&mut self, invite: &str, call: &str) {
        let number = message::called(invite);
        let mut bill = lock(&self.bill);
        *bill.numbers.entry(number.to_owned()).or_default() += 1;
        if script::is_dear(number) {
            self.dear.insert(call.to_owned(), clock::mono() + RING);
        }
        if number == FLOODED {
            self.flood.insert(call.to_owned());
            let now = u64::try_from(self.flood.len()).unwrap_or(u64::MAX);
            bill.flood_peak = bill.flood_peak.max(now);
        }
    }

    fn send(&self, to: SocketAddr, text: &str) -> io::Result<()> {
        self.socket.send_to(text.as_bytes(), to).map(drop)
    }
}
