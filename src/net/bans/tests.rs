use std::time::Duration;

use super::*;
use crate::policy::samples::{rules, tenant};

const MAIN: &str = r#"
[[listen]]
address = "udp:127.0.0.1:5060"
[[carrier]]
name = "upstream"
address = "udp:127.0.0.2:5070"
sources = ["127.0.0.2/32"]
number_format = "e164"
[bans]
messages = 20
within = "5s"
for = "60s"
"#;

/// Bans, and the rules that they go by.
struct World(Bans, RuleSet);

impl std::ops::Deref for World {
    type Target = Bans;

    fn deref(&self) -> &Bans {
        &self.0
    }
}

fn world(main: &str, sources: &str, more: &str) -> World {
    let (bans, rules) = (Bans::default(), rules(main, &tenant(sources, more)));
    bans.obey(&rules);
    World(bans, rules)
}

fn bans(main: &str) -> World {
    world(main, "127.0.0.4/32", "")
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Mono::ZERO + Duration::from_secs(seconds),
        wall: Wall::from_micros(1_700_000_000_000_000) + Duration::from_secs(seconds),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn sees(bans: &World, seconds: u64, source: &str, count: usize) -> usize {
    let seen = (0..count).filter_map(|_| bans.sees(at(seconds), &bans.1, ip(source), false));
    seen.count()
}

#[test]
fn who_sends_too_much_is_banned_until_it_is_over() {
    let bans = bans(MAIN);
    assert_eq!(sees(&bans, 0, "192.0.2.9", 19), 0);
    assert!(!bans.holds(at(0), ip("192.0.2.9")));
    // Those of before count no more.
    assert_eq!(sees(&bans, 5, "192.0.2.9", 19), 0);
    assert_eq!(sees(&bans, 6, "192.0.2.9", 1), 1);
    for (seconds, source, held) in [
        (6, "192.0.2.9", true),
        (6, "::ffff:192.0.2.9", true),
        (65, "192.0.2.9", true),
        (66, "192.0.2.9", false),
        (6, "192.0.2.8", false),
    ] {
        assert_eq!(
            bans.holds(at(seconds), ip(source)),
            held,
            "{seconds} {source}"
        );
    }
    let list = bans.list(at(10));
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].since, list[0].until), (at(6).wall, at(66).wall));
    assert_eq!(list[0].dropped, 3);
    assert!(bans.list(at(66)).is_empty());
}

#[test]
fn of_ipv6_a_whole_network_is_banned() {
    let bans = bans(MAIN);
    for last in 0..20 {
        sees(&bans, 0, &format!("2001:db8:0:1::{last:x}"), 1);
    }
    assert!(bans.holds(at(0), ip("2001:db8:0:1:9::")));
    assert!(!bans.holds(at(0), ip("2001:db8:0:2::1")));
    assert_eq!(bans.list(at(0))[0].net.to_string(), "2001:db8:0:1::/64");
}

#[test]
fn a_ban_can_be_lifted() {
    let bans = bans(MAIN);
    for source in ["192.0.2.9", "192.0.2.8", "192.0.2.7"] {
        assert_eq!(sees(&bans, 0, source, 20), 1);
    }
    assert!(bans.lift(at(1), Some(ip("192.0.2.1"))).is_empty());
    let lifted = bans.lift(at(1), Some(ip("192.0.2.9")));
    assert_eq!(lifted.len(), 1);
    assert!(!bans.holds(at(1), ip("192.0.2.9")));
    assert_eq!(sees(&bans, 1, "192.0.2.9", 19), 0, "it begins anew");
    assert_eq!(bans.lift(at(1), None).len(), 2);
    assert!(bans.list(at(1)).is_empty());
}

#[test]
fn who_becomes_a_peer_is_banned_no_more() {
    let bans = bans(MAIN);
    for source in ["192.0.2.9", "192.0.2.200"] {
        sees(&bans, 0, source, 20);
    }
    bans.obey(&rules(MAIN, &tenant("192.0.2.0/25", "")));
    assert!(!bans.holds(at(0), ip("192.0.2.9")));
    assert!(bans.holds(at(0), ip("192.0.2.200")));
}

/// Who forges the address beside a peer's must not have the peer's network banned.
#[test]
fn no_network_of_a_peer_is_banned() {
    let bans = world(MAIN, "2001:db8:0:1::5/128", "");
    assert_eq!(sees(&bans, 0, "2001:db8:0:1::6", 1_000), 0);
    assert_eq!(sees(&bans, 0, "2001:db8:0:2::6", 20), 1);
}

/// Anybody can send with the address of a phone system that has yet to register.
#[test]
fn where_phone_systems_register_no_forged_address_is_banned() {
    let main = MAIN.replacen(
        "\"udp:127.0.0.1:5060\"",
        "\"udp:127.0.0.1:5060\"\nchallenge = true",
        1,
    );
    let account = "[[account]]\nusername = \"pbx\"\nsecret_env = \"PBX\"\n";
    let bans = world(&main, "127.0.0.4/32", account);
    assert_eq!(sees(&bans, 0, "192.0.2.9", 1_000), 0);
    let proved = (0..20).filter_map(|_| bans.sees(at(0), &bans.1, ip("192.0.2.9"), true));
    assert_eq!(proved.count(), 1);
}

/// Nor of a peer that is known by its certificate, wherever it connects from.
#[test]
fn where_a_certificate_says_who_a_peer_is_no_forged_address_is_banned() {
    let bans = bans(MAIN);
    assert_eq!(sees(&bans, 0, "192.0.2.9", 20), 1);
    let listen = "[[listen]]\naddress = \"tls:127.0.0.1\"\ncertificate = \"own.pem\"\n\
                  key = \"own.key\"\nclient_ca = \"clients.pem\"\n";
    let tenant = tenant("127.0.0.4/32", "");
    let tenant = tenant.replace(
        "[identify]",
        "[identify]\ntls_names = [\"pbx.example.net\"]",
    );
    let named = rules(&format!("{listen}{MAIN}"), &tenant);
    bans.obey(&named);
    assert!(!bans.holds(at(0), ip("192.0.2.9")), "it was not proved");
    let seen = |proved| {
        let all = (0..1_000).filter_map(|_| bans.sees(at(0), &named, ip("192.0.2.8"), proved));
        all.count()
    };
    assert_eq!(seen(false), 0);
    assert!(seen(true) > 0);
}

#[test]
fn nobody_is_banned_where_nobody_is_to_be() {
    let bans = bans(&MAIN.replace("messages = 20", "messages = 0"));
    assert_eq!(sees(&bans, 0, "192.0.2.9", 10_000), 0);
}

#[test]
fn what_is_kept_is_bounded() {
    let bans = bans(MAIN);
    let addresses = (0..1_000_000_u32).map(|it| IpAddr::V4((0x0A00_0000 | it).into()));
    for address in addresses {
        assert_eq!(bans.sees(at(0), &bans.1, address, false), None);
    }
    let addresses = (0..11_000_u32).map(|it| IpAddr::V4((0x0A00_0000 | it).into()));
    for address in addresses {
        let _banned = (0..20)
            .filter_map(|_| bans.sees(at(0), &bans.1, address, false))
            .count();
    }
    assert_eq!(bans.list(at(0)).len(), BANS);
    sees(&bans, 60, "192.0.2.9", 20);
    assert!(
        bans.holds(at(60), ip("192.0.2.9")),
        "those of before are over"
    );
}

#[test]
fn bans_of_an_earlier_life_go_on_and_last_no_longer() {
    let kept = |net: &str, until: i64| Ban {
        net: net.parse().unwrap(),
        since: at(0).wall,
        until: Wall::from_micros(at(0).wall.as_micros() + until * 1_000_000),
        dropped: 7,
    };
    let earlier = || {
        vec![
            kept("192.0.2.1/32", 30),
            kept("192.0.2.2/32", 10),
            // The wall clock was set back since: a ban lasts 60 s.
            kept("192.0.2.3/32", 86_400),
            kept("2001:db8::/64", 30),
            kept("127.0.0.4/32", 30),
        ]
    };
    let world = bans(MAIN);
    world.take_up(at(10), &world.1, earlier(), false);
    for (source, seconds, held) in [
        ("192.0.2.1", 29, true),
        ("192.0.2.1", 30, false),
        ("192.0.2.2", 10, false),
        ("192.0.2.3", 69, true),
        ("192.0.2.3", 70, false),
        ("2001:db8::7", 29, true),
        // A peer by now.
        ("127.0.0.4", 29, false),
    ] {
        assert_eq!(
            world.holds(at(seconds), ip(source)),
            held,
            "{source} {seconds}"
        );
    }
    assert!(world.list(at(10)).iter().all(|it| it.dropped >= 7));
    // Where nobody is banned any more, or only who has proved its address.
    let without = bans(&MAIN.replace("messages = 20", "messages = 0"));
    without.take_up(at(10), &without.1, earlier(), false);
    assert!(without.list(at(10)).is_empty());
    let accounts = "[[account]]\nusername = \"a\"\nsecret_env = \"X\"\n";
    let main = MAIN.replacen("5060\"", "5060\"\nchallenge = true", 1);
    let asking = self::world(&main, "127.0.0.4/32", accounts);
    assert!(asking.are_proved());
    asking.take_up(at(10), &asking.1, earlier(), false);
    assert!(asking.list(at(10)).is_empty());
    asking.take_up(at(10), &asking.1, earlier(), true);
    assert!(!asking.list(at(10)).is_empty());
}
