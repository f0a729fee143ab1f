//! What the runs met: a count of each named event, over all seeds. An event
//! that never happens means that the simulation no longer tests it.

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Something worth counting.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Met { $($(#[$doc])* $name),+ }
        impl Met {
            /// Every event.
            pub const ALL: &'static [Met] = &[$(Met::$name),+];
        }
    };
}

events! {
    /// Calls of the PBXs, judged.
    Allowed, Refused, RefusedByCap, NoNumber, Emergency, EmergencyOverCap, EmergencyInDrain,
    RefusedInDrain, RefusedByBlock, EmergencyInBlock, CapOnCalls, CapOnSecond, CapOnMinute, CapOnHour, CapOnDay, CapOnNarrow,
    InboundAllowed, InboundRefused, InboundPriced, CallerReplaced, RelPassed, DelayedOffer,
    /// What they cost.
    RefusedForMoney, LeaseTaken, LeaseRenewed, HungUpForMoney, BilledOnTwoDays, AnswerNeverHeard,
    /// How calls went.
    Answered, CarrierRefused, CarrierSilent, Redirected, Rang, RangTooLong, TalkedTooLong,
    HungUpByCaller, HungUpByCallee, CrossingByes, Fork, ForkAnswered,
    WentOn, WentOnInSilence, EmergencyWentOn, LeftBehindRang, LeftBehindAnswered, SecondWay,
    RedirectFollowed, RedirectRefused, RedirectAfterRinging, RedirectedTalk,
    ForwardingRefused, TransferRefused, TransferTried,
    CancelBeforeProvisional, CancelWhileRinging, CancelMetOk, CancelAfterFinal, LateOk,
    /// Machines of RFC 3261 §17.
    InviteRepeatedByCore, TimerB, TimerF, TimerG, TimerH, OkRepeatedByCore, OkNeverAcked,
    OkRepeatedByPeer, AckRepeated, FinalRepeatedByPeer, RequestRepeatedByPeer, InviteAfterFinal,
    SecondInvite, MergedInvite,
    /// Inside a dialog.
    ReInviteRelayed, UpdateRelayed, InfoRelayed, PrackRelayed, Glare, BadCSeq,
    MidRefused, MidUnanswered, ByeUnanswered, ByeRefused, ByeAgain, AckWithAnswer, RouteSet,
    Refreshed, RefreshGlare, RefreshFailed, RefreshByPeer, SessionExpired, SessionTooSmall,
    SessionForAges,
    /// Misuse.
    Gone481, Options, Unknown405, TooManyHops, Junk, Stranger, GuessedTags, StolenDialog,
    /// Faults.
    Lost, Doubled, Overtaken, RulesSwapped, SendFailed, Stalled, Drained, HungUpAll, HungUpByBlock, SilentDeath,
    Crashed, CrashedBeforeSend, RecordsLost, PowerFailed, CallSurvived, SetUpCutOff,
    ChangeOutlived, CarriedAgain,
    OverStream, StreamClosed, LostWithStream,
}

/// Counts of all events.
#[derive(Clone)]
pub struct Seen(Vec<u64>);

impl Seen {
    /// Nothing met yet.
    pub fn new() -> Self {
        Self(vec![0; Met::ALL.len()])
    }

    /// Counts one.
    pub fn note(&mut self, what: Met) {
        self.0[what as usize] += 1;
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// How often.
    pub fn count(&self, what: Met) -> u64 {
        self.0[what as usize]
    }

    /// The events that never happened.
    pub fn missing(&self) -> Vec<Met> {
        let all = Met::ALL.iter().copied();
        all.filter(|&met| self.count(met) == 0).collect()
    }

    /// The whole table as text.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (index, met) in Met::ALL.iter().enumerate() {
            let end = if index % 5 == 4 { "\n" } else { "  " };
            text.push_str(&format!(
                "{:>24} {:<9}{end}",
                format!("{met:?}"),
                self.count(*met)
            ));
        }
        text
    }
}
