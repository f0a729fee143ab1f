//! Who calls whom, and when.

use std::time::Duration;

/// How many calls the caps let one extension have at once.
pub(super) const AT_ONCE: u64 = 3;

/// How many calls the caps let one extension begin in a minute.
pub(super) const A_MINUTE: u64 = 10;

/// The number that is flooded: an allowed one, which nobody else calls.
pub(super) const FLOODED: &str = "+442079460199";

/// Where a call is allowed and dear: `D` stands for the last digits of its numbers,
/// which nobody else calls.
const DEAR: &str = "010447400100D";

/// How those numbers begin as the carrier sees them.
const DEAR_SEEN: &str = "+447400100";

/// What calls there may cost in a day, in yen.
pub(super) const BUDGET_YEN: u64 = 2_000;

/// What a minute there costs by the shipped tariff, in yen, and how many seconds
/// are billed at a time.
pub(super) const DEAR_MINUTE_YEN: u64 = 35;
/// See [`DEAR_MINUTE_YEN`].
pub(super) const DEAR_PULSE_S: u64 = 6;

/// A call's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Someone at work telephones.
    Ordinary,
    /// The attack: a number of [`FORMS`], by its place.
    Attack(usize),
    /// The attack, by way of a number that is allowed.
    Flood,
    /// The attack, from every telephone, on a dear country that is allowed.
    Dear,
}

/// A call that will be made.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// From the start on.
    pub(super) at: Duration,
    pub(super) role: Role,
    /// Request-URI.
    pub(super) uri: String,
    /// The URI in To.
    pub(super) to: String,
    /// The number in From.
    pub(super) caller: String,
    /// How long it lasts once it is answered.
    pub(super) talk: Duration,
}

/// A way to dial Sierra Leone, or what costs as much. `N` stands for a number
/// there, without the 76 in front.
pub(super) struct Form {
    /// What people call it.
    pub(super) name: &'static str,
    uri: &'static str,
    to: &'static str,
}

const fn form(name: &'static str, uri: &'static str) -> Form {
    Form { name, uri, to: uri }
}

/// The attack of 2015, and what was or could have been tried after it. None of the
/// numbers in it is one of ordinary calls: the carrier knows each for what it is.
pub(super) const FORMS: [Form; 17] = [
    form("010 232 76...", "sip:01023276N@127.0.0.1"),
    form("*010 232 76...", "sip:*01023276N@127.0.0.1"),
    form("#010 232 76...", "sip:#01023276N@127.0.0.1"),
    form("%2A010 232 76...", "sip:%2A01023276N@127.0.0.1"),
    form("%30%31%30 232 76...", "sip:%30%31%3023276N@127.0.0.1"),
    form("+232 76...", "sip:+23276N@127.0.0.1"),
    form("00 232 76...", "sip:0023276N@127.0.0.1"),
    form("184 010 232 76...", "sip:18401023276N@127.0.0.1"),
    form("184 186 010 232...", "sip:18418601023276N@127.0.0.1"),
    form("0033 010 232 76...", "sip:003301023276N@127.0.0.1"),
    form(
        "010-232.. user=phone",
        "sip:010-232-76-N@127.0.0.1;user=phone",
    ),
    form("tel:+232 76...", "tel:+23276N"),
    form("full-width digits", "sip:０１０２３２７６N@127.0.0.1"),
    form(
        ";rn=+232 76...",
        "sip:+442079460188;rn=+23276N@127.0.0.1;user=phone",
    ),
    Form {
        name: "To says Tokyo",
        uri: "sip:01023276N@127.0.0.1",
        to: "sip:0335571288@127.0.0.1",
    },
    form("a premium number", "sip:0101900555N@127.0.0.1"),
    form("a satellite phone", "sip:010881642N@127.0.0.1"),
];

impl Form {
    /// Request-URI and To for the `n`-th number.
    pub(super) fn uris(&self, n: usize) -> (String, String) {
        let digits = 6 - 2 * usize::from(self.uri.contains("1900"));
        let number = format!("{:0digits$}", 3100 + n % 6000);
        (
            self.uri.replace('N', &number),
            self.to.replace('N', &number),
        )
    }
}

/// What people at work dial, and what the carrier must see for it.
pub(super) const ORDINARY: [(&str, &str); 5] = [
    ("0335571234", "+81335571234"),
    ("09012345678", "+819012345678"),
    ("0101202555N", "+1202555N"),
    ("010442079460N", "+442079460N"),
    ("+442079460N", "+442079460N"),
];

/// The last digits of ordinary numbers abroad.
const EXTRAS: [&str; 2] = ["100", "0143"];

/// What happens, with the time at which it begins.
pub(super) const ACTS: [(u64, &str); 5] = [
    (0, "an ordinary day at the office"),
    (1_800, "the attack: Sierra Leone"),
    (4_400, "the evasions, one by one"),
    (8_800, "a flood of an allowed number"),
    (10_600, "dear numbers, until the money is spent"),
];

/// When no call begins any more, in ms.
const END: u64 = 13_000;

/// The act at this time.
pub(super) fn act(elapsed: Duration) -> &'static str {
    let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let begun = ACTS.iter().rev().find(|(from, _)| *from <= elapsed);
    begun.map_or("", |(_, name)| name)
}

/// An ordinary number as it is dialled, and as the carrier sees it.
fn ordinary(n: usize) -> (String, String) {
    let (dialled, seen) = ORDINARY
        .get(n % ORDINARY.len())
        .copied()
        .unwrap_or_default();
    let last = if dialled.contains("1202") {
        EXTRAS[1]
    } else {
        EXTRAS[0]
    };
    (dialled.replace('N', last), seen.replace('N', last))
}

/// Whether a number that the carrier was asked for is one of ordinary calls.
pub(super) fn is_ordinary(number: &str) -> bool {
    (0..ORDINARY.len()).any(|n| ordinary(n).1 == number)
}

/// Whether it is one of the dear numbers.
pub(super) fn is_dear(number: &str) -> bool {
    number.starts_with(DEAR_SEEN)
}

/// Every call, by time.
pub(super) fn calls() -> Vec<Planned> {
    let mut calls = Vec::new();
    for (n, at) in (0..END).step_by(140).enumerate() {
        let uri = format!("sip:{}@127.0.0.1", ordinary(n).0);
        calls.push(Planned {
            at: Duration::from_millis(at),
            role: Role::Ordinary,
            to: uri.clone(),
            uri,
            caller: format!("+813355700{:02}", n % 40),
            talk: Duration::from_millis(400),
        });
    }
    let [_, (attack, _), (evasions, _), (flood, _), (dear, _)] = ACTS;
    for (n, at) in (attack..evasions).step_by(40).enumerate() {
        calls.push(attacking(n, 0, at));
    }
    let others = FORMS.len() as u64 - 1;
    for (n, at) in (evasions..flood).step_by(40).enumerate() {
        // Each way of dialling for as long as any other, so that it can be read.
        let form = usize::try_from((at - evasions) * others / (flood - evasions)).unwrap_or(0);
        calls.push(attacking(n, 1 + form, at));
    }
    for at in (flood..dear).step_by(50) {
        let uri = format!("sip:010{}@127.0.0.1", FLOODED.trim_start_matches('+'));
        calls.push(Planned {
            at: Duration::from_millis(at),
            role: Role::Flood,
            to: uri.clone(),
            uri,
            caller: STOLEN.to_owned(),
            talk: Duration::from_millis(300),
        });
    }
    for (n, at) in (dear..END).step_by(50).enumerate() {
        let dialled = DEAR.replace('D', &format!("{:03}", n % 1_000));
        let uri = format!("sip:{dialled}@127.0.0.1");
        calls.push(Planned {
            at: Duration::from_millis(at),
            role: Role::Dear,
            to: uri.clone(),
            uri,
            // Telephones that nobody works at, so that no cap of one of them ends it.
            caller: format!("+813355700{:02}", 70 + n % 30),
            talk: Duration::from_millis(300),
        });
    }
    calls.sort_by_key(|call| call.at);
    calls
}

/// Whose telephone the attack uses.
const STOLEN: &str = "+81335570066";

fn attacking(n: usize, form: usize, at: u64) -> Planned {
    let (uri, to) = FORMS.get(form).map(|form| form.uris(n)).unwrap_or_default();
    Planned {
        at: Duration::from_millis(at),
        role: Role::Attack(form),
        uri,
        to,
        caller: STOLEN.to_owned(),
        talk: Duration::from_millis(300),
    }
}
