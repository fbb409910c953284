use serde_json::json;

use super::*;
use crate::score::ListAction;

const NOW: u64 = 1_795_506_598_123;

fn lists(patterns: &[(&str, Option<&str>)]) -> Lists {
    let entry = |(pattern, expires): &(&str, Option<&str>)| {
        let mut entry = json!({"match": pattern, "action": "deny", "reason": "why"});
        if let Some(expires) = expires {
            entry["expires"] = json!(expires);
        }
        entry
    };
    let definition = json!({
        "version": "1",
        "members": [{"model": "m", "weight": {"domain": 1, "ip": 1}}],
        "quorum": {"domain": 1, "ip": 1},
        "thresholds": {
            "domain": {"suspicious": 50, "malicious": 75},
            "ip": {"suspicious": 50, "malicious": 75},
        },
        "lists": patterns.iter().map(entry).collect::<Vec<_>>(),
        "created": "2026-11-24T07:49:58.123Z",
    });
    Lists::of(&EnsembleDefinition::parse(definition.to_string().as_bytes()).unwrap())
}

fn found<'a>(lists: &'a Lists, entity: &str) -> Option<&'a str> {
    lists.find(entity, NOW).map(|entry| entry.pattern.as_str())
}

#[test]
fn entries_fit_entities_subdomains_and_networks() {
    let patterns = [
        "evil.com",
        "*.corp.example",
        "192.0.2.0/24",
        "192.0.2.7",
        "2001:db8::/32",
        "10.0.0.0/8",
        "*.xyz",
        "0.0.0.0/0",
    ];
    let lists = lists(&patterns.map(|p| (p, None)));
    for (entity, expected) in [
        ("evil.com", Some("evil.com")),
        ("www.evil.com", None),
        ("notevil.com", None),
        ("corp.example", None),
        ("a.corp.example", Some("*.corp.example")),
        ("a.b.corp.example", Some("*.corp.example")),
        ("acorp.example", None),
        ("192.0.2.200", Some("192.0.2.0/24")),
        ("192.0.2.7", Some("192.0.2.0/24")),
        ("192.0.3.1", Some("0.0.0.0/0")),
        ("10.255.0.1", Some("10.0.0.0/8")),
        ("2001:db8:ffff::1", Some("2001:db8::/32")),
        ("2001:db9::1", None),
        ("a.xyz", Some("*.xyz")),
        ("", None),
        (".", None),
        ("..xyz", Some("*.xyz")),
    ] {
        assert_eq!(found(&lists, entity), expected, "{entity}");
    }
}

#[test]
fn the_first_that_fits_and_is_in_force_decides() {
    let (past, now) = (Some("2026-11-24T07:49:58.122Z"), Some("2026-11-24T07:49:58.123Z"));
    let future = Some("2026-11-24T07:49:58.124Z");
    let both = |a: (&str, Option<&str>), b| found(&lists(&[a, b]), "a.evil.com").map(str::to_owned);
    let (exact, below) = ("a.evil.com", "*.evil.com");
    assert_eq!(both((exact, None), (below, None)).as_deref(), Some(exact));
    assert_eq!(both((below, None), (exact, None)).as_deref(), Some(below), "order is the only precedence");
    assert_eq!(both((below, past), (exact, None)).as_deref(), Some(exact));
    assert_eq!(both((below, now), (exact, None)).as_deref(), Some(exact), "it ends at its time");
    assert_eq!(both((below, future), (exact, None)).as_deref(), Some(below));
    assert_eq!(both((below, past), (exact, past)), None);
    let twice = lists(&[(exact, past), (exact, future)]);
    assert_eq!(twice.find(exact, NOW).and_then(|e| e.expires.as_deref()), future, "the same again, later");
    assert_eq!(twice.find(exact, NOW).map(|e| e.action), Some(ListAction::Deny));
}

#[test]
fn patterns_are_normal_forms() {
    for good in [
        "a.com",
        "xn--bcher-kva.example",
        "_dmarc.a.com",
        "*.com",
        "1.2.3.4",
        "::1",
        "2001:db8::1",
        "0.0.0.0/0",
        "::/0",
        "1.2.3.4/32",
        "::1/128",
        "1e100.net",
        "localhost",
    ] {
        assert!(Pattern::parse(good).is_some(), "{good}");
    }
    let long = format!("{}.com", "a".repeat(64));
    for bad in [
        "",
        ".",
        "*",
        "*.",
        "*.*.com",
        "a.*.com",
        "A.com",
        "a.com.",
        "a..com",
        "bücher.example",
        "a b.com",
        "1.2.3",
        "01.2.3.4",
        "1.2.3.4/33",
        "1.2.3.4/024",
        "1.2.3.4/24",
        "1.2.3.4/+8",
        "1.2.3.4/",
        "/8",
        "2001:DB8::1",
        "2001:db8:0::1",
        "::ffff:1.2.3.4",
        "fe80::1%eth0",
        "a.com/24",
        "http://a.com",
        long.as_str(),
    ] {
        assert_eq!(Pattern::parse(bad), None, "{bad}");
    }
    assert!(Pattern::parse(&"a.".repeat(200)).is_none());
}

#[test]
fn a_lookup_agrees_with_a_scan() {
    let patterns: Vec<String> = (0..200_u32)
        .map(|i| match i % 3 {
            0 => format!("*.d{}.com", i % 7),
            1 => format!("h{}.d{}.com", i % 5, i % 11),
            _ => format!("{}.0.0.0/{}", (i % 16) * 16, 4 + i % 5),
        })
        .filter(|pattern| Pattern::parse(pattern).is_some())
        .collect();
    assert!(patterns.len() > 100);
    let lists = lists(&patterns.iter().map(|p| (p.as_str(), None)).collect::<Vec<_>>());
    let fits = |pattern: &str, entity: &str| match Pattern::parse(pattern).unwrap() {
        Pattern::Exact(name) => name == entity,
        Pattern::Below(name) => entity.ends_with(&format!(".{name}")),
        Pattern::Network(network) => {
            entity.parse().is_ok_and(|ip| Network::around(ip, network.prefix) == Some(network))
        }
    };
    let hosts = (0..60).map(|i| format!("h{}.d{}.com", i % 6, i % 12));
    for entity in hosts.chain((0..=255).map(|i| format!("{i}.1.2.3"))) {
        let scanned = patterns.iter().find(|p| fits(p, &entity)).map(String::as_str);
        assert_eq!(found(&lists, &entity), scanned, "{entity}");
    }
}
