//! What happened, as a hash for comparing runs and as lines for reading one.

use std::rc::Rc;

use crate::link::Nanos;
use crate::peer::Peers;
use crate::wire::{Wire, hash2};

/// One line of a trace.
struct Line {
    at: Nanos,
    plan: Option<u32>,
    text: String,
}

/// The trace of a run.
pub struct Trace {
    hash: u64,
    keep: bool,
    lines: Vec<Line>,
}

impl Trace {
    /// An empty trace; lines are kept only if `keep`.
    pub fn new(keep: bool) -> Self {
        Self {
            hash: 0,
            keep,
            lines: Vec::new(),
        }
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// A packet between the core and a peer.
    pub fn packet(&mut self, at: Nanos, peers: &Peers, peer: u8, wire: &Rc<Wire>, way: &str) {
        let mut mix = [0; 32];
        for (part, number) in [at, u64::from(peer), wire.hash, self.hash]
            .iter()
            .enumerate()
        {
            mix[part * 8..][..8].copy_from_slice(&number.to_le_bytes());
        }
        self.hash = hash2(way.as_bytes(), &mix);
        if !self.keep {
            return;
        }
        let name = peers.name(peer);
        let plan = peers.plan_about(peer, wire);
        self.line(at, plan, format!("{name:>9} {way} {}", describe(wire)));
    }

    /// Something else that happened.
    pub fn event(&mut self, at: Nanos, text: impl FnOnce() -> String) {
        if self.keep {
            self.line(at, None, text());
        }
    }

    fn line(&mut self, at: Nanos, plan: Option<u32>, text: String) {
        self.lines.push(Line { at, plan, text });
    }

    /// The lines about a plan and about none; all of them without one.
    pub fn text(&self, plan: Option<u32>) -> String {
        let about = |line: &&Line| plan.is_none() || line.plan.is_none() || line.plan == plan;
        let mut text = String::new();
        let mut lines = self.lines.iter().filter(about).peekable();
        while let Some(line) = lines.next() {
            let mut times = 1;
            while lines
                .next_if(|next| next.text == line.text && next.at == line.at)
                .is_some()
            {
                times += 1;
            }
            let times = if times > 1 {
                format!(" ({times} times)")
            } else {
                String::new()
            };
            let call = line.plan.map_or(String::new(), |plan| format!("#{plan}"));
            let (whole, part) = (line.at / 1_000_000_000, line.at % 1_000_000_000 / 1000);
            text.push_str(&format!(
                "{whole:5}.{part:06} {call:>5} {}{times}\n",
                line.text
            ));
        }
        text
    }
}

/// A message in a line.
fn describe(wire: &Wire) -> String {
    if wire.junk {
        let start = &wire.bytes[..wire.bytes.len().min(60)];
        return format!("junk {:?}", String::from_utf8_lossy(start));
    }
    let what = if wire.is_request() {
        format!("{} {}", wire.method.name(), wire.text(wire.uri))
    } else {
        format!("{} ({})", wire.code, wire.method.name())
    };
    let mut notes = String::new();
    if wire.rseq > 0 {
        notes.push_str(&format!(" rseq={}", wire.rseq));
    }
    if let Some((seconds, refresher)) = wire.session {
        let who = refresher.map_or("", |uac| if uac { "/uac" } else { "/uas" });
        notes.push_str(&format!(" se={seconds}{who}"));
    }
    if !wire.body().is_empty() {
        notes.push_str(&format!(" body={}", wire.body().len()));
    }
    if !wire.reason.is_empty() {
        notes.push_str(&format!(" reason={}", wire.text(wire.reason)));
    }
    format!(
        "{what}  cseq={} from={} to={} branch={} id={}{notes}",
        wire.cseq,
        wire.text(wire.from_tag),
        wire.text(wire.to_tag),
        wire.text(wire.branch).trim_start_matches("z9hG4bK"),
        wire.text(wire.call_id),
    )
}
