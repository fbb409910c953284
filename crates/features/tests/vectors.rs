//! Vectors of whole entities: named cases, and what holds for every entity.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::sync::OnceLock;

use proptest::prelude::*;
use tribunal_core::{AddressFacts, Entity, FeatureSchema};
use tribunal_features::{Extractor, Lexicon, LexiconError, WIDTH, lexicon, markdown, schema};

/// A lexicon with every section, so that every feature is computed.
fn full() -> &'static Extractor<'static> {
    static LEXICON: OnceLock<Lexicon> = OnceLock::new();
    static EXTRACTOR: OnceLock<Extractor<'static>> = OnceLock::new();
    EXTRACTOR.get_or_init(|| {
        let grams =
            "a\t30\ne\t30\nl\t9\np\t9\ny\t4\n^p\t5\npa\t9\nay\t5\nyp\t4\n^pa\t5\npay\t5\n^pay\t5\npayp\t4\n";
        let table = |name: &str| -> Result<Option<String>, LexiconError> {
            let text = match name {
                "words.tsv" => "login\t4.5\nsecure\t4.4\nshop\t5\nthe\t7.5\nan\t6.8\na\t7.2\n",
                "rates.tld.tsv" => "*\t0.4\t0\ncom\t0.2\t999\n",
                "rates.asn.tsv" => "*\t0.3\t0\n64500\t0.75\t99\n",
                "rates.country.tsv" => "NL\t0.5\t9\n",
                "asn_hosting.tsv" => "64500\t0.9\n",
                _ => grams,
            };
            Ok(Some(text.to_owned()))
        };
        let bytes = lexicon::compile(table).unwrap();
        let lexicon = LEXICON.get_or_init(|| Lexicon::open(bytes).unwrap());
        Extractor::new(lexicon).unwrap()
    })
}

fn vector(text: &str, facts: Option<&AddressFacts>) -> Vec<f32> {
    let mut out = vec![0.0; WIDTH];
    full().extract(&Entity::parse(text).unwrap(), facts, &mut out).unwrap();
    out
}

fn value(text: &str, feature: &str) -> f32 {
    vector(text, None)[full().schema().positions()[feature]]
}

#[test]
fn named_features_of_named_entities() {
    for (text, feature, expected) in [
        ("www.example.com", "host_length", 11.0),
        ("www.example.com", "sub_length", 0.0),
        ("www.com", "host_length", 7.0),
        ("a.b.example.co.uk", "host_labels", 5.0),
        ("a.b.example.co.uk", "sub_labels", 2.0),
        ("a.b.example.co.uk", "suffix_labels", 2.0),
        ("secure-login24.com", "word_count", 2.0),
        ("secure-login24.com", "kw_credential", 1.0),
        ("secure-login24.com", "label_hyphens", 1.0),
        ("paypal.com", "brand_own", 1.0),
        ("paypal.com", "brand_label", 0.0),
        ("paypal.xyz", "brand_label", 1.0),
        ("paypal-login.com", "brand_part", 1.0),
        ("mypaypals.com", "brand_inside", 6.0),
        ("paypai.com", "brand_near", 1.0),
        ("paypa1.com", "brand_folded", 1.0),
        ("rnicrosoft.com", "brand_folded", 1.0),
        ("paypal.com.example.net", "brand_sub_domain", 1.0),
        ("paypal.example.net", "brand_sub_domain", 0.0),
        ("paypal.example.net", "brand_sub_token", 1.0),
        ("login.paypal.com", "brand_sub_token", 0.0),
        ("paypal.paypal.com", "brand_sub_token", 0.0),
        ("google.co.uk", "brand_label", 0.0),
        // A Cyrillic letter in a Latin name.
        ("p\u{430}ypal.com", "brand_script", 1.0),
        ("p\u{430}ypal.com", "idn_mixed_script", 1.0),
        ("paypal.com", "idn_mixed_script", 0.0),
        ("münchen.de", "idn_labels", 1.0),
        ("münchen.de", "idn_mixed_script", 0.0),
        ("evil.duckdns.org", "provider_dynamic_dns", 1.0),
        ("evil.github.io", "provider_cloud", 1.0),
        ("evil.github.io", "suffix_private", 1.0),
        ("evil.github.io", "label_length", 4.0),
        ("host-84-13-2-19.pool.example.net", "sub_embedded_ipv4", 1.0),
        ("host-84-13-2-19.pool.example.net", "sub_network_words", 2.0),
        ("example.com", "tld_support", 3.0),
        ("example.xyz", "tld_support", 0.0),
        ("example.xyz", "tld_cheap", 1.0),
        ("10.0.0.1", "ip_global", 0.0),
        ("8.8.8.8", "ip_global", 1.0),
        ("8.8.8.8", "ip_distinct_octets", 1.0),
        ("2606:4700::1111", "ip_version", 6.0),
        ("2606:4700::1111", "ip_interface_bits", 4.0),
        ("2001:db8::1", "ip_global", 0.0),
        ("fe80::211:22ff:fe33:4455", "ip_eui64", 1.0),
    ] {
        assert_eq!(value(text, feature), expected, "{feature} of {text}");
    }
}

#[test]
fn likely_names_score_above_unlikely_ones() {
    assert!(value("paypal.com", "lm_benign_mean") > value("zqxwvk.com", "lm_benign_mean") + 1.0);
    assert!((value("example.com", "tld_rate") - 0.2).abs() < 1e-4);
    assert!((value("example.xyz", "tld_rate") - 0.4).abs() < 1e-4);
}

#[test]
fn facts_of_an_address_are_read() {
    let facts = AddressFacts {
        asn: Some(64500),
        as_name: Some("Example Cloud Hosting B.V.".to_owned()),
        country: Some("NL".to_owned()),
        range: Some((0x0808_0000, 0x0808_ffff)),
        hosting: Some(true),
    };
    let out = vector("8.8.128.0", Some(&facts));
    let positions = full().schema().positions();
    for (feature, expected) in [
        ("asn_known", 1.0),
        ("asn_rate", 0.75),
        ("asn_support", 2.0),
        ("asn_hosting_share", 0.9),
        ("as_name_hosting", 1.0),
        ("as_name_access", 0.0),
        ("ip_hosting_range", 1.0),
        ("country_rate", 0.5),
        ("country_support", 1.0),
        ("network_size_log2", 16.0),
        ("network_place", 0.5),
    ] {
        assert!((out[positions[feature]] - expected).abs() < 1e-4, "{feature}: {}", out[positions[feature]]);
    }
    let unknown = vector("8.8.8.8", None);
    assert!(unknown[positions["asn_known"]].is_nan());
    assert_eq!(vector("8.8.8.8", Some(&AddressFacts::default()))[positions["asn_known"]], 0.0);
}

#[test]
fn without_a_lexicon_its_features_are_missing_and_the_others_are_not() {
    let empty = Lexicon::open(lexicon::compile::<LexiconError>(|_| Ok(None)).unwrap()).unwrap();
    let extractor = Extractor::new(&empty).unwrap();
    let mut out = vec![0.0; WIDTH];
    extractor.extract(&Entity::parse("shop.example.com").unwrap(), None, &mut out).unwrap();
    let positions = extractor.schema().positions();
    assert!(out[positions["word_coverage"]].is_nan());
    assert!(out[positions["lm_benign_mean"]].is_nan());
    assert!(out[positions["tld_rate"]].is_nan());
    assert_eq!(out[positions["label_length"]], 7.0);
    assert_ne!(extractor.schema_digest(), full().schema_digest());
}

#[test]
fn a_slice_of_another_length_is_refused() {
    let mut out = vec![0.0; WIDTH - 1];
    let error = full().extract(&Entity::parse("example.com").unwrap(), None, &mut out).unwrap_err();
    assert_eq!(error.to_string(), format!("a vector of {} values, the schema has {WIDTH}", WIDTH - 1));
}

#[test]
fn names_are_unique_and_well_formed() {
    let schema = full().schema();
    assert_eq!(schema.features.len(), WIDTH);
    assert_eq!(schema.positions().len(), WIDTH);
    for f in &schema.features {
        let well_formed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        assert!(f.name.bytes().all(well_formed), "{}", f.name);
        assert!(f.min < f.max && !f.meaning.is_empty() && !f.unit.is_empty(), "{}", f.name);
    }
}

#[test]
fn the_page_is_what_the_schema_says() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/features.md")).unwrap();
    let expected = markdown(&schema(Lexicon::embedded().unwrap()));
    assert!(
        page == expected,
        "docs/features.md is old: tribunal features --schema --markdown -o docs/features.md"
    );
}

/// What holds for every vector: finite or missing, in range, missing only where the schema says so.
fn check(entity: &Entity, facts: Option<&AddressFacts>, schema: &FeatureSchema) {
    let mut out = vec![f32::INFINITY; WIDTH];
    full().extract(entity, facts, &mut out).unwrap();
    for (f, value) in schema.features.iter().zip(&out) {
        if !f.kinds.contains(&entity.kind()) {
            assert!(value.is_nan(), "{} of {}", f.name, entity.name());
        } else if value.is_nan() {
            assert!(!f.missing.is_empty(), "{} of {} is missing", f.name, entity.name());
        } else {
            assert!(
                (f.min..=f.max).contains(value),
                "{} of {} is {value}, outside of {} to {}",
                f.name,
                entity.name(),
                f.min,
                f.max
            );
        }
    }
    let mut again = vec![f32::NEG_INFINITY; WIDTH];
    full().extract(entity, facts, &mut again).unwrap();
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&out), bits(&again), "{}", entity.name());
}

fn facts() -> impl Strategy<Value = Option<AddressFacts>> {
    let fields = (
        prop::option::of(any::<u32>()),
        prop::option::of("\\PC{0,300}"),
        prop::option::of("[A-Z]{2}"),
        prop::option::of((any::<u128>(), any::<u128>())),
        prop::option::of(any::<bool>()),
    );
    prop::option::of(fields.prop_map(|(asn, as_name, country, range, hosting)| AddressFacts {
        asn,
        as_name,
        country,
        range,
        hosting,
    }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_name_has_a_sound_vector(
        text in prop_oneof![
            "([a-z0-9-]{1,63}\\.){1,8}(com|org|co\\.uk|github\\.io|xyz|zz)",
            "([a-z0-9-]{1,20}\\.){0,3}[0-9rnvlo-]{1,40}(paypal|login|secure)[a-z0-9-]{0,10}\\.(com|top)",
            "[\\PC]{1,30}\\.[a-z]{2,6}",
            "([а-яa-zäöüß日本ñ0-9]{1,12}\\.){1,3}(com|рф|de|jp)",
        ],
    ) {
        if let Ok(entity) = Entity::parse(&text) {
            check(&entity, None, full().schema());
        }
    }

    #[test]
    fn every_address_has_a_sound_vector(
        v4 in any::<u32>(), v6 in any::<u128>(), mask in any::<u128>(), facts in facts(),
    ) {
        for text in [
            std::net::Ipv4Addr::from_bits(v4).to_string(),
            std::net::Ipv6Addr::from_bits(v6).to_string(),
            std::net::Ipv6Addr::from_bits(v6 & mask >> 64).to_string(),
        ] {
            check(&Entity::parse(&text).unwrap(), facts.as_ref(), full().schema());
        }
    }
}
