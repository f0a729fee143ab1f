//! What the owner is told of at once, by the program itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::run::{Running, folder};

/// A web server that answers its first POSTs with these codes, and the rest with 200.
fn web_server(codes: &'static [u16]) -> (String, Receiver<(Vec<String>, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/tollgate", listener.local_addr().unwrap());
    let (sender, posted) = channel();
    std::thread::spawn(move || {
        let mut codes = codes.iter();
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let head: Vec<String> = (&mut reader)
                .lines()
                .map_while(Result::ok)
                .take_while(|it| !it.is_empty())
                .collect();
            let length = head.iter().find_map(|it| {
                let (name, value) = it.split_once(": ")?;
                let its = name.eq_ignore_ascii_case("content-length");
                its.then(|| value.parse::<usize>().unwrap())
            });
            let mut body = vec![0; length.unwrap()];
            reader.read_exact(&mut body).unwrap();
            let code = codes.next().copied().unwrap_or(200);
            let answer = format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            if code == 200 {
                let body = serde_json::from_slice(&body).unwrap();
                let _ = sender.send((head, body));
            }
        }
    });
    (url, posted)
}

#[test]
fn a_refusal_is_told_in_seconds_and_signed_though_the_server_fails_at_first() {
    let files = folder();
    let (url, posted) = web_server(&[500]);
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    let port = main.split("127.0.0.1:").nth(1).unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    files.write("secret", "not to be seen\n");
    let alerts = format!("[[alerts.webhook]]\nurl = \"{url}\"\nsecret_file = \"secret\"\n");
    files.write("tollgate.toml", &format!("{main}{alerts}"));
    let mut running = Running::start(&files, &[]);
    running.says("listening on UDP");

    let pbx = UdpSocket::bind("127.0.0.9:0").unwrap();
    for number in 0..50 {
        let invite = format!(
            "INVITE sip:+23276123456@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKa{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+81335570001@127.0.0.9>;tag=t\r\nTo: <sip:+23276123456@127.0.0.1>\r\n\
             Call-ID: {number}@pbx\r\nCSeq: 1 INVITE\r\nContact: <sip:{here}>\r\nContent-Length: 0\r\n\r\n",
            here = pbx.local_addr().unwrap()
        );
        pbx.send_to(invite.as_bytes(), format!("127.0.0.1:{port}")).unwrap();
    }
    let (head, message) = posted.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!((&message["kind"], &message["tenant"]), (&"refused".into(), &"kiku".into()));
    assert_eq!(message["what"], "destination-not-allowed");
    assert_eq!(message["count"], 50, "one message for all of them");
    assert_eq!(message["number"], "+23276123456");
    assert_eq!(message["source"], "127.0.0.9");
    assert_eq!(message["command"], "tollgate block kiku -c tollgate.toml --hang-up");
    let signed = |it: &String| it.to_ascii_lowercase().starts_with("tollgate-signature: sha256=");
    assert!(head.iter().any(signed), "{head:#?}");
    running.says("an alert was not taken");

    // What an operator does is told, too.
    assert_eq!(files.tollgate(&["block", "kiku", "-c", "tollgate.toml"]).code, Some(0));
    let (_, message) = posted.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!((&message["kind"], &message["what"]), (&"order".into(), &"block".into()));
    running.stop();
    let kept = std::fs::read_to_string(files.path("ledger/alerts.json")).unwrap();
    assert!(!kept.contains("not to be seen"));
    assert!(!kept.contains("/tollgate\""), "an address can be a secret: {kept}");
}

#[test]
fn a_place_that_makes_no_sense_is_shown() {
    let files = folder();
    let main = std::fs::read_to_string(files.path("tollgate.toml")).unwrap();
    let alerts = "[[alerts.webhook]]\nurl = \"ftp://example.net/\"\nsecret_env = \"S\"\n\
                  [[alerts.syslog]]\naddress = \"/dev/log\"\n\
                  [[alerts.mail]]\nrelay = \"127.0.0.1:25\"\nfrom = \"tollgate\"\nto = [\"a@b\"]\nvia = \"x\"\n";
    files.write("tollgate.toml", &format!("{main}{alerts}"));
    let said = files.check();
    assert_eq!(said.code, Some(1));
    for fault in [
        "`ftp://example.net/` is no URL that alerts can be sent to",
        "`/dev/log` is no place where syslog is collected",
        "`tollgate` is no mail address",
        "unknown key `via` in [[alerts.mail]]",
    ] {
        assert!(said.err.contains(fault), "{fault}: {}", said.err);
    }
}
