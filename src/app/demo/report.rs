//! What is shown: while it goes on, and in the end.

use std::time::Duration;

use super::carrier::Bill;
use super::gate::Places;
use super::past::{CALLS, DAYS, Hours, YEN, blocked, capped};
use super::pbx::{Counted, Ended};
use super::screen::{Line, Tone};
use super::script::{A_MINUTE, AT_ONCE, BUDGET_YEN, FORMS, act};
use crate::app::render::grouped;

/// What both sides counted.
pub(super) struct Tally {
    pub(super) pbx: Counted,
    pub(super) bill: Bill,
}

impl Tally {
    /// What was promised and is not true; empty if all is.
    pub(super) fn faults(&self) -> Vec<String> {
        let Self { pbx, bill } = self;
        let reached = bill.attack();
        let failed = pbx.ordinary.made - pbx.ordinary.done;
        let lost = pbx.flood.lost + pbx.dear.lost + pbx.attack.made - pbx.attack.refused;
        let idle = pbx.ordinary.made == 0 || pbx.attack.made == 0;
        let spent = bill.dear_sen > BUDGET_YEN * 100;
        let unspent = pbx.dear.refused == 0 || bill.dear() == 0;
        let over = bill.flood() > A_MINUTE || bill.flood_peak > AT_ONCE;
        let why = pbx.failure.as_deref().unwrap_or("not over");
        let differ = bill.ordinary() != pbx.ordinary.done
            || bill.flood() != pbx.flood.done
            || bill.dear() != pbx.dear.done;
        [
            (
                reached > 0,
                format!("{reached} attack calls reached the carrier"),
            ),
            (
                failed > 0,
                format!("{failed} ordinary calls failed; the first: {why}"),
            ),
            (lost > 0, format!("{lost} attack calls were not refused")),
            (over, "the flood went over its cap".to_owned()),
            (
                spent,
                "more money was lost than the budget allows".to_owned(),
            ),
            (unspent, "the budget was not put to the test".to_owned()),
            (idle, "calls were to be made, and none was".to_owned()),
            (
                differ,
                "the phone system and the carrier counted differently".to_owned(),
            ),
        ]
        .into_iter()
        .filter_map(|(untrue, text)| untrue.then_some(text))
        .collect()
    }

    /// The line for where nothing can be redrawn.
    pub(super) fn line(&self) -> String {
        let Self { pbx, bill } = self;
        format!(
            "{:>2} s  {}: {} ordinary calls done, {} failed; {} attack calls refused, {} at the carrier",
            pbx.elapsed.as_secs(),
            act(pbx.elapsed),
            pbx.ordinary.done,
            pbx.ordinary.refused + pbx.ordinary.lost,
            pbx.attack.refused,
            bill.attack(),
        )
    }

    /// The whole view, in lines of 39 columns.
    pub(super) fn view(&self) -> Vec<Line> {
        let Self { pbx, bill } = self;
        let (attack, failed) = (bill.attack(), pbx.ordinary.refused + pbx.ordinary.lost);
        let tone = |bad: u64| if bad == 0 { Tone::Good } else { Tone::Bad };
        let tried = pbx.attack.refused + bill.attack();
        let mut lines = vec![
            Line(
                Tone::Title,
                "TOLLGATE  phone system > here > carrier".into(),
            ),
            Line(
                Tone::Faint,
                format!("{:>4.1} s  {}", pbx.elapsed.as_secs_f32(), act(pbx.elapsed)),
            ),
            Line(Tone::Plain, String::new()),
            Line(
                tone(failed),
                pair("ordinary calls let through", bill.ordinary()),
            ),
            Line(tone(failed), pair("ordinary calls that failed", failed)),
            Line(
                Tone::Plain,
                pair("attack calls refused", pbx.attack.refused),
            ),
            Line(
                tone(attack),
                pair("attack calls that reached the carrier", attack),
            ),
            Line(Tone::Plain, flood(pbx, bill)),
            Line(Tone::Plain, dear(pbx, bill)),
            Line(Tone::Plain, spent(bill)),
            Line(Tone::Plain, money("would have cost", tried * YEN)),
            Line(tone(attack), money("did cost", attack * YEN)),
            Line(Tone::Plain, String::new()),
            Line(Tone::Title, "refused because".into()),
        ];
        let reasons = pbx.reasons.iter();
        lines.extend(
            reasons
                .map(|(why, calls)| Line(Tone::Plain, pair(&format!("  {}", words(why)), *calls))),
        );
        lines.push(Line(Tone::Title, "the last that were refused".into()));
        for (dialled, why) in &pbx.recent {
            lines.push(Line(Tone::Faint, format!("  {dialled}  {}", words(why))));
        }
        lines
    }

    /// What it came to, in lines of 40 columns.
    pub(super) fn summary(&self, judged: u64) -> Vec<Line> {
        let Self { pbx, bill } = self;
        let title = |text: String| Line(Tone::Title, text);
        let empty = || Line(Tone::Plain, String::new());
        let mut lines = vec![
            empty(),
            title("Each way of dialling:   refused  because".into()),
        ];
        let forms = FORMS.iter().zip(&pbx.forms);
        lines.extend(forms.map(|(form, ended)| form_row(form.name, ended)));
        lines.extend(WHY.map(|(_, word, meaning)| faint(format!("  {word}: {meaning}"))));
        lines.extend(past(judged));
        // What matters most comes last: a low terminal shows only the end.
        let seconds = pbx.elapsed.as_secs_f32();
        let failed = pbx.ordinary.made - pbx.ordinary.done;
        let most = bill.flood_peak;
        lines.extend([
            empty(),
            title(format!("Counted in {seconds:.1} s, at both ends")),
            row("ordinary calls made", pbx.ordinary.made),
            verdict("ordinary calls that failed", failed),
            row("attack calls made", pbx.attack.made),
            row("attack calls refused", pbx.attack.refused),
            verdict("attack calls that reached the carrier", bill.attack()),
            Line(Tone::Plain, flood(pbx, bill)),
            Line(
                Tone::Faint,
                format!("  cap {AT_ONCE} at once, {A_MINUTE}/min; most at once: {most}"),
            ),
            Line(Tone::Plain, dear(pbx, bill)),
        ]);
        lines.extend(held(bill));
        lines.extend([
            Line(Tone::Good, spent(bill)),
            Line(
                Tone::Plain,
                money(
                    &format!("{} calls of ¥{YEN} would cost", pbx.attack.made),
                    pbx.attack.made * YEN,
                ),
            ),
            Line(
                Tone::Good,
                money("the attack did cost", bill.attack() * YEN),
            ),
        ]);
        lines
    }
}

/// The same attack against the controls of 2015, and against these rules.
fn past(judged: u64) -> Vec<Line> {
    let even = capped(Hours::All, 10, 3);
    let through = |name: &str, calls: u64| {
        let yen = yen(calls * YEN);
        let tone = if calls == 0 { Tone::Good } else { Tone::Plain };
        Line(tone, format!("  {name:<18}{:>7} {yen:>12}", grouped(calls)))
    };
    let saved = even.saturating_sub(judged) * YEN;
    vec![
        Line(Tone::Plain, String::new()),
        Line(
            Tone::Title,
            format!("The 2015 attack: {} calls in {DAYS} days", grouped(CALLS)),
        ),
        faint("30 s and ¥175 each, spread evenly, in".into()),
        faint("virtual time, alone. What gets through".into()),
        through("10/min, 3 at once", even),
        through("2 at once, nights", capped(Hours::Nights, 10, 2)),
        through("a block on 010...", blocked("")),
        through("  dialled *010...", blocked("*")),
        through("Tollgate", judged),
        Line(Tone::Good, money("saved, to 10/min, 3 at once", saved)),
    ]
}

/// What is about to be seen.
pub(super) fn begin(places: &Places) -> Vec<Line> {
    let Places {
        pbx,
        tollgate,
        carrier,
    } = places;
    let story = [
        "In 2015 someone got into the telephone",
        "systems of small firms in Japan and had",
        "them call Sierra Leone, 010 232 76...,",
        "at ¥175 a call: ¥2.5 million a victim.",
        "Now it happens again, on this machine,",
        "with Tollgate in between.",
    ];
    let story = story.map(|text| Line(Tone::Plain, text.to_owned()));
    let places = [
        format!("  phone system {pbx}"),
        format!("  Tollgate     {tollgate}"),
        format!("  carrier      {carrier}"),
        "A call of 30 s takes 0.3 s here.".to_owned(),
        String::new(),
    ];
    story.into_iter().chain(places.map(faint)).collect()
}

/// What to do next.
pub(super) fn next() -> Vec<Line> {
    let text = |text: &str| Line(Tone::Plain, text.to_owned());
    vec![
        text(""),
        Line(Tone::Title, "Next: read the example, and check it".into()),
        text("  policies/tollgate.toml"),
        text("  policies/tenants/acme.toml"),
        text("  tollgate check -c policies/tollgate.toml"),
    ]
}

/// What is left to say after Ctrl-C.
pub(super) fn interrupted(elapsed: Duration) -> String {
    format!(
        "interrupted after {:.1} s: the attack was not over, so nothing is proved",
        elapsed.as_secs_f32()
    )
}

fn row(name: &str, value: u64) -> Line {
    Line(Tone::Plain, pair(name, value))
}

fn verdict(name: &str, bad: u64) -> Line {
    let tone = if bad == 0 { Tone::Good } else { Tone::Bad };
    Line(tone, pair(name, bad))
}

/// Reasons for which calls of the attack are refused, each in a word, and what the
/// word means.
const WHY: [(&str, &str, &str); 3] = [
    (
        "destination-not-allowed",
        "no rule",
        "none allows that country",
    ),
    (
        "destination-denied",
        "denied",
        "a rule forbids such numbers",
    ),
    ("no-single-meaning", "ambiguous", "it has no single meaning"),
];

fn form_row(name: &str, ended: &Ended) -> Line {
    let Ended {
        made,
        refused,
        reason,
        ..
    } = ended;
    let tone = if made == refused {
        Tone::Plain
    } else {
        Tone::Bad
    };
    let word = WHY.iter().find(|(code, ..)| code == reason);
    let word = word.map_or(reason.as_str(), |(_, word, _)| word);
    let count = format!("{refused}/{made}");
    Line(tone, format!("  {name:<20}{count:>7}  {word}"))
}

fn faint(text: String) -> Line {
    Line(Tone::Faint, text)
}

fn flood(pbx: &Counted, bill: &Bill) -> String {
    let text = format!(
        "flood let through of {}, cap {A_MINUTE}/min",
        pbx.flood.made
    );
    pair(&text, bill.flood())
}

fn dear(pbx: &Counted, bill: &Bill) -> String {
    let text = format!("dear (+44 7), allowed, through of {}", pbx.dear.made);
    pair(&text, bill.dear())
}

/// Why no more of them fit into the budget.
fn held(bill: &Bill) -> Vec<Line> {
    let fit = bill.dear();
    let each = yen(BUDGET_YEN.checked_div(fit).unwrap_or_default());
    vec![
        faint(format!("  each holds about {each} until its bill")),
        faint(format!("  is sure, so that {fit} fit the budget")),
    ]
}

/// What that cost, begun yen as whole ones.
fn spent(bill: &Bill) -> String {
    let text = format!("  billed, of a budget of {}", yen(BUDGET_YEN));
    money(&text, bill.dear_sen.div_ceil(100))
}

fn pair(name: &str, value: u64) -> String {
    let width = 39_usize.saturating_sub(name.chars().count());
    format!("{name}{:>width$}", grouped(value))
}

fn money(name: &str, value: u64) -> String {
    let width = 39_usize.saturating_sub(name.chars().count());
    format!("{name}{:>width$}", yen(value))
}

fn yen(value: u64) -> String {
    format!("¥{}", grouped(value))
}

/// A reason's code as people say it, short enough for a narrow terminal.
fn words(code: &str) -> String {
    match code {
        "no-single-meaning" => "no single meaning".to_owned(),
        "destination-not-allowed" => "no rule allows it".to_owned(),
        "destination-denied" => "a rule denies it".to_owned(),
        "calls-at-once" => "too many at once".to_owned(),
        "calls-per-minute" => "too many a minute".to_owned(),
        "budget-spent" => "budget held or spent".to_owned(),
        other => other.replace('-', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fits_into_40_columns() {
        let tally = Tally {
            pbx: Counted::default(),
            bill: Bill::default(),
        };
        for Line(_, text) in tally.view().iter().chain(&tally.summary(0)) {
            assert!(text.chars().count() <= 40, "{text}");
        }
    }

    #[test]
    fn what_is_untrue_is_said() {
        let lies: [fn(&mut Tally); 10] = [
            |it| *it.bill.numbers.entry("+23276003100".into()).or_default() += 1,
            |it| it.pbx.ordinary.made += 1,
            |it| it.pbx.attack.made += 1,
            |it| it.pbx.flood.lost += 1,
            |it| it.bill.flood_peak = AT_ONCE + 1,
            |it| *it.bill.numbers.entry("+81335571234".into()).or_default() += 1,
            |it| (it.pbx.attack.made, it.pbx.attack.refused) = (0, 0),
            |it| it.bill.dear_sen = BUDGET_YEN * 100 + 1,
            |it| it.pbx.dear.refused = 0,
            |it| it.pbx.dear.done += 1,
        ];
        for (at, lie) in lies.into_iter().enumerate() {
            let mut tally = Tally {
                pbx: Counted::default(),
                bill: Bill::default(),
            };
            (tally.pbx.attack.made, tally.pbx.attack.refused) = (2, 2);
            (tally.pbx.ordinary.made, tally.pbx.ordinary.done) = (2, 2);
            (tally.pbx.dear.refused, tally.pbx.dear.done) = (1, 1);
            tally.bill.numbers.insert("+447400100001".into(), 1);
            tally.bill.numbers.insert("+81335571234".into(), 2);
            assert!(tally.faults().is_empty(), "{:?}", tally.faults());
            lie(&mut tally);
            assert!(!tally.faults().is_empty(), "lie {at} is not noticed");
        }
    }
}
