//! `tollgate demo`: a phone system, a carrier and the attack of 2015, live, over
//! real sockets on this machine.

mod carrier;
mod gate;
mod message;
mod past;
mod pbx;
mod report;
mod screen;
mod script;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::log;

use carrier::{Bill, Carrier};
use gate::{Gate, Places};
use pbx::{Counted, Pbx};
use report::Tally;
use screen::Screen;

/// How often the view is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// How often another port is tried for Tollgate, if someone takes the one that
/// was free a moment ago.
const TRIES: u32 = 3;

/// Why it ended before its end.
enum Early {
    /// By this signal.
    Signal(u8),
    /// Whoever read its output has had enough.
    Closed,
}

/// `tollgate demo`. Exit code 0 if every promise was true, or, as shells have it, 128
/// and the number of the signal that ended it.
///
/// # Errors
/// One line: what the machine lacks, or what of the promises is untrue.
pub(super) fn run() -> Result<ExitCode, String> {
    Ok(match play()? {
        None => ExitCode::SUCCESS,
        Some(Early::Signal(number)) => ExitCode::from(128 | number),
        Some(Early::Closed) => ExitCode::from(128 | SIGPIPE),
    })
}

/// What ends programs that write to a closed pipe.
const SIGPIPE: u8 = 13;

fn play() -> Result<Option<Early>, String> {
    // First, so that nothing can be left behind by a Ctrl-C.
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let mut interrupts = {
        let _within = runtime.enter();
        Interrupts::listen().map_err(|error| format!("cannot listen for signals: {error}"))?
    };
    let mut stage = Stage::set()?;
    let mut screen = Screen::new();
    screen.below(&report::begin(&stage.places))?;
    let early = stage.play(&runtime, &mut interrupts, &mut screen);
    let ended = stage.clear();
    let tally = stage.tally();
    if let Some(early) = early? {
        if matches!(early, Early::Signal(_)) {
            log::say(&format!(
                "tollgate: {}",
                report::interrupted(tally.pbx.elapsed)
            ));
        }
        return Ok(Some(early));
    }
    ended?;
    let judged = past::judged(&stage.places)?;
    screen.below(&tally.summary(judged))?;
    let mut faults = tally.faults();
    if judged > 0 {
        faults.push(format!("{judged} calls of 2015 would have got through"));
    }
    if !faults.is_empty() {
        return Err(faults.join("; "));
    }
    screen.below(&report::next())?;
    Ok(screen.is_closed().then_some(Early::Closed))
}

/// The three, at work.
struct Stage {
    places: Places,
    counted: Arc<Mutex<Counted>>,
    bill: Arc<Mutex<Bill>>,
    /// Ends the phone system early.
    hang_up: Switch,
    /// Ends the carrier.
    close: Switch,
    pbx: Option<JoinHandle<io::Result<()>>>,
    carrier: Option<JoinHandle<io::Result<()>>>,
    gate: Gate,
}

impl Stage {
    /// Opens the sockets and starts everything.
    fn set() -> Result<Self, String> {
        let mut tries = 0;
        let (pbx, carrier, places, gate) = loop {
            tries += 1;
            let (pbx, carrier) = (open("127.0.0.3")?, open("127.0.0.2")?);
            let places = Places {
                pbx: address(&pbx)?,
                carrier: address(&carrier)?,
                tollgate: address(&open("127.0.0.1")?)?,
            };
            match Gate::start(&places, &pbx) {
                Ok(gate) => break (pbx, carrier, places, gate),
                Err(fault) if tries == TRIES => return Err(fault),
                Err(_) => {}
            }
        };
        let (counted, bill) = (Arc::default(), Arc::default());
        let (hang_up, close) = (Switch::default(), Switch::default());
        let failed = |error: io::Error| format!("cannot start a peer: {error}");
        let carrier = Carrier::new(carrier, places.tollgate, Arc::clone(&bill)).map_err(failed)?;
        let pbx = Pbx::new(pbx, places.tollgate, Arc::clone(&counted)).map_err(failed)?;
        let carrier = start("carrier", close.clone(), move |halt| carrier.run(halt))?;
        let pbx = start("pbx", hang_up.clone(), move |halt| {
            pbx.run(&script::calls(), halt)
        })?;
        Ok(Self {
            places,
            counted,
            bill,
            hang_up,
            close,
            pbx: Some(pbx),
            carrier: Some(carrier),
            gate,
        })
    }

    /// Shows it until it is over, or ended early.
    fn play(
        &self,
        runtime: &Runtime,
        interrupts: &mut Interrupts,
        screen: &mut Screen,
    ) -> Result<Option<Early>, String> {
        runtime.block_on(async {
            loop {
                let signal = tokio::select! {
                    number = interrupts.next() => Some(Early::Signal(number)),
                    () = sleep(FRAME) => None,
                };
                let over = self.pbx.as_ref().is_none_or(JoinHandle::is_finished);
                let tally = self.tally();
                screen.show(tally.pbx.elapsed, || tally.view(), || tally.line())?;
                let early = match signal {
                    None if screen.is_closed() => {
                        // A terminal that was closed says so by a signal, too.
                        let signal = timeout(FRAME, interrupts.next()).await;
                        Some(signal.map_or(Early::Closed, Early::Signal))
                    }
                    signal => signal,
                };
                if early.is_some() || over || !self.gate.is_up() {
                    return Ok(early);
                }
            }
        })
    }

    /// Ends everything that is still at work, in the order in which nobody is
    /// left waiting.
    fn clear(&mut self) -> Result<(), String> {
        self.hang_up.throw();
        let pbx = joined(self.pbx.take(), "the phone system");
        let gate = self.gate.finish();
        self.close.throw();
        let carrier = joined(self.carrier.take(), "the carrier");
        pbx.and(gate).and(carrier)
    }

    fn tally(&self) -> Tally {
        Tally {
            pbx: lock(&self.counted).clone(),
            bill: lock(&self.bill).clone(),
        }
    }
}

fn open(host: &str) -> Result<UdpSocket, String> {
    UdpSocket::bind((host, 0)).map_err(|error| {
        format!(
            "cannot open a UDP socket on {host}: {error}: the demo needs loopback (lo) to be up"
        )
    })
}

fn address(socket: &UdpSocket) -> Result<SocketAddr, String> {
    let address = socket.local_addr();
    address.map_err(|error| format!("cannot tell a socket's address: {error}"))
}

fn start(
    name: &'static str,
    halt: Switch,
    work: impl FnOnce(&Switch) -> io::Result<()> + Send + 'static,
) -> Result<JoinHandle<io::Result<()>>, String> {
    let thread = thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || work(&halt));
    started.map_err(|error| format!("cannot start a thread: {error}"))
}

fn joined(thread: Option<JoinHandle<io::Result<()>>>, who: &str) -> Result<(), String> {
    match thread.map(JoinHandle::join) {
        Some(Ok(Ok(()))) | None => Ok(()),
        Some(Ok(Err(error))) => Err(format!("{who} broke down: {error}")),
        Some(Err(_)) => Err(format!("{who} broke down: a defect of the program")),
    }
}

/// Thrown once, seen by whoever looks.
#[derive(Clone, Default)]
struct Switch(Arc<AtomicBool>);

impl Switch {
    fn throw(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_thrown(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What tells us to end.
struct Interrupts([(Signal, u8); 3]);

impl Interrupts {
    fn listen() -> io::Result<Self> {
        let one = |kind: SignalKind| {
            let number = u8::try_from(kind.as_raw_value()).unwrap_or_default();
            signal(kind).map(|signal| (signal, number))
        };
        Ok(Self([
            one(SignalKind::interrupt())?,
            one(SignalKind::terminate())?,
            one(SignalKind::hangup())?,
        ]))
    }

    /// The number of the next signal.
    async fn next(&mut self) -> u8 {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.0.recv() => interrupt.1,
            _ = terminate.0.recv() => terminate.1,
            _ = hangup.0.recv() => hangup.1,
        }
    }
}

/// The numbers are only ever raised: what a thread that broke down has left is
/// as true as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next datagram, if one comes before the socket's patience ends.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Option<(String, SocketAddr)>> {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match socket.recv_from(buffer) {
        Ok((length, from)) => {
            let bytes = buffer.get(..length).unwrap_or_default();
            Ok(Some((String::from_utf8_lossy(bytes).into_owned(), from)))
        }
        Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}
