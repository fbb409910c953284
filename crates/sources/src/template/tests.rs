//! A value stays one value, whatever it says.

use proptest::prelude::*;

use super::*;

fn one(text: &str) -> Values<'_> {
    Values { entity: Some(text), registrable_domain: Some(text), tld: Some(text), entities: &[] }
}

fn url(text: &str) -> UrlTemplate {
    UrlTemplate::parse(text).unwrap()
}

#[test]
fn a_plain_url() {
    let template = url("https://api.example.com:8443/v1/{entity}/of/{registrable_domain}?t={tld}&full=1");
    let values = Values {
        entity: Some("www.evil.co.uk"),
        registrable_domain: Some("evil.co.uk"),
        tld: Some("uk"),
        entities: &[],
    };
    assert_eq!(
        template.render(&values).unwrap().as_str(),
        "https://api.example.com:8443/v1/www.evil.co.uk/of/evil.co.uk?t=uk&full=1"
    );
    let many = url("https://a.example/?q={entities}&x=1");
    let values = Values { entities: &["a.com", "2001:db8::1", "b&c.com"], ..Values::default() };
    assert_eq!(
        many.render(&values).unwrap().as_str(),
        "https://a.example/?q=a.com,2001%3Adb8%3A%3A1,b%26c.com&x=1"
    );
}

#[test]
fn hosts_are_fixed() {
    for (text, reason) in [
        ("https://{entity}/", "host is fixed"),
        ("https://{entity}.api.example/", "host is fixed"),
        ("https://api.example:{tld}/", "host is fixed"),
        ("https://{entity}@api.example/", "host is fixed"),
        ("https://user:password@api.example/{entity}", "no user or password"),
        ("{entity}://api.example/", "must begin"),
        ("HTTPS://api.example/{entity}", "must begin"),
        ("ftp://api.example/{entity}", "must begin"),
        ("https:///{entity}", "host"),
        ("https://?q={entity}", "host"),
        ("https://api.example\\{entity}", "host is fixed"),
        ("https://api.example/\\{entity}", "must be percent-encoded"),
        ("https://api.example\t/{entity}", "must be percent-encoded"),
        ("https://api.example/{entity}#{tld}", "fragment"),
        ("https://api.example/{host}", "{host} is no variable"),
        ("https://api.example/{entity", "no variable"),
        ("https://api.example/entity}", "must be percent-encoded"),
        ("https://api.example/a/../{entity}", "leads elsewhere"),
        ("https://api.example/a/%2E./{entity}", "leads elsewhere"),
        ("https://api.example/100%/{entity}", "two hexadecimal digits"),
        ("https://api.example:99999/{entity}", "port"),
    ] {
        let error = UrlTemplate::parse(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn dots_are_refused_where_they_would_be_a_segment() {
    let segment = url("https://api.example/v1/{entity}/facts");
    for text in [".", ".."] {
        assert_eq!(segment.render(&one(text)).unwrap_err(), Unrenderable::DotSegment);
    }
    let partly = url("https://api.example/v1/.{entity}");
    assert_eq!(partly.render(&one(".")).unwrap_err(), Unrenderable::DotSegment);
    assert_eq!(partly.render(&one("")).unwrap_err(), Unrenderable::DotSegment);
    assert_eq!(url("https://api.example/v1?q={entity}").render(&one("..")).unwrap().query(), Some("q=.."));
    // Already encoded by whoever pasted it: the percent sign itself is encoded.
    assert_eq!(segment.render(&one("%2e%2e")).unwrap().path(), "/v1/%252e%252e/facts");
}

#[test]
fn what_is_not_there_is_not_guessed() {
    let template = url("https://api.example/{registrable_domain}");
    let values = Values { entity: Some("192.0.2.1"), ..Values::default() };
    assert_eq!(template.render(&values).unwrap_err(), Unrenderable::NoValue(Variable::RegistrableDomain));
    let long = "a".repeat(MAX_URL_BYTES);
    assert_eq!(template.render(&one(&long)).unwrap_err(), Unrenderable::TooLong);
}

#[test]
fn a_body() {
    let template = BodyTemplate::parse(
        r#"{"indicator": {entity}, "of": [{registrable_domain}, "{tld}"], "many": {entities}, "text": "{x} \"{\" 1"}"#,
    )
    .unwrap();
    let values = Values { entities: &["a.com", "b\"],.com"], ..one("\"},\"admin\":true,{\"") };
    let body = template.render(&values).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "indicator": "\"},\"admin\":true,{\"",
            "of": ["\"},\"admin\":true,{\"", "\"},\"admin\":true,{\""],
            "many": ["a.com", "b\"],.com"],
            "text": "{x} \"{\" 1",
        })
    );
    assert_eq!(
        template.variables(),
        // serde_json orders the fields of an object by name.
        [Variable::Entity, Variable::Entities, Variable::RegistrableDomain, Variable::Tld]
    );
}

#[test]
fn bodies_that_would_be_syntax_are_refused() {
    for (text, reason) in [
        (r#"{"query": "{ host(name: \"{entity}\") }"}"#, "whole value"),
        (r#"{"{entity}": 1}"#, "not a name"),
        (r#"{ {entity}: 1 }"#, "not a name"),
        (r#"{"a": {entity}"#, "not JSON"),
        (r#"entity={entity}"#, "not JSON"),
        (r#"{"a": {domain}}"#, "not JSON"),
    ] {
        let error = BodyTemplate::parse(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

proptest! {
    #[test]
    fn any_text_is_one_path_segment(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}|[./%2eE\\\\?#&=@:]{0,8}") {
        let template = url("https://api.example:8443/v1/{entity}/facts?full=1");
        match template.render(&one(&text)) {
            Ok(url) => {
                prop_assert_eq!(url.host_str(), Some("api.example"));
                prop_assert_eq!((url.scheme(), url.port(), url.username()), ("https", Some(8443), ""));
                let segments: Vec<&str> = url.path_segments().unwrap().collect();
                prop_assert_eq!(segments.len(), 3);
                prop_assert_eq!((segments[0], segments[2]), ("v1", "facts"));
                prop_assert_eq!(decoded(segments[1]), text);
                prop_assert_eq!((url.query(), url.fragment()), (Some("full=1"), None));
            }
            Err(error) => {
                prop_assert_eq!(error, Unrenderable::DotSegment);
                prop_assert!(text == "." || text == "..", "{:?}", text);
            }
        }
    }

    #[test]
    fn any_text_is_one_query_value(text in any::<String>(), other in "[&=#+ %;a]{0,12}") {
        let url = url("https://api.example/search?q={entity}&r={registrable_domain}&z=1");
        let values = Values { registrable_domain: Some(&other), ..one(&text) };
        let url = url.render(&values).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        prop_assert_eq!(pairs, [
            ("q".to_owned(), text), ("r".to_owned(), other), ("z".to_owned(), "1".to_owned()),
        ]);
        prop_assert_eq!((url.host_str(), url.path(), url.fragment()), (Some("api.example"), "/search", None));
    }

    #[test]
    fn any_texts_are_one_list(texts in prop::collection::vec(any::<String>(), 0..6)) {
        let entities: Vec<&str> = texts.iter().map(String::as_str).collect();
        let values = Values { entities: &entities, ..Values::default() };
        let url = url("https://api.example/search?q={entities}").render(&values).unwrap();
        let list = url.query().unwrap().strip_prefix("q=").unwrap();
        let back: Vec<String> = if entities.is_empty() { Vec::new() } else { list.split(',').map(decoded).collect() };
        prop_assert_eq!(back, texts.clone());
        let bytes: usize = texts.iter().map(|text| UrlTemplate::encoded_bytes(text) + 1).sum();
        prop_assert_eq!(list.len(), bytes.saturating_sub(1));
    }

    #[test]
    fn any_text_is_one_json_string(text in any::<String>(), more in prop::collection::vec(any::<String>(), 0..4)) {
        let template = BodyTemplate::parse(r#"{"a": {entity}, "b": {"c": {entities}}, "d": "{tld}"}"#).unwrap();
        let entities: Vec<&str> = more.iter().map(String::as_str).collect();
        let body = template.render(&Values { entities: &entities, ..one(&text) }).unwrap();
        let back: Value = serde_json::from_slice(&serde_json::to_vec(&body).unwrap()).unwrap();
        prop_assert_eq!(back, serde_json::json!({"a": text, "b": {"c": more}, "d": text}));
    }

    #[test]
    fn no_template_panics(text in any::<String>(), tail in "[{}a-z:/?#@%.\"\\\\]{0,30}") {
        for text in [text, format!("https://{tail}"), format!("https://h/{tail}{{entity}}")] {
            if let Ok(template) = UrlTemplate::parse(&text) {
                let _ = template.render(&one("x"));
            }
            if let Ok(template) = BodyTemplate::parse(&text) {
                let _ = template.render(&one("x"));
            }
        }
    }
}
