//! The fields beside members, quorum, thresholds and calibration.

use super::*;
use crate::score::ListAction;

fn with(field: &str, value: Value) -> Value {
    let mut definition = example();
    definition[field] = value;
    definition
}

fn refusal(definition: &Value) -> String {
    parse(definition).unwrap_err().to_string()
}

fn thresholds(suspicious: f64, malicious: f64) -> Value {
    json!({"suspicious": suspicious, "malicious": malicious})
}

#[test]
fn a_definition_with_every_field_goes_there_and_back() {
    let mut full = with(
        "lists",
        json!([
            {"match": "evil.com", "action": "deny", "reason": "seen in incident 7", "expires": "2027-01-01T00:00:00Z"},
            {"match": "*.corp.example", "action": "allow", "reason": "our own"},
            {"match": "2001:db8::/32", "action": "allow", "reason": "documentation"},
        ]),
    );
    full["method"] = json!({"domain": {"method": "logistic", "bias": -0.5}, "ip": {"method": "noisy_or"}});
    full["profiles"] = json!({"block": {"domain": thresholds(90.0, 99.0), "ip": thresholds(90.0, 95.0)}});
    full["half_life_hours"] = json!({"dataset": 72.0, "dns": 24});
    full["valid_hours"] = json!({"domain": 24, "ip": 6});
    full["base_rate"] = json!({"domain": 0.3, "ip": 0.2});
    full["members"][0]["required"] = json!(true);
    let definition = parse(&full).unwrap();
    assert_eq!(definition.method.domain, Method::Logistic { bias: -0.5 });
    assert_eq!(definition.lists[0].action, ListAction::Deny);
    assert!(definition.members[0].required && !definition.members[1].required);
    let again = EnsembleDefinition::parse(&serde_json::to_vec(&definition).unwrap()).unwrap();
    assert_eq!(definition, again);
}

#[test]
fn what_is_wrong_is_named_with_value_and_limit() {
    let entry = |key: &str, value: Value| {
        let mut entry = json!({"match": "evil.com", "action": "deny", "reason": "why"});
        entry[key] = value;
        with("lists", json!([{"match": "a.com", "action": "allow", "reason": "why"}, entry]))
    };
    let profile =
        |thresholds_ip: Value| json!({"block": {"domain": thresholds(1.0, 2.0), "ip": thresholds_ip}});
    let many: serde_json::Map<_, _> =
        (0..9).map(|i| (format!("p{i}"), profile(thresholds(1.0, 2.0))["block"].clone())).collect();
    let logistic =
        |bias: f64| json!({"domain": {"method": "mean"}, "ip": {"method": "logistic", "bias": bias}});
    let cases = [
        (with("method", logistic(1e3)), "method.ip.bias is 1000; -100 to 100 is allowed"),
        (with("profiles", Value::Object(many)), "profiles is 9 profiles; at most 8 are allowed"),
        (
            with("profiles", json!({"A b": profile(thresholds(1.0, 2.0))["block"]})),
            r#"profiles.* is "A b"; 1 to 64"#,
        ),
        (
            with("profiles", profile(thresholds(3.0, 2.0))),
            "profiles.block.ip.malicious is 2; 3 (profiles.block.ip.",
        ),
        (with("profiles", profile(thresholds(-1.0, 2.0))), "profiles.block.ip.suspicious is -1; 0 to 100"),
        (
            entry("match", json!("Evil.com")),
            r#"lists[1].match is "Evil.com"; a domain or an address in normal form"#,
        ),
        (entry("reason", json!("")), "lists[1].reason is 0 bytes; 1 to 256 are allowed"),
        (entry("reason", json!("x".repeat(257))), "lists[1].reason is 257 bytes"),
        (entry("reason", json!("a\u{1b}[31m")), r#"lists[1].reason is "a\u{1b}[31m"; no control characters"#),
        (entry("expires", json!("tomorrow")), r#"lists[1].expires is "tomorrow"; an RFC 3339 time"#),
        (
            with("half_life_hours", json!({"feed": 1})),
            r#"half_life_hours.* is "feed"; one of dataset, dns, http"#,
        ),
        (with("half_life_hours", json!({"dns": 0})), "half_life_hours.dns is 0; above 0, and at most 87600"),
        (with("valid_hours", json!({"domain": 1, "ip": 1e9})), "valid_hours.ip is 1000000000; above 0"),
        (with("base_rate", json!({"domain": 0.5, "ip": 1.0})), "base_rate.ip is 1; above 0 and below 1"),
    ];
    for (definition, expected) in cases {
        let error = refusal(&definition);
        assert!(error.contains(expected), "{error}\n{expected}");
    }
    let one = json!({"match": "evil.com", "action": "deny", "reason": "why"});
    assert!(
        refusal(&with("lists", json!(vec![one; 10_001]))).contains("lists is 10001 entries; at most 10000")
    );
    let mut silent = example();
    silent["members"][2]["weight"]["domain"] = json!(0);
    silent["members"][2]["required"] = json!(true);
    assert!(
        refusal(&silent).contains("members[2].required is true; false is expected"),
        "{}",
        refusal(&silent)
    );
}

#[test]
fn the_largest_lists_fit_a_definition() {
    let one = json!({
        "match": format!("*.{}.example", "a".repeat(50)),
        "action": "deny",
        "reason": "a reason of usual length, with a ticket's number: 123456",
        "expires": "2027-01-01T00:00:00Z",
    });
    let text = with("lists", json!(vec![one; MAX_LIST_ENTRIES])).to_string();
    assert!(text.len() < MAX_DEFINITION_BYTES, "{}", text.len());
    assert_eq!(EnsembleDefinition::parse(text.as_bytes()).unwrap().lists.len(), MAX_LIST_ENTRIES);
}

#[test]
fn without_a_required_member_there_is_no_risk() {
    let mut definition = example();
    definition["members"][2]["required"] = json!(true);
    let definition = parse(&definition).unwrap();
    let two = [("xgboost", Some(0.9)), ("lightgbm", Some(0.9))];
    let domain = definition.combine(Kind::Domain, &two);
    assert_eq!((domain.risk, domain.verdict), (None, Verdict::Unknown));
    assert!(!domain.quorum.met && domain.quorum.answered == 2);
    assert!(definition.combine(Kind::Ip, &two).quorum.met, "where it has no weight it is not asked for");
    let three = [two[0], two[1], ("forest", Some(0.1))];
    assert!(definition.combine(Kind::Domain, &three).quorum.met);
}

#[test]
fn profiles_judge_the_same_risk() {
    let mut definition = example();
    definition["profiles"] = json!({
        "block": {"domain": thresholds(95.0, 99.0), "ip": thresholds(0.0, 0.0)},
        "hunt": {"domain": thresholds(5.0, 50.0), "ip": thresholds(0.0, 0.0)},
    });
    let definition = parse(&definition).unwrap();
    let verdicts = |risk| definition.profile_verdicts(Kind::Domain, risk).into_values().collect::<Vec<_>>();
    assert_eq!(verdicts(Some(50.0)), [Verdict::Benign, Verdict::Malicious]);
    assert_eq!(verdicts(Some(95.0)), [Verdict::Suspicious, Verdict::Malicious]);
    assert_eq!(verdicts(None), [Verdict::Unknown; 2]);
}
