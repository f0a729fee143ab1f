mod mail;

use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::*;
use crate::base::limits::{ALERT_AGAIN_S, ALERT_GATHER_S, ALERT_GROUPS, ALERTS_WAITING};
use crate::base::time::{Mono, Wall};

fn at(seconds: u64) -> Wall {
    Wall::from_micros(1_000_000_000_000_000) + Duration::from_secs(seconds)
}

fn refusal(tenant: &str) -> Happened {
    Happened {
        tenant: tenant.to_owned(),
        what: "destination-not-allowed".to_owned(),
        sentence: "no rule allows this destination".to_owned(),
        number: "+23276123456".to_owned(),
        source: "192.0.2.7".to_owned(),
        cost: Some((350_000_000, "JPY".to_owned())),
        count: 1,
    }
}

/// A checkpoint as it is signed.
const NOTE: &str = "tollgate ledger v2\ncheckpoint 12\ntime 2026-11-29T14:00:00.000000Z\n\
                    before none\n\n\u{2014} tollgate AAAA\n";

fn voice() -> Voice {
    Voice {
        configuration: "/etc/tollgate.toml".to_owned(),
        run: "r".to_owned(),
        count: 0,
    }
}

/// A message about so many refusals.
fn message(count: u64) -> Message {
    let mut groups = Groups::default();
    for _ in 0..count {
        groups.add(Kind::Refused, refusal("acme"), at(0));
    }
    voice().say(&groups.due(at(ALERT_GATHER_S), false)[0])
}

#[test]
fn ten_thousand_refusals_are_one_message_with_a_count() {
    let message = message(10_000);
    assert_eq!(message.count, 10_000);
    assert_eq!(
        message.title,
        "acme: 10000 calls were refused: no rule allows this destination"
    );
    assert_eq!(message.cost, "JPY 3500000");
    assert_eq!(
        message.command,
        "tollgate block acme -c /etc/tollgate.toml --hang-up"
    );
    for part in [
        "+23276123456",
        "192.0.2.7",
        "would have cost about JPY 3500000",
        &message.command,
    ] {
        assert!(message.text.contains(part), "{part}: {}", message.text);
    }
}

#[test]
fn what_goes_on_is_told_again_after_an_hour_and_what_is_over_is_new_after_two() {
    let mut groups = Groups::default();
    let told = |seconds, add: bool, groups: &mut Groups| {
        if add {
            groups.add(Kind::Refused, refusal("acme"), at(seconds));
        }
        groups.due(at(seconds), false).len()
    };
    assert_eq!(told(0, true, &mut groups), 0, "it gathers first");
    assert_eq!(told(ALERT_GATHER_S, false, &mut groups), 1);
    for seconds in 10..20 {
        assert_eq!(told(seconds, true, &mut groups), 0, "it is known");
    }
    let again = ALERT_GATHER_S + ALERT_AGAIN_S;
    let due = groups.due(at(again), false);
    assert_eq!((due.len(), due[0].event.count), (1, 10));
    assert_eq!(told(again + ALERT_AGAIN_S, false, &mut groups), 0);
    let later = again + ALERT_AGAIN_S + 1;
    assert_eq!(told(later, true, &mut groups), 0);
    assert_eq!(
        told(later + ALERT_GATHER_S, false, &mut groups),
        1,
        "a new one"
    );
    // A clock that was set back by a day silences nothing.
    groups.add(Kind::Refused, refusal("kiku"), at(100 * 86_400));
    groups.due(at(0), false);
    assert_eq!(groups.due(at(ALERT_AGAIN_S), false).len(), 1);
}

#[test]
fn tenants_without_end_are_counted_together() {
    let mut groups = Groups::default();
    let all = 3 * ALERT_GROUPS;
    for tenant in 0..all {
        groups.add(Kind::Refused, refusal(&format!("t{tenant}")), at(0));
    }
    let told = groups.due(at(ALERT_GATHER_S), false);
    assert_eq!(told.len(), ALERT_GROUPS + 1);
    let count: u64 = told.iter().map(|it| it.event.count).sum();
    assert_eq!(count, u64::try_from(all).unwrap());
}

#[test]
fn a_budget_is_told_of_at_half_at_four_fifths_and_when_it_is_used_up() {
    let mut levels = Levels::default();
    let mut told = Vec::new();
    for permille in [0, 499, 500, 700, 800, 790, 801, 999, 1_000, 1_200, 20, 510] {
        told.extend(levels.note("acme day", permille));
    }
    // Money that was only held comes back; the next day begins anew.
    assert_eq!(told, [500, 800, 800, 1_000, 500]);
    assert_eq!(levels.note("acme month", 900), Some(800));
}

#[test]
fn syslog_is_as_rfc_5424_wants_it() {
    let mut one = message(3);
    one.tenant = "a\"]b".to_owned();
    let line = syslog::line(&one, "gate", 7);
    let head = "<84>1 2001-09-09T01:46:40Z gate tollgate 7 refused [tollgate@32473 id=\"r-1\" \
                tenant=\"a\\\"\\]b\" what=\"destination-not-allowed\" count=\"3\" ";
    assert!(line.starts_with(head), "{line}");
    assert!(
        line.contains("] \u{feff}acme: 3 calls were refused"),
        "{line}"
    );
    one.text = "é".repeat(5_000);
    let line = syslog::line(&one, "not a name", 7);
    assert!(
        line.len() <= 2_048 && line.contains(" - tollgate 7 "),
        "{line}"
    );
}

#[test]
fn a_collector_gets_it() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut collector = Collector::Udp(socket.local_addr().unwrap());
    collector.send(&message(1), "").unwrap();
    let mut buffer = [0; 4_096];
    let length = socket.recv(&mut buffer).unwrap();
    assert!(buffer[..length].starts_with(b"<84>1 "));
    assert!(
        Collector::Unix("/nowhere/log".into())
            .send(&message(1), "")
            .is_err()
    );
}

/// A place that takes what a test allows.
struct Fake {
    name: &'static str,
    asked: Sender<String>,
    answers: Receiver<bool>,
}

fn fake(name: &'static str) -> (Box<dyn Destination>, Receiver<String>, Sender<bool>) {
    let (asked, seen) = channel();
    let (answer, answers) = channel();
    let fake = Fake {
        name,
        asked,
        answers,
    };
    (Box::new(fake), seen, answer)
}

impl Destination for Fake {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn send(&mut self, message: &Message, checkpoint: &str) -> Result<(), Unsent> {
        self.asked
            .send(format!("{}{checkpoint}", message.id))
            .unwrap();
        match self.answers.recv() {
            Ok(true) => Ok(()),
            _ => Err(Unsent("no".to_owned())),
        }
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn a_place_that_hangs_holds_up_no_other_and_loses_nothing_over_a_restart() {
    let outbox = Outbox::new(&names(&["good", "hangs"]), Waiting::new());
    let (good, seen, answer) = fake("good");
    let (hangs, asked, never) = fake("hangs");
    let sending = outbox.start(vec![good, hangs]);
    for id in ["1", "2"] {
        let message = Message {
            id: id.to_owned(),
            ..message(1)
        };
        outbox.post(&[message], |_| {});
    }
    assert_eq!(seen.recv().unwrap(), "1");
    answer.send(false).unwrap();
    assert_eq!(seen.recv().unwrap(), "1", "it is tried again");
    answer.send(true).unwrap();
    assert_eq!(seen.recv().unwrap(), "2");
    answer.send(true).unwrap();
    assert_eq!(asked.recv().unwrap(), "1");
    while outbox.fares()[0].waiting > 0 {
        thread::yield_now();
    }
    let fares = outbox.fares();
    assert_eq!((fares[0].taken, fares[0].failed), (2, 1));
    assert_eq!((fares[1].taken, fares[1].waiting), (0, 2));
    sending.finish(Duration::from_millis(1));
    let kept = serde_json::to_vec(&outbox.waiting()).unwrap();

    // Another start, at which the one is gone from the configuration.
    let left: Waiting = serde_json::from_slice(&kept).unwrap();
    let outbox = Outbox::new(&names(&["hangs", "new"]), left);
    let (recovered, seen, answer) = fake("hangs");
    let sending = outbox.start(vec![recovered]);
    // What is left goes out with the checkpoint of now, as soon as there is one.
    assert!(seen.recv_timeout(Duration::from_millis(100)).is_err());
    outbox.checkpoint(&NOTE.into(), Mono::ZERO);
    for id in ["1", "2"] {
        assert_eq!(seen.recv().unwrap(), format!("{id}{NOTE}"));
        answer.send(true).unwrap();
    }
    sending.finish(Duration::from_secs(10));
    assert!(outbox.waiting().values().all(|it| it.is_empty()));
    drop(never);
}

#[test]
fn what_is_left_does_not_wait_for_a_checkpoint_without_end() {
    let left = Waiting::from([("place".to_owned(), [message(1)].into())]);
    let outbox = Outbox::new(&names(&["place"]), left.clone());
    let (place, seen, answer) = fake("place");
    let sending = outbox.start(vec![place]);
    answer.send(true).unwrap();
    assert_eq!(seen.recv_timeout(Duration::from_secs(60)).unwrap(), "r-1");
    sending.finish(Duration::from_secs(10));

    // Nor at an end.
    let outbox = Outbox::new(&names(&["place"]), left);
    let (place, seen, answer) = fake("place");
    let sending = outbox.start(vec![place]);
    answer.send(true).unwrap();
    sending.finish(Duration::from_secs(10));
    assert_eq!(seen.try_recv().unwrap(), "r-1");
}

#[test]
fn what_waits_is_bounded_and_what_is_left_out_is_said() {
    let outbox = Outbox::new(&names(&["gone"]), Waiting::new());
    for _ in 0..ALERTS_WAITING + 7 {
        outbox.post(&[message(1)], |_| {});
    }
    let waiting = &outbox.waiting()["gone"];
    assert_eq!(waiting.len(), ALERTS_WAITING);
    assert_eq!(waiting[0].left_out, 7);
    assert_eq!(outbox.fares()[0].left_out, 7);
    assert!(waiting.iter().skip(1).all(|it| it.left_out == 0));
}

#[test]
fn a_web_server_without_certificates_is_a_fault_and_secrets_are_not_shown() {
    let url = "https://alerts.example.net/T00/B00/token?key=k";
    let nobody = Anchors::default();
    assert!(Webhook::new(url, None, &nobody, || 0).is_err());
    let plain = url.replace("https", "http");
    let plain = Webhook::new(&plain, Some(b"secret"), &nobody, || 0).unwrap();
    let shown = format!("{plain:?} {}", plain.name());
    assert!(shown.contains("webhook alerts.example.net "), "{shown}");
    for hidden in ["token", "key", "secret"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn a_collector_gets_checkpoints_with_alerts_and_without() {
    let line = syslog::checkpoint_line(NOTE, "gate", 7).unwrap();
    let head = "<85>1 2026-11-29T14:00:00.000000Z gate tollgate 7 checkpoint \
                [tollgate@32473 number=\"12\" note=\"";
    let note = line
        .strip_prefix(head)
        .unwrap()
        .strip_suffix("\"]")
        .unwrap();
    assert_eq!(BASE64.decode(note).unwrap(), NOTE.as_bytes());
    assert_eq!(syslog::checkpoint_line("", "gate", 7), None);
    assert_eq!(
        syslog::checkpoint_line(&NOTE.repeat(1_000), "gate", 7),
        None
    );

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let collector = Collector::Udp(socket.local_addr().unwrap());
    let outbox = Outbox::new(&[collector.name()], Waiting::new());
    let sending = outbox.start(vec![Box::new(collector)]);
    let heard = || {
        let mut buffer = [0; 4_096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let numbered = |number: u32| NOTE.replace("checkpoint 12", &format!("checkpoint {number}"));
    let mut now = Mono::ZERO;
    let mut signed = |number: u32, seconds: u64| {
        now = now + Duration::from_secs(seconds);
        outbox.checkpoint(&numbered(number).into(), now);
    };
    signed(1, 0);
    assert!(heard().contains("number=\"1\""));
    // Not again so soon, unless something happens, or it is the end.
    signed(2, 10);
    signed(3, 10);
    outbox.post(&[message(1)], |_| {});
    assert!(heard().contains(" refused "));
    assert!(heard().contains("number=\"3\""));
    signed(4, 10);
    signed(5, 60);
    assert!(heard().contains("number=\"5\""));
    signed(6, 10);
    sending.finish(Duration::from_secs(10));
    assert!(heard().contains("number=\"6\""));
}

#[test]
fn strangers_are_told_of_once_a_day() {
    let mut groups = Groups::default();
    let mut told = 0;
    for minute in 0..3 * 24 * 60 {
        let event = Happened {
            what: "unknown-peer".to_owned(),
            count: 5,
            ..Happened::default()
        };
        groups.add(Kind::Stranger, event, at(minute * 60));
        told += groups.due(at(minute * 60 + 30), false).len();
    }
    assert_eq!(told, 3);
}
