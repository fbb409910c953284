//! One case table for what is accepted, one for what is refused, and the properties that hold for every input.

use proptest::prelude::*;

use super::{Entity, Kind, MAX_NAME_BYTES, Refusal, SpecialUse};

/// Pasted text -> normal form.
const ACCEPTED: &[(&str, &str)] = &[
    // Plain.
    ("evil.com", "evil.com"),
    ("EVIL.COM.", "evil.com"),
    ("  evil.com\r\n", "evil.com"),
    ("\"evil.com\",", "evil.com"),
    ("'evil.com';", "evil.com"),
    ("“evil.com”", "evil.com"),
    ("`evil.com`", "evil.com"),
    ("<evil.com>", "evil.com"),
    ("| evil.com |", "evil.com"),
    ("\u{FEFF}evil.com\u{200B}", "evil.com"),
    ("a.b.c.d.evil.co.uk", "a.b.c.d.evil.co.uk"),
    ("r3---sn-4g5e6n7k.googlevideo.com", "r3---sn-4g5e6n7k.googlevideo.com"),
    ("0--0.ml", "0--0.ml"),
    ("localhost", "localhost"),
    ("evil.notyetatld", "evil.notyetatld"),
    // Defanged.
    ("evil[.]com", "evil.com"),
    ("evil(.)com", "evil.com"),
    ("evil{.}com", "evil.com"),
    ("evil[.com", "evil.com"),
    ("evil[dot]com", "evil.com"),
    ("evil(DOT)com", "evil.com"),
    ("evil [dot] com", "evil.com"),
    ("evil[ . ]com", "evil.com"),
    ("[evil[.]com]", "evil.com"),
    ("hxxp://evil[.]com", "evil.com"),
    ("hxxps://evil(.)com/path?q", "evil.com"),
    ("hXXps[:]//evil[.]com[/]path", "evil.com"),
    ("hxxp[://]evil[.]com", "evil.com"),
    ("h**ps://evil.com", "evil.com"),
    ("h__p://evil.com", "evil.com"),
    // URLs.
    ("https://user:pass@evil.com:8443/a/b?c=d#e", "evil.com"),
    ("ftp://evil.com", "evil.com"),
    ("custom+scheme://evil.com", "evil.com"),
    ("//evil.com/path", "evil.com"),
    ("http:/evil.com", "evil.com"),
    ("http:\\\\evil.com\\path", "evil.com"),
    ("evil.com/path with spaces, and commas", "evil.com"),
    ("evil.com:443", "evil.com"),
    ("evil.com:", "evil.com"),
    ("evil.com?q=a@good.com", "evil.com"),
    ("evil.com#@good.com", "evil.com"),
    ("evil.com/24", "evil.com"),
    // The host that a browser goes to.
    ("http://good.com@evil.com/", "evil.com"),
    ("http://evil.com\\@good.com/", "evil.com"),
    ("https://good.com:443@evil.com", "evil.com"),
    // E-mail.
    ("user@evil.com", "evil.com"),
    ("user[@]evil[.]com", "evil.com"),
    ("user[at]evil[.]com", "evil.com"),
    ("user (at) evil (dot) com", "evil.com"),
    ("mailto:user@evil.com?subject=x", "evil.com"),
    ("Some Name <user@evil.com>", "evil.com"),
    ("user@[192.0.2.1]", "192.0.2.1"),
    ("user@[IPv6:2001:db8::1]", "2001:db8::1"),
    // Internationalised.
    ("bücher.example", "xn--bcher-kva.example"),
    ("BÜCHER.example", "xn--bcher-kva.example"),
    ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
    ("faß.de", "xn--fa-hia.de"),
    ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
    ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
    ("ｅｖｉｌ．ｃｏｍ", "evil.com"),
    ("evil。com。", "evil.com"),
    ("e\u{AD}vil.com", "evil.com"),
    ("http://bücher.de:80/ü", "xn--bcher-kva.de"),
    ("xn--ls8h.la", "xn--ls8h.la"),
    // Below the registrable domain, what resolvers answer.
    ("_dmarc.evil.com", "_dmarc.evil.com"),
    ("bank_login.evil.co.uk", "bank_login.evil.co.uk"),
    ("bank_login.blogspot.com", "bank_login.blogspot.com"),
    ("-user-.github.io", "-user-.github.io"),
    // Private suffixes are sites too.
    ("github.io", "github.io"),
    ("s3.amazonaws.com", "s3.amazonaws.com"),
    // IPv4.
    ("1.2.3.4", "1.2.3.4"),
    ("1[.]2[.]3[.]4", "1.2.3.4"),
    ("1.2.3.4.", "1.2.3.4"),
    ("1.2.3.4:8080", "1.2.3.4"),
    ("hxxp://1.2.3[.]4:80/a", "1.2.3.4"),
    ("http://1.2.3.4/24", "1.2.3.4"),
    ("1.2.3.4/index.html", "1.2.3.4"),
    ("１.２.３.４", "1.2.3.4"),
    // IPv6.
    ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
    ("[2001:db8::1]", "2001:db8::1"),
    ("[2001:db8::1]:443", "2001:db8::1"),
    ("http://[2001:db8::1]:443/64", "2001:db8::1"),
    ("2001[:]db8[:][:]1", "2001:db8::1"),
    ("fe80::1%eth0", "fe80::1"),
    ("http://[fe80::1%25eth0]/", "fe80::1"),
    ("::ffff:1.2.3.4", "1.2.3.4"),
    ("[::ffff:102:304]:80", "1.2.3.4"),
    ("::", "::"),
    ("::1", "::1"),
];

/// Pasted text -> code of the refusal.
const REFUSED: &[(&str, &str)] = &[
    ("", "empty"),
    (" \t\n", "empty"),
    ("\"\"", "empty"),
    ("http://", "no_host"),
    ("http:///?", "no_host"),
    ("user@", "no_host"),
    (":443", "no_host"),
    ("com", "single_label"),
    ("evil", "single_label"),
    ("test", "single_label"),
    ("evil\\.com", "single_label"),
    ("co.uk", "public_suffix"),
    ("http://co.uk/", "public_suffix"),
    ("рф.", "single_label"),
    (".", "label_empty"),
    ("..", "label_empty"),
    (".evil.com", "label_empty"),
    ("evil..com", "label_empty"),
    ("evil.com..", "label_empty"),
    ("1.2.3.4..", "label_empty"),
    ("-evil.com", "label_hyphen"),
    ("evil-.com", "label_hyphen"),
    ("evil_bank.com", "invalid_character"),
    ("bank.no_ip.biz", "invalid_character"),
    ("evil!.com", "invalid_character"),
    ("ev%69l.com", "invalid_character"),
    ("evil.com)", "invalid_character"),
    ("[evil.com", "invalid_character"),
    ("[::1]x", "invalid_character"),
    ("a／b.com", "invalid_character"),
    ("💩.la", "invalid_character"),
    ("i❤.ws", "invalid_character"),
    ("\u{202E}moc.live", "invalid_character"),
    ("evil\0.com", "invalid_character"),
    ("\0", "invalid_character"),
    ("evil.com\nother.com", "invalid_character"),
    ("evil\u{7}.com", "invalid_character"),
    ("evil\u{85}x.com", "invalid_character"),
    ("evil.com other.com", "several"),
    ("evil.com,other.com", "several"),
    ("evil . com", "several"),
    ("mailto:a@evil.com,b@other.com", "several"),
    ("xn--a.com", "invalid_idn"),
    ("xn--.com", "invalid_idn"),
    ("אb.com", "invalid_idn"),
    ("a\u{200D}b.com", "invalid_idn"),
    ("*.evil.com", "wildcard"),
    ("10.0.0.*", "wildcard"),
    ("evil.123", "invalid_tld"),
    ("evil.c", "invalid_tld"),
    ("evil.com-", "invalid_tld"),
    ("1.2.3.0-255", "invalid_tld"),
    ("10.0.0.0/8", "cidr"),
    ("10/8", "cidr"),
    ("10[.]0[.]0[.]0[/]8", "cidr"),
    ("10.0.0.0/255.0.0.0", "cidr"),
    ("2001:db8::/32", "cidr"),
    ("[2001:db8::]/32", "cidr"),
    ("1.2.3.4-1.2.3.9", "cidr"),
    ("010.1.2.3", "ambiguous_address"),
    ("0x7f.0.0.1", "ambiguous_address"),
    ("0x7f000001", "ambiguous_address"),
    ("2130706433", "ambiguous_address"),
    ("127.1", "ambiguous_address"),
    ("256.1.1.1", "invalid_address"),
    ("1.2.3.4.5", "invalid_address"),
    ("1:2:3", "invalid_address"),
    ("2001:db8::1::2", "invalid_address"),
    ("[1:2]", "invalid_address"),
    ("evil.com:99999", "invalid_port"),
    ("evil.com:http", "invalid_port"),
];

#[test]
fn accepted_texts_have_the_expected_normal_form() {
    for (text, name) in ACCEPTED {
        match Entity::parse(text) {
            Ok(entity) => {
                assert_eq!(entity.name(), *name, "{text:?}");
                assert_eq!(Entity::parse(entity.name()).as_ref(), Ok(&entity), "{text:?} a second time");
            }
            Err(refusal) => panic!("{text:?} was refused: {refusal}"),
        }
    }
}

#[test]
fn refused_texts_have_the_expected_code() {
    for (text, code) in REFUSED {
        match Entity::parse(text) {
            Ok(entity) => panic!("{text:?} was accepted as {entity}"),
            Err(refusal) => assert_eq!(refusal.code(), *code, "{text:?}: {refusal}"),
        }
    }
}

#[test]
fn every_code_is_listed_and_produced() {
    let mut produced: Vec<&str> = REFUSED.iter().map(|(_, code)| *code).collect();
    produced.extend(["too_long", "label_too_long"]);
    produced.sort_unstable();
    produced.dedup();
    assert_eq!(produced, Refusal::CODES);
}

#[test]
fn lengths_are_refused_with_value_and_limit() {
    let label = "a".repeat(300);
    let refusal = Entity::parse(&format!("{label}.com")).unwrap_err();
    assert_eq!(refusal, Refusal::LabelTooLong { label: format!("{}…", "a".repeat(80)), length: 300 });
    assert!(refusal.to_string().contains("300") && refusal.to_string().contains("63"));
    let wide = Entity::parse(&format!("{}.com", "ü".repeat(300))).unwrap_err();
    assert_eq!(wide.code(), "label_too_long");

    assert!(Entity::parse(&format!("{}.com", "a".repeat(63))).is_ok());
    assert_eq!(Entity::parse(&format!("{}.com", "a".repeat(64))).unwrap_err().code(), "label_too_long");

    let longest = format!("{}com", "abcdefghi.".repeat(25));
    assert_eq!(longest.len(), MAX_NAME_BYTES);
    assert!(Entity::parse(&longest).is_ok());
    let refusal = Entity::parse(&format!("x{longest}")).unwrap_err();
    assert_eq!(refusal.code(), "too_long");
    assert!(refusal.to_string().starts_with("name of 254 bytes is over the limit of 253"));

    let url = format!("http://evil.com/{}", "x".repeat(2_048 - 16));
    assert!(Entity::parse(&url).is_ok());
    let refusal = Entity::parse(&format!("{url}x")).unwrap_err();
    assert_eq!(refusal, Refusal::TextTooLong { bytes: 2_049 });
    assert_eq!(refusal.code(), "too_long");
}

#[test]
fn refusals_cannot_act_on_a_terminal() {
    let refusal = Entity::parse("a\u{202E}b\u{2066}.com").unwrap_err().to_string();
    assert!(!refusal.contains(['\u{202E}', '\u{2066}']), "{refusal}");
    assert!(refusal.contains("U+202E"), "{refusal}");
    let refusal = Entity::parse("evil_bank.com").unwrap_err().to_string();
    assert!(refusal.contains("`_` (U+005F)") && refusal.contains("underscore"), "{refusal}");
    let refusal = Entity::parse("💩.la").unwrap_err().to_string();
    assert!(refusal.contains("U+1F4A9") && refusal.contains("`xn--ls8h.la`"), "{refusal}");
}

#[test]
fn parts_follow_the_public_suffix_list() {
    // Name, registrable domain, public suffix, whether the suffix is private.
    let cases = [
        ("www.evil.com", Some("evil.com"), Some("com"), false),
        ("a.b.evil.co.uk", Some("evil.co.uk"), Some("co.uk"), false),
        ("www.user.github.io", Some("user.github.io"), Some("github.io"), true),
        ("user.github.io", Some("user.github.io"), Some("github.io"), true),
        ("github.io", Some("github.io"), Some("io"), false),
        ("s3.dualstack.us-east-1.amazonaws.com", Some("amazonaws.com"), Some("com"), false),
        ("www.пример.рф", Some("xn--e1afmkfd.xn--p1ai"), Some("xn--p1ai"), false),
        ("shop.食狮.公司.cn", Some("xn--85x722f.xn--55qx5d.cn"), Some("xn--55qx5d.cn"), false),
        ("foo.bar.ck", Some("foo.bar.ck"), Some("bar.ck"), false),
        ("www.ck", Some("www.ck"), Some("ck"), false),
        ("x.evil.notyetatld", Some("evil.notyetatld"), Some("notyetatld"), false),
        ("localhost", None, None, false),
        ("1.2.3.4", None, None, false),
    ];
    for (text, registrable, suffix, private) in cases {
        let entity = Entity::parse(text).unwrap();
        assert_eq!(entity.registrable_domain(), registrable, "{text}");
        assert_eq!(entity.public_suffix(), suffix, "{text}");
        assert_eq!(entity.suffix_is_private(), private, "{text}");
    }
}

#[test]
fn kind_labels_and_display_form() {
    let domain = Entity::parse("www.BÜCHER.de").unwrap();
    assert_eq!((domain.kind(), domain.address()), (Kind::Domain, None));
    assert_eq!(domain.labels().collect::<Vec<_>>(), ["www", "xn--bcher-kva", "de"]);
    assert_eq!(domain.unicode(), "www.bücher.de");
    let address = Entity::parse("192.0.2.1").unwrap();
    assert_eq!((address.kind(), address.address()), (Kind::Ip, Some([192, 0, 2, 1].into())));
    assert_eq!((address.labels().count(), address.unicode().as_str()), (0, "192.0.2.1"));
}

#[test]
fn set_aside_names_and_addresses_are_flagged() {
    use SpecialUse as S;
    let cases = [
        (S::Localhost, &["localhost", "api.localhost", "LOCALHOST:3000"][..]),
        (S::Test, &["evil.test", "a.b.test"]),
        (S::Example, &["foo.example", "example.com", "www.example.net", "example.org"]),
        (S::Invalid, &["foo.invalid"]),
        (S::Local, &["printer.local", "_http._tcp.local"]),
        (S::Onion, &["facebookwkhpilnemxj7asaniu7vnjjbiltxjqhye3mhbshg7kx5tfyd.onion"]),
        (S::HomeArpa, &["home.arpa", "router.home.arpa"]),
        (S::Internal, &["db.corp.internal"]),
        (S::Alt, &["wallet.alt"]),
        (
            S::Infrastructure,
            &["ipv4only.arpa", "1.0.0.10.in-addr.arpa", "5.31.172.in-addr.arpa", "0.8.e.f.ip6.arpa"],
        ),
        (S::Private, &["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "::ffff:10.0.0.1"]),
        (S::Loopback, &["127.0.0.1", "127.255.0.9", "::1"]),
        (S::LinkLocal, &["169.254.169.254", "fe80::1%eth0", "febf::1"]),
        (S::Multicast, &["224.0.0.1", "239.255.255.250", "ff02::fb"]),
        (S::Documentation, &["192.0.2.1", "198.51.100.7", "203.0.113.9", "2001:db8::1", "3fff:fff::1"]),
        (
            S::Reserved,
            &[
                "0.1.2.3",
                "192.0.0.1",
                "240.0.0.1",
                "100::1",
                "5f00::1",
                "fec0::1",
                "::1.2.3.4",
                "64:ff9b:1::1",
            ],
        ),
        (S::Unspecified, &["0.0.0.0", "::"]),
        (S::Broadcast, &["255.255.255.255"]),
        (S::Shared, &["100.64.0.1", "100.127.255.255"]),
        (S::UniqueLocal, &["fc00::1", "fd12:3456::1"]),
        (S::Benchmarking, &["198.18.0.1", "198.19.255.1", "2001:2::1"]),
    ];
    let flagged: Vec<SpecialUse> = cases.iter().map(|(special, _)| *special).collect();
    assert_eq!(flagged, SpecialUse::ALL);
    for (special, texts) in cases {
        for text in texts {
            assert_eq!(Entity::parse(text).unwrap().special(), Some(special), "{text}");
        }
        assert_eq!(serde_json::to_value(special).unwrap(), special.as_str());
    }
}

#[test]
fn neighbours_of_set_aside_ones_are_not_flagged() {
    let texts = [
        "mylocalhost.com",
        "example.co.uk",
        "notexample.com",
        "example.com.evil.net",
        "onion.com",
        "test.com",
        "nothome.arpa",
        "4.3.2.1.in-addr.arpa",
        "5.32.172.in-addr.arpa",
        "1.110.in-addr.arpa",
        "9.255.255.255",
        "11.0.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "192.167.0.1",
        "100.63.0.1",
        "100.128.0.1",
        "192.0.0.9",
        "192.0.3.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "128.0.0.1",
        "8.8.8.8",
        "2606:4700:4700::1111",
        "2001:4860:4860::8888",
        "64:ff9b::808:808",
        "3fff:1000::1",
    ];
    for text in texts {
        assert_eq!(Entity::parse(text).unwrap().special(), None, "{text}");
    }
}

/// Texts that look like what is pasted, and often nearly are.
fn pasted() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9_-]{0,8}",
        1 => "[a-zA-Z0-9]{60,66}",
        6 => proptest::sample::select(vec![
            ".", "[.]", "(dot)", "://", "hxxp", "https", "@", ":", "/", "\\", "?", "#", "[", "]", "%", "::", "xn--",
            "com", "co.uk", "github.io", "localhost", "127.0.0.1", "0x7f", "ffff", "ü", "ß", "。", "．", "💩", "\u{200D}",
            "א", "م", "१", "\u{301}", "*", " ", ",", "\0", "bcher-kva", "www", "арр", "１", "K", "ſ", "İ",
        ]).prop_map(String::from),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Internationalised names, most of which are valid.
fn international() -> impl Strategy<Value = String> {
    "[a-zà-ÿα-ωа-яァ-ヺ一-丠]{1,12}\\.[a-zà-ÿа-я]{1,8}\\.(com|рф|公司|co\\.uk)"
}

fn check_properties(text: &str) -> Result<(), TestCaseError> {
    match Entity::parse(text) {
        Ok(entity) => {
            let name = entity.name();
            prop_assert!(name.is_ascii() && !name.is_empty() && name.len() <= MAX_NAME_BYTES, "{:?}", name);
            prop_assert!(!name.bytes().any(|b| b.is_ascii_uppercase()), "{:?}", name);
            let again = Entity::parse(name);
            prop_assert_eq!(again.as_ref(), Ok(&entity));
            prop_assert_eq!(entity.address().is_some(), entity.kind() == Kind::Ip);
            if let Some(registrable) = entity.registrable_domain() {
                let suffix = entity.public_suffix().unwrap_or_default();
                let inside = name.ends_with(registrable) && registrable.ends_with(suffix);
                prop_assert!(inside, "{:?} {:?} {:?}", name, registrable, suffix);
                prop_assert_eq!(registrable.matches('.').count(), suffix.matches('.').count() + 1);
                prop_assert_eq!(entity.labels().count(), name.matches('.').count() + 1);
            }
        }
        Err(refusal) => {
            prop_assert!(Refusal::CODES.contains(&refusal.code()));
            let message = refusal.to_string();
            prop_assert!(message.len() < 1_200 && !message.contains(char::is_control), "{:?}", message);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_an_entity_or_a_refusal(text in any::<String>()) {
        check_properties(&text)?;
    }

    #[test]
    fn pasted_text_is_an_entity_or_a_refusal(text in pasted()) {
        check_properties(&text)?;
    }

    #[test]
    fn international_names_read_the_same_in_either_form(text in international()) {
        check_properties(&text)?;
        if let Ok(entity) = Entity::parse(&text) {
            prop_assert_eq!(Entity::parse(&entity.unicode()), Ok(entity));
        }
    }

    #[test]
    fn addresses_round_trip(bits in any::<u128>(), short in any::<u32>()) {
        let v6 = std::net::Ipv6Addr::from(bits);
        check_properties(&v6.to_string())?;
        prop_assert_eq!(Entity::parse(&format!("http://[{v6}]:1/")), Entity::parse(&v6.to_string()));
        let v4 = std::net::Ipv4Addr::from(short);
        let name = v4.to_string();
        let entity = Entity::parse(&name).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(entity.name(), name.as_str());
        let mapped = Entity::parse(&format!("[{}]", v4.to_ipv6_mapped()));
        prop_assert_eq!(mapped, Ok(entity));
    }
}

/// The first column of the tables of `docs/entities.md` that begin with `heading`.
fn documented(heading: &str) -> Vec<String> {
    let page = include_str!("../../../../docs/entities.md");
    page.split_once(&format!("| {heading} |"))
        .unwrap()
        .1
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .flat_map(|line| line.split('|').nth(1).unwrap().split(','))
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect()
}

#[test]
fn the_documentation_names_every_code_and_every_special_use() {
    assert_eq!(documented("code | when"), Refusal::CODES);
    let mut special = documented("special | names and addresses");
    special.sort();
    let mut known: Vec<&str> = SpecialUse::ALL.iter().map(|s| s.as_str()).collect();
    known.sort_unstable();
    assert_eq!(special, known);
}
