use super::*;

fn table() -> Table {
    Table::new("tollgate".into(), vec![5061, 5060, 5060])
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn work(mirror: &mut Mirror, bans: &[(&str, u64)]) -> String {
    let bans = bans.iter();
    let bans = bans.map(|(it, seconds)| (net(it), Duration::from_secs(*seconds)));
    mirror.work(bans).script
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn without_a_table_there_is_nothing_to_do() {
    let mut mirror = Mirror::default();
    mirror.ban(net("192.0.2.9/32"), MINUTE);
    mirror.redo();
    assert_eq!(work(&mut mirror, &[("192.0.2.9/32", 60)]), "");
}

#[test]
fn what_changes_is_told_once() {
    let (bell, rung) = mpsc::sync_channel(1);
    let mut mirror = Mirror::default();
    mirror.ring(bell);
    mirror.become_of(Some(table()));
    assert!(rung.try_recv().is_ok());
    let script = work(&mut mirror, &[("192.0.2.9/32", 7)]);
    assert!(script.starts_with("add table inet tollgate\ndelete table inet tollgate\n"));
    assert!(script.contains("th dport { 5060, 5061 } ip saddr @banned4 counter drop"));
    assert!(script.ends_with("add element inet tollgate banned4 { 192.0.2.9 timeout 7s }\n"));
    assert_eq!(work(&mut mirror, &[("192.0.2.9/32", 7)]), "");

    mirror.ban(net("2001:db8:0:1::/64"), MINUTE);
    mirror.lift(net("192.0.2.9/32"));
    assert!(rung.try_recv().is_ok(), "and rings but once");
    assert!(rung.try_recv().is_err());
    assert_eq!(
        work(&mut mirror, &[]),
        "add element inet tollgate banned6 { 2001:db8:0:1::/64 timeout 60s }\n\
         add element inet tollgate banned4 { 192.0.2.9 timeout 1s }\n\
         delete element inet tollgate banned4 { 192.0.2.9 }\n"
    );
    for _ in 0..=NFT_CHANGES {
        mirror.ban(net("192.0.2.9/32"), MINUTE);
    }
    let script = work(&mut mirror, &[]);
    assert!(
        script.starts_with("add table"),
        "all of it instead: {script}"
    );
    mirror.become_of(None);
    assert_eq!(work(&mut mirror, &[]), table().gone());
    mirror.become_of(Some(table()));
    mirror.close();
    let last = mirror.work(std::iter::empty());
    assert!(last.last && last.script.ends_with(&table().gone()));
}
