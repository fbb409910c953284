//! The declarations of docs/sources-http.md and docs/sources-dns.md, as they stand there.

use std::sync::Arc;

use serde_json::json;
use tribunal_sources::config::{Declaration, SourceConfig};
use tribunal_sources::secret::SecretStore;
use tribunal_sources::{Source, open_dns, open_server};

use crate::http_ask::{PASSWORD, Rotating, ask};
use crate::http_server::{self as server, HttpServer, reply};

const PAGES: [&str; 2] =
    [include_str!("../../../../docs/sources-http.md"), include_str!("../../../../docs/sources-dns.md")];

/// The sources of all examples, by name.
fn examples() -> Vec<(String, SourceConfig)> {
    let blocks = PAGES.into_iter().flat_map(|page| page.split("```toml\n").skip(1));
    let texts = blocks.map(|block| block.split("```").next().unwrap());
    let whole = texts.filter(|text| text.contains("[sources."));
    whole
        .flat_map(|text| {
            toml::from_str::<Declaration>(text).unwrap_or_else(|e| panic!("{text}: {e}")).sources
        })
        .collect()
}

fn opened(config: &SourceConfig) -> Box<dyn Source> {
    let secrets: Arc<dyn SecretStore> = Rotating::new(&[PASSWORD]);
    match &config.dns {
        Some(_) => open_dns(config, Arc::new(|_| None)).unwrap(),
        None => open_server(config, &secrets).unwrap(),
    }
}

#[test]
fn every_example_can_be_opened() {
    let examples = examples();
    assert!(examples.len() >= 6, "{}", examples.len());
    for (name, config) in examples {
        let source = opened(&config);
        assert!(source.subjects_per_request() >= 1 && !config.features.is_empty(), "{name}");
    }
}

/// The form of RFC 9083, of which a registry shows no more.
fn domain(name: &str) -> serde_json::Value {
    json!({
        "objectClassName": "domain", "handle": "2336799_DOMAIN_COM-VRSN", "ldhName": name.to_uppercase(),
        "status": ["client delete prohibited", "client transfer prohibited"],
        "events": [
            {"eventAction": "registration", "eventDate": "2026-11-20T04:00:00Z"},
            {"eventAction": "expiration", "eventDate": "2027-11-20T04:00:00Z"},
            {"eventAction": "last changed", "eventDate": "2026-11-21T07:01:38Z"},
        ],
        "secureDNS": {"delegationSigned": false},
    })
}

#[tokio::test]
async fn registration_data() {
    let server = HttpServer::start(|seen| match seen.target.as_str() {
        "/com/v1/domain/evil.com" => server::json(&domain("evil.com")),
        "/com/v1/domain/sub.blogspot.com" => reply(400, "{\"errorCode\": 400}"),
        _ => reply(404, "{\"errorCode\": 404}"),
    });
    let (_, mut config) = examples().into_iter().find(|(name, _)| name == "registration").unwrap();
    let http = config.http.as_mut().unwrap();
    http.url = http.url.replace("https://rdap.verisign.com", &format!("http://{}", server.address));
    (http.tls, http.allow_private) = (false, true);
    let source = opened(&config);
    let names = ["login.evil.com", "evil.com", "nobody.net", "sub.blogspot.com", "other.org"];
    let records = ask(&*source, &names).await.records();
    assert_eq!(
        records[0].rows[0],
        json!({"eventAction": "registration", "eventDate": "2026-11-20T04:00:00Z"})
    );
    let rows: Vec<_> = records.iter().map(|record| record.rows.len()).collect();
    assert_eq!(rows, [3, 3, 0, 0, 0]);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(server.requests()[0].header("accept"), Some("application/rdap+json"));
}
