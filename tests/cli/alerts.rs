//! What the owner is told of at once, by the program itself.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::Value;

use crate::folder::Folder;
use crate::run::{Running, folder};

const SECRET: &str = "not to be seen";
const PATIENCE: Duration = Duration::from_secs(60);

/// What a web server was told: it looks at the signature first.
type Posted = Receiver<Value>;

/// A web server that answers its first POSTs with these codes, and the rest with 200.
fn web_server(listener: TcpListener, codes: &'static [u16]) -> Posted {
    let (sender, posted) = channel();
    std::thread::spawn(move || {
        let mut codes = codes.iter();
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (head, body) = request(&mut reader);
            let code = codes.next().copied().unwrap_or(200);
            let answer =
                format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            assert_eq!(field(&head, "tollgate-signature"), signature(&head, &body));
            if code == 200 && sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    posted
}

fn request(reader: &mut impl BufRead) -> (Vec<String>, Vec<u8>) {
    let lines = reader.by_ref().lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|it| !it.is_empty()).collect();
    let length = field(&head, "content-length").parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (head, body)
}

fn field(head: &[String], name: &str) -> String {
    let mut fields = head.iter().filter_map(|it| it.split_once(": "));
    let found = fields.find(|(its, _)| its.eq_ignore_ascii_case(name));
    found.map_or_else(String::new, |(_, value)| value.to_owned())
}

/// What the signature has to be.
fn signature(head: &[String], body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = [field(head, "tollgate-time").as_bytes(), b".", body].concat();
    let tag = hmac::sign(&key, &signed);
    let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256={}", digits.collect::<String>())
}

/// Has alerts go to a web server at this port.
fn alert_to(files: &Folder, port: u16) {
    files.write("secret", &format!("{SECRET}\n"));
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    let url = format!("http://127.0.0.1:{port}/tollgate");
    let alerts = format!("[[alerts.webhook]]\nurl = \"{url}\"\nsecret_file = \"secret\"\n");
    files.write("tollgate.toml", &format!("{main}{alerts}"));
}

/// A folder whose rules have alerts told to a web server that answers so, and what that
/// is told.
fn alerted(codes: &'static [u16]) -> (Folder, Posted) {
    let files = folder();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    alert_to(&files, listener.local_addr().unwrap().port());
    let posted = web_server(listener, codes);
    (files, posted)
}

/// A phone system that asks for calls that are refused, and hears it of each.
fn ask(files: &Folder, calls: std::ops::Range<u32>) {
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    let port = main.split("127.0.0.1:").nth(1).unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let pbx = UdpSocket::bind("127.0.0.9:0").unwrap();
    pbx.set_read_timeout(Some(PATIENCE)).unwrap();
    let here = pbx.local_addr().unwrap();
    let mut answer = [0; 2_000];
    for number in calls {
        let request = |method: &str, more: &str| {
            format!(
                "{method} sip:+23276123456@127.0.0.1 SIP/2.0\r\n\
                 Via: SIP/2.0/UDP {here};branch=z9hG4bKa{number}\r\nMax-Forwards: 70\r\n\
                 From: <sip:+81335570001@127.0.0.9>;tag=t\r\n\
                 To: <sip:+23276123456@127.0.0.1>{more}\r\nCall-ID: {number}@pbx\r\n\
                 CSeq: 1 {method}\r\nContact: <sip:{here}>\r\nContent-Length: 0\r\n\r\n"
            )
        };
        let to = format!("127.0.0.1:{port}");
        pbx.send_to(request("INVITE", "").as_bytes(), &to).unwrap();
        loop {
            let length = pbx.recv(&mut answer).unwrap();
            let text = String::from_utf8_lossy(&answer[..length]).into_owned();
            if !text.contains(&format!("Call-ID: {number}@pbx")) || text.contains("SIP/2.0 1") {
                continue;
            }
            assert!(text.starts_with("SIP/2.0 603 "), "{text}");
            let tag = text
                .lines()
                .find_map(|it| it.strip_prefix("To: ")?.split_once('>'));
            let ack = request("ACK", tag.unwrap().1);
            pbx.send_to(ack.as_bytes(), &to).unwrap();
            break;
        }
    }
}

#[test]
fn a_refusal_is_told_in_seconds_and_signed_though_the_server_fails_at_first() {
    let (files, posted) = alerted(&[500]);
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    ask(&files, 0..3);
    let message = posted.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        (&message["kind"], &message["tenant"]),
        (&"refused".into(), &"kiku".into())
    );
    assert_eq!(message["what"], "destination-not-allowed");
    assert_eq!(message["count"], 3, "one message for all of them");
    assert_eq!(message["number"], "+23276123456");
    assert_eq!(message["source"], "127.0.0.9");
    // Whoever reads it does not know which folder it was started in.
    let config = files.path("tollgate.toml");
    let command = format!("tollgate block kiku -c {} --hang-up", config.display());
    assert_eq!(message["command"], command);
    running.says("an alert was not taken");
    let said = files.tollgate(&["status", "-c", "tollgate.toml"]);
    assert!(said.out.contains(": 1 taken, 1 failed try\n"), "{said:?}");

    // What an operator does is told, too.
    let said = files.tollgate(&["block", "kiku", "-c", "tollgate.toml"]);
    assert_eq!(said.code, Some(0));
    let order = posted.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        (&order["kind"], &order["what"]),
        (&"order".into(), &"block".into())
    );
    running.stop();

    // The checkpoint that came with it shows that the journal's end is there.
    files.write("kept", message["checkpoint"].as_str().unwrap());
    let verify = [
        "ledger",
        "verify",
        "-c",
        "tollgate.toml",
        "--expect",
        "kept",
    ];
    let said = files.tollgate(&verify);
    assert_eq!(said.code, Some(0), "{said:?}");
    std::fs::remove_dir_all(files.path("ledger/checkpoints")).unwrap();
    let said = files.tollgate(&verify);
    assert_eq!(said.code, Some(1), "{said:?}");

    let kept = std::fs::read_to_string(files.path("ledger/alerts.json")).unwrap();
    assert!(!kept.contains(SECRET));
    assert!(
        !kept.contains("/tollgate\""),
        "an address can be a secret: {kept}"
    );
}

/// A message of a peer's at this address.
fn message(start: &str, here: SocketAddr, more: &str) -> Vec<u8> {
    format!(
        "{start} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKx\r\nMax-Forwards: 70\r\n\
         From: <sip:+81335570001@{here}>;tag=t\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: x@{here}\r\n\
         Contact: <sip:{here}>\r\n{more}Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn a_redirection_and_a_transfer_to_where_nobody_may_call_are_told() {
    let (files, posted) = alerted(&[]);
    let [pbx, carrier] = ["127.0.0.9:0", "127.0.0.2:0"].map(|it| UdpSocket::bind(it).unwrap());
    carrier.set_read_timeout(Some(PATIENCE)).unwrap();
    let there = carrier.local_addr().unwrap().to_string();
    files.replace("tollgate.toml", "127.0.0.2:5070", &there);
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    let to = main
        .split("udp:")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let here = pbx.local_addr().unwrap();
    let refer = "CSeq: 1 REFER\r\nRefer-To: <sip:+23276123457@127.0.0.1>\r\n";
    pbx.send_to(&message("REFER sip:127.0.0.1", here, refer), to)
        .unwrap();
    let told = posted.recv_timeout(PATIENCE).unwrap();
    assert_eq!(told["what"], "no-transfers");
    assert_eq!(
        (&told["kind"], &told["tenant"]),
        (&"refused".into(), &"kiku".into())
    );
    assert_eq!(told["number"], "+23276123457");

    let invite = message(
        "INVITE sip:0335571234@127.0.0.1",
        here,
        "CSeq: 1 INVITE\r\n",
    );
    pbx.send_to(&invite, to).unwrap();
    let mut asked = [0; 2_000];
    let length = carrier.recv(&mut asked).unwrap();
    let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
    let copied = asked.lines().filter(|it| {
        let names = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "];
        names.iter().any(|name| it.starts_with(name))
    });
    let copied: String = copied.map(|it| format!("{it}\r\n")).collect();
    let moved = format!(
        "SIP/2.0 302 Moved\r\n{copied}Contact: <sip:+23276123456@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"
    );
    carrier.send_to(moved.as_bytes(), to).unwrap();
    let mut told: Vec<Value> = (0..2)
        .map(|_| posted.recv_timeout(PATIENCE).unwrap())
        .collect();
    told.sort_by_key(|it| it["what"].to_string());
    assert_eq!(told[0]["what"], "destination-not-allowed");
    assert_eq!(told[0]["number"], "+23276123456");
    assert_eq!(told[1]["what"], "redirect-refused");
    let text = told[1].to_string();
    assert!(
        text.contains("metro redirected a call to +81335571234 to +23276123456"),
        "{text}"
    );
    running.stop();
}

#[test]
fn a_journal_that_somebody_removes_is_told_of() {
    let (files, posted) = alerted(&[]);
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    ask(&files, 0..3);
    assert_eq!(posted.recv_timeout(PATIENCE).unwrap()["kind"], "refused");
    running.stop();
    let ledger = files.path("ledger");
    for entry in std::fs::read_dir(ledger).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("/shard-") {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let message = posted.recv_timeout(PATIENCE).unwrap();
    assert_eq!(message["kind"], "journal", "{message}");
    assert_eq!(message["what"], "lacks-records");

    // Who removes it under a Tollgate that runs is not unseen until that ends.
    std::fs::remove_dir_all(files.path("ledger/shard-000")).unwrap();
    let message = posted.recv_timeout(PATIENCE).unwrap();
    assert_eq!(message["kind"], "journal", "{message}");
    assert_eq!(message["what"], "removed");
    let status = || files.tollgate(&["status", "-c", "tollgate.toml"]).out;
    assert!(
        status().contains("journal    NOT IN ITS FOLDER: "),
        "{}",
        status()
    );
    running.stop();
}

#[test]
fn a_flood_is_a_few_messages_and_every_call_is_counted() {
    let (files, posted) = alerted(&[]);
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    // More than are recorded one by one.
    ask(&files, 0..1_500);
    running.stop();
    let messages: Vec<Value> = posted.try_iter().collect();
    let refused = |it: &&Value| it["what"] == "destination-not-allowed";
    let count = |it: &Value| it["count"].as_u64().unwrap();
    assert_eq!(
        messages.iter().filter(refused).map(count).sum::<u64>(),
        1_500
    );
    assert!(messages.len() <= 4, "{messages:#?}");
    // What was told at the end is not told again by the next run.
    let kept = std::fs::read(files.path("ledger/alerts.json")).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    let waiting = kept["waiting"].as_object().unwrap();
    assert!(
        waiting.values().all(|it| it.as_array().unwrap().is_empty()),
        "{waiting:?}"
    );
}

#[test]
fn a_dead_server_slows_no_call_and_gets_its_alerts_after_a_crash() {
    let files = folder();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    alert_to(&files, port);
    drop(listener);
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    ask(&files, 0..3);
    running.says("an alert was not taken");
    ask(&files, 3..6);
    let said = files.tollgate(&["status", "-c", "tollgate.toml"]);
    assert!(said.out.contains(", 1 waiting, "), "{said:?}");
    assert!(
        said.out
            .contains("; TAKES NONE NOW: nobody listens there: "),
        "{said:?}"
    );
    running.kill();

    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let posted = web_server(listener, &[]);
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");
    let message = posted.recv_timeout(PATIENCE).unwrap();
    assert_eq!(message["count"], 3);
    let kept = message["checkpoint"].as_str().unwrap();
    assert!(
        kept.starts_with("tollgate ledger v2\ncheckpoint "),
        "{kept}"
    );
    // The others were counted, to be told of an hour later, or at the end.
    running.stop();
    let messages: Vec<Value> = posted.try_iter().collect();
    let refused: Vec<&Value> = messages
        .iter()
        .filter(|it| it["kind"] == "refused")
        .collect();
    assert_eq!(refused.len(), 1, "{messages:#?}");
    assert_eq!(refused[0]["count"], 3);
}

#[test]
fn a_trial_goes_to_every_place() {
    let files = folder();
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    let test = || files.tollgate(&["alert", "test", "-c", "tollgate.toml"]);
    test().is_one_line("names no place for alerts");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    alert_to(&files, listener.local_addr().unwrap().port());
    let posted = web_server(listener, &[]);
    let said = test();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.ends_with(": taken\n"), "{said:?}");
    assert_eq!(posted.recv_timeout(PATIENCE).unwrap()["kind"], "trial");

    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = collector.local_addr().unwrap();
    let relay = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let alerts = format!(
        "[[alerts.webhook]]\nurl = \"http://127.0.0.1:9/\"\nsecret_env = \"TOLLGATE_NO_SUCH\"\n\
         [[alerts.syslog]]\naddress = \"udp:{address}\"\n\
         [[alerts.mail]]\nrelay = \"{relay}\"\nfrom = \"a@b\"\nto = \"c@d\"\n"
    );
    files.write("tollgate.toml", &format!("{main}{alerts}"));
    let said = test();
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.out.matches(": NOT TAKEN: ").count(), 2, "{said:?}");
    assert!(
        said.out
            .contains("the environment has no text TOLLGATE_NO_SUCH"),
        "{said:?}"
    );
    assert!(
        said.out.contains(&format!("syslog udp:{address}: sent; ")),
        "{said:?}"
    );
    let mut buffer = [0; 2_048];
    let length = collector.recv(&mut buffer).unwrap();
    let line = String::from_utf8_lossy(&buffer[..length]);
    assert!(
        line.starts_with("<85>1 ") && line.contains(" trial "),
        "{line}"
    );
    // `check` says it before anything happens.
    let said = files.check();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.err
            .contains("warning: no alerts can go to webhook 127.0.0.1:9"),
        "{said:?}"
    );
}

#[test]
fn whom_nobody_vouches_for_is_said_before_anything_happens() {
    let files = folder();
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    files.write("empty.pem", "nothing\n");
    let alerts = "[[alerts.webhook]]\nurl = \"https://192.0.2.1/\"\nsecret_file = \"empty.pem\"\n\
                  ca = \"empty.pem\"\n\
                  [[alerts.mail]]\nrelay = \"192.0.2.1\"\nca = \"nowhere.pem\"\n\
                  from = \"a@b\"\nto = \"c@d\"\n\
                  [[alerts.mail]]\nrelay = \"mail.example.net:465\"\nfrom = \"a@b\"\nto = \"c@d\"\n";
    files.write("tollgate.toml", &format!("{main}{alerts}"));
    // As in an image without certificates.
    let nobody = [("SSL_CERT_FILE", "/nowhere/ca.crt")];
    let said = files.tollgate_with(&["check", "-c", "tollgate.toml"], &nobody);
    assert_eq!(said.code, Some(0), "{said:?}");
    for fault in [
        "`empty.pem` vouches for nobody: there is no certificate in it",
        "no alerts can go to mail c@d by 192.0.2.1:25: ",
        "nowhere.pem",
        "no alerts can go to mail c@d by mail.example.net:465: nobody vouches for it: ",
        "/nowhere/ca.crt",
        "name a file of certificates (PEM) with `ca`",
    ] {
        assert!(said.err.contains(fault), "{fault}: {}", said.err);
    }
}

#[test]
fn a_place_that_makes_no_sense_is_shown() {
    let files = folder();
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    let alerts = "[[alerts.webhook]]\nurl = \"ftp://example.net/\"\nsecret_env = \"S\"\n\
                  [[alerts.webhook]]\nurl = \"http://example.net/\"\nsecret_env = \"S\"\n\
                  [[alerts.syslog]]\naddress = \"/dev/log\"\n\
                  [[alerts.mail]]\nrelay = \"127.0.0.1:25\"\nfrom = \"tollgate\"\nto = [\"a@b\"]\nvia = \"x\"\n";
    files.write("tollgate.toml", &format!("{main}{alerts}"));
    let line = main.lines().count() + 2;
    let said = files.check();
    assert_eq!(said.code, Some(1));
    for fault in [
        "`ftp://example.net/` is no URL that alerts can be sent to",
        &format!("--> tollgate.toml:{line}:7"),
        "`/dev/log` is no place where syslog is collected",
        "`tollgate` is no mail address",
        "unknown key `via` in [[alerts.mail]]",
        "these alerts can be read on their way",
    ] {
        assert!(said.err.contains(fault), "{fault}: {}", said.err);
    }
}
