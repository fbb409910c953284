use super::*;
use crate::config::Transform;

const GOOD: &str = r#"
[budget]
timeout_ms = 1500

[sources.feeds]
description = "our own sightings"
timeout_ms = 400
tlp = "amber"
quota = { requests = 100, per_s = 60 }
link = "https://intel.example/{entity}"

[sources.feeds.mysql]
connection = { secret = "feeds", field = "url" }
query = "SELECT entity, feed FROM sightings WHERE entity IN (:entities)"
key = "entity"

[[sources.feeds.features]]
name = "feeds_distinct"
field = "feed"
transform = ["distinct", "log1p"]
max = 10.0

[[sources.feeds.evidence]]
fact = "seen on a feed"
value = "feed"

[sources.rank.dataset]
name = "popularity"
match = "registrable_domain"

[[sources.rank.features]]
name = "rank"
field = "alexa"
transform = ["log10", { scale = 2.0 }]
kinds = ["domain"]
"#;

fn problems(text: &str) -> Vec<(usize, String, String)> {
    let error = Declaration::parse(text, |name| name == "label_count").unwrap_err();
    error.0.into_iter().map(|p| (p.line, p.key, p.reason)).collect()
}

#[test]
fn a_declaration_is_read_whole() {
    let declaration = Declaration::parse(GOOD, |_| false).unwrap();
    let feeds = &declaration.sources["feeds"];
    assert_eq!(
        (feeds.adapter(), feeds.ceiling(), declaration.budget.timeout_ms),
        ("mysql", Tlp::Amber, 1_500)
    );
    assert_eq!(declaration.sources["rank"].features[0].transform, [Transform::Log10, Transform::Scale(2.0)]);
    assert_eq!(declaration.sources["rank"].ceiling(), Tlp::Red);
    let features = declaration.features();
    let names: Vec<&str> = features.iter().map(|f| f.name.as_ref()).collect();
    assert_eq!(names, ["feeds_distinct", "rank"]);
    assert_eq!(features[1].kinds.as_ref(), [Kind::Domain]);
}

#[test]
fn what_a_feature_says_is_its_sentence_or_its_meaning() {
    let text = GOOD.replace("max = 10.0", "max = 10.0\nsays = \"on {e} feeds|on no feed\"");
    let declaration = Declaration::parse(&text, |_| false).unwrap();
    let runs = declaration.runs();
    let told: Vec<_> = runs.iter().map(|r| (r.source.as_str(), r.kind.as_str(), r.first, r.count)).collect();
    assert_eq!(told, [("feeds", "mysql", 0, 1), ("rank", "dataset", 1, 1)]);
    assert_eq!(runs[0].phrases, ["on {e} feeds|on no feed"]);
    let features = declaration.features();
    assert_eq!(features[0].phrase, runs[0].phrases[0]);
    let meaning = &features[1].meaning;
    assert_eq!(
        runs[1].phrases,
        [if meaning.is_empty() { String::new() } else { format!("{meaning}: {{}}") }]
    );
}

#[test]
fn the_digest_changes_with_what_the_features_mean_and_with_nothing_else() {
    let digest = |text: &str| Declaration::parse(text, |_| false).unwrap().digest();
    let good = digest(GOOD);
    assert_eq!(good, digest(&GOOD.replace("timeout_ms = 400", "timeout_ms = 401")));
    assert_ne!(good, digest(&GOOD.replace("\"distinct\"", "\"count\"")));
    assert_ne!(good, digest(&GOOD.replace("scale = 2.0", "scale = 3.0")));
    let said = GOOD.replace("max = 10.0", "max = 10.0\nsays = \"on {e} feeds|on no feed\"");
    assert_eq!(good, digest(&said), "a sentence makes no other number");
    let off = GOOD.replace("description", "enabled = false\ndescription");
    assert_eq!(Declaration::parse(&off, |_| false).unwrap().features().len(), 1);
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_key() {
    let cases = [
        ("timeout_ms = 400", "timeout_ms = 0", 7, "sources.feeds.timeout_ms", "0: allowed is 1 to 6000"),
        ("timeout_ms = 400", "timeout_ms = \"fast\"", 7, "sources.feeds.timeout_ms", "invalid type"),
        ("timeout_ms = 400", "tiemout_ms = 400", 7, "sources.feeds.tiemout_ms", "unknown field `tiemout_ms`"),
        ("timeout_ms = 1500", "timeout_ms = 9", 3, "budget.timeout_ms", "9: allowed is 10 to 6000"),
        ("tlp = \"amber\"", "tlp = \"orange\"", 8, "sources.feeds.tlp", "unknown variant `orange`"),
        ("per_s = 60", "per_s = 0", 9, "sources.feeds.quota.per_s", "0: allowed is 1 to"),
        ("https://", "http://", 10, "sources.feeds.link", "https://"),
        (
            "name = \"feeds_distinct\"",
            "name = \"Feeds\"",
            18,
            "sources.feeds.features.0.name",
            "starting with a letter",
        ),
        (
            "name = \"feeds_distinct\"",
            "name = \"rank\"",
            32,
            "sources.rank.features.0.name",
            "declared twice",
        ),
        ("name = \"rank\"", "name = \"label_count\"", 32, "sources.rank.features.0.name", "built-in"),
        ("max = 10.0", "max = 0.0", 21, "sources.feeds.features.0.max", "range 0 to 0"),
        (
            "max = 10.0",
            "says = \"{value} feeds\"",
            21,
            "sources.feeds.features.0.says",
            "a brace that is none of {}, {%}, {^} and {e}",
        ),
        ("max = 10.0", "empty = -1.0", 21, "sources.feeds.features.0.empty", "not within"),
        (
            "[sources.rank.dataset]\nname = \"popularity\"\nmatch = \"registrable_domain\"",
            "\n\n",
            31,
            "sources.rank",
            "none of",
        ),
        ("name = \"popularity\"", "", 27, "sources.rank.dataset", "either name or path"),
        ("\"log1p\"", "\"log2p\"", 20, "sources.feeds.features.0.transform", "unknown variant `log2p`"),
        ("kinds = [\"domain\"]", "kinds = []", 0, "", ""),
    ];
    for (from, to, line, key, reason) in cases {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replacen(from, to, 1);
        if key.is_empty() {
            assert!(Declaration::parse(&text, |_| false).is_ok(), "{text}");
            continue;
        }
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{to}: {found:?}");
        assert_eq!((found[0].0, found[0].1.as_str()), (line, key), "{to}: {found:?}");
        assert!(found[0].2.contains(reason), "{to}: {found:?}");
    }
}

#[test]
fn several_things_are_told_at_once_and_syntax_alone() {
    let text = GOOD.replace("timeout_ms = 400", "timeout_ms = 0").replace("max = 10.0", "max = 0.0");
    let lines: Vec<usize> = problems(&text).into_iter().map(|p| p.0).collect();
    assert_eq!(lines, [7, 21]);
    let found = problems("[sources.x\n");
    assert_eq!((found.len(), found[0].0, found[0].1.as_str()), (1, 1, "syntax"));
    let error = Declaration::parse(&"#".repeat(MAX_DECLARATION_BYTES + 1), |_| false).unwrap_err();
    assert!(error.to_string().contains("262145 bytes"), "{error}");
}

#[test]
fn neighbours_are_of_addresses_in_a_data_set() {
    let source = |dataset: &str, feature: &str| {
        format!(
            "[sources.s]\n{dataset}\n[[sources.s.features]]\nname = \"n\"\n{feature}\ntransform = [\"count\"]\n"
        )
    };
    let listed = "kinds = [\"ip\"]\ndataset = { name = \"s\" }";
    let near = "near = { v4 = 24, v6 = 48 }";
    assert!(Declaration::parse(&source(listed, near), |_| false).is_ok());
    let cases = [
        (listed, "near = { v4 = 32 }", "sources.s.features.0.near.v4", "32: allowed is 8 to 31"),
        (listed, "near = { v6 = 65 }", "sources.s.features.0.near.v6", "65: allowed is 16 to 64"),
        (listed, "near = {}", "sources.s.features.0.near", "give v4, v6 or both"),
        (listed, "near = { v4 = 256 }", "sources.s.features.0.near.v4", "invalid value"),
        ("dataset = { name = \"s\" }", near, "sources.s.features.0.near", "give kinds = [\"ip\"]"),
        (
            "kinds = [\"ip\"]\ndataset = { name = \"s\", match = \"asn\" }",
            near,
            "sources.s.features.0.near",
            "with match = \"entity\"",
        ),
        (
            "kinds = [\"ip\"]\ndns = { records = [\"A\"] }",
            near,
            "sources.s.features.0.near",
            "is for a dataset",
        ),
    ];
    for (dataset, feature, key, reason) in cases {
        let found = problems(&source(dataset, feature));
        assert_eq!((found.len(), found[0].1.as_str()), (1, key), "{feature}: {found:?}");
        assert!(found[0].2.contains(reason), "{feature}: {found:?}");
    }
}
