//! What only the domain name system can answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_server::proto::rr::RecordType;
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tribunal_core::{AddressFacts, Entity};
use tribunal_sources::config::SourceConfig;
use tribunal_sources::source::{Replies, Reply, Subject};
use tribunal_sources::{FactsOf, OpenError, Source, SourceError, open_dns};

use crate::dns_server::{DnsServer, SERVFAIL, SILENT, name_server, record};

fn opened(toml: &str) -> Result<Box<dyn Source>, OpenError> {
    let config: SourceConfig = toml::from_str(toml).unwrap_or_else(|error| panic!("{toml}: {error}"));
    let facts_of: FactsOf = Arc::new(|address| match address {
        IpAddr::V4(v4) if v4.octets()[0] == 192 => Some(facts(64_500, "Example Hosting", "NL")),
        IpAddr::V4(_) => Some(facts(64_501, "Other Networks", "DE")),
        IpAddr::V6(_) => None,
    });
    open_dns(&config, facts_of)
}

fn facts(asn: u32, as_name: &str, country: &str) -> AddressFacts {
    let (as_name, country) = (Some(as_name.to_owned()), Some(country.to_owned()));
    AddressFacts { asn: Some(asn), as_name, country, ..AddressFacts::default() }
}

fn source_at(at: SocketAddr, dns: &str) -> Box<dyn Source> {
    opened(&format!("concurrency = 4\ntimeout_ms = 600\n[dns]\nresolvers = ['{at}']\n{dns}")).unwrap()
}

fn source(server: &DnsServer, dns: &str) -> Box<dyn Source> {
    source_at(server.address, dns)
}

async fn ask(source: &dyn Source, names: &[&str]) -> (Result<(), SourceError>, Vec<Option<Reply>>) {
    let entities: Vec<_> = names.iter().map(|name| Entity::parse(name).unwrap()).collect();
    let subjects: Vec<_> = entities.iter().map(|entity| Subject { entity, facts: None }).collect();
    let replies = Replies::new(subjects.len());
    let result = source.ask(&subjects, &replies).await;
    (result, replies.into_inner())
}

/// The row about one name.
async fn row(source: &dyn Source, name: &str) -> Value {
    let (result, mut replies) = ask(source, &[name]).await;
    result.unwrap();
    let mut record = replies.remove(0).expect("a reply").unwrap();
    assert_eq!(record.rows.len(), 1);
    record.rows.remove(0)
}

fn zone() -> DnsServer {
    let lines = [
        "evil.com 300 A 198.51.100.7",
        "evil.com 300 A 192.0.2.2",
        "evil.com 60 AAAA 2001:db8::1",
        "evil.com 86400 NS ns2.evil.com",
        "evil.com 86400 NS NS1.evil.com",
        "evil.com 3600 MX mail.evil.com",
        "evil.com 120 TXT v=spf1 -all",
        "evil.com 120 TXT another",
        "www.evil.com 30 CNAME cdn.evil.com",
        "cdn.evil.com 600 CNAME evil.com",
        "loop.com 300 CNAME pool.com",
        "pool.com 300 CNAME loop.com",
        "gone.com 300 CNAME nobody.com",
        "odd.com 300 TXT $where",
        "nomail.com 300 MX .",
        "only-text.com 300 TXT x",
    ];
    let mut records: Vec<_> = lines.into_iter().map(record).collect();
    records.extend((0..200).map(|i| record(&format!("many.com 5 A 10.0.0.{i}"))));
    records.push(name_server("odd.com", &[b"a.b \0\x80", b"odd", b"com"]));
    DnsServer::start(records)
}

#[tokio::test]
async fn one_row_about_a_name() {
    let server = zone();
    let expected = json!({
        "nxdomain": false, "a_count": 2, "aaaa_count": 1, "ns_count": 2, "mx_count": 1, "txt_count": 2,
        "cname_count": 0, "cnames": [], "ttl_min": 60, "ttl_max": 300, "ns_ttl": 86_400, "mx_ttl": 3_600,
        "txt_ttl": 120, "addresses": ["192.0.2.2", "198.51.100.7", "2001:db8::1"], "asns": [64_500, 64_501],
        "as_names": ["Example Hosting", "Other Networks"], "countries": ["DE", "NL"],
        "name_servers": ["ns1.evil.com", "ns2.evil.com"], "mx": ["mail.evil.com"],
    });
    let source = source(&server, "");
    assert_eq!(row(&*source, "evil.com").await, expected);
    assert!(server.questions().iter().all(|question| !question.over_tcp && question.name == "evil.com"));
    assert_eq!(server.questions().len(), 5);
}

#[tokio::test]
async fn aliases_are_followed_and_hosts_have_the_domains_name_servers() {
    let server = zone();
    let found = row(&*source(&server, ""), "www.evil.com").await;
    assert_eq!(found["cnames"], json!(["cdn.evil.com", "evil.com"]));
    assert_eq!(
        (&found["cname_count"], &found["a_count"], &found["ns_count"]),
        (&json!(2), &json!(2), &json!(2))
    );
    assert_eq!((&found["ttl_min"], &found["ttl_max"]), (&json!(30), &json!(600)));
    let of_servers = server.questions().into_iter().find(|question| question.kind == RecordType::NS).unwrap();
    assert_eq!(of_servers.name, "evil.com");
}

#[tokio::test]
async fn no_name_and_no_data_are_answers() {
    let server = zone();
    let source = source(&server, "");
    let found = row(&*source, "nobody.com").await;
    assert_eq!(
        found,
        json!({
            "nxdomain": true, "a_count": 0, "aaaa_count": 0, "ns_count": 0, "mx_count": 0, "txt_count": 0,
            "cname_count": 0, "cnames": [], "addresses": [], "asns": [], "as_names": [], "countries": [],
            "name_servers": [], "mx": [],
        })
    );
    let found = row(&*source, "only-text.com").await;
    assert_eq!(
        (&found["nxdomain"], &found["a_count"], &found["txt_count"]),
        (&json!(false), &json!(0), &json!(1))
    );
    assert_eq!((found.get("ttl_min"), &found["txt_ttl"]), (None, &json!(300)));
    let found = row(&*source, "nomail.com").await;
    assert_eq!((&found["mx_count"], &found["mx"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn odd_zones_have_rows() {
    let server = zone();
    let source = source(&server, "");
    let found = row(&*source, "odd.com").await;
    assert_eq!(found["name_servers"], json!(["a\\.b\\032\\000\\128.odd.com"]));
    assert_eq!((&found["txt_count"], found.get("txt")), (&json!(1), None));
    // Aliases that lead to each other, or to no name.
    assert_eq!(row(&*source, "loop.com").await["a_count"], 0);
    let found = row(&*source, "gone.com").await;
    assert_eq!((&found["a_count"], &found["addresses"]), (&json!(0), &json!([])));
    let longest = format!("{0}.{0}.{0}.{1}.com", "a".repeat(63), "b".repeat(57));
    assert_eq!(longest.len(), 253);
    assert_eq!(row(&*source, &longest).await["nxdomain"], true);
}

#[tokio::test]
async fn only_what_is_declared_is_asked() {
    let server = zone();
    let source = source(&server, "records = ['MX', 'MX']");
    assert_eq!(
        row(&*source, "evil.com").await,
        json!({"nxdomain": false, "mx_count": 1, "mx_ttl": 3_600, "mx": ["mail.evil.com"]})
    );
    assert_eq!(server.questions().len(), 1);
    // Nothing is appended to a name that is not there, and nobody is asked about addresses.
    let (result, replies) = ask(&*source, &["nobody.com", "192.0.2.1", "2001:db8::1"]).await;
    result.unwrap();
    let rows: Vec<_> = replies.into_iter().map(|reply| reply.unwrap().unwrap().rows.len()).collect();
    assert_eq!((rows, server.questions().len()), (vec![1, 0, 0], 2));
}

#[tokio::test]
async fn large_answers_come_over_tcp_and_lists_are_bounded() {
    let server = zone();
    let found = row(&*source(&server, "records = ['A']"), "many.com").await;
    assert_eq!(found["a_count"], 200);
    assert_eq!(found["addresses"].as_array().unwrap().len(), 64);
    let over_tcp: Vec<_> = server.questions().iter().map(|question| question.over_tcp).collect();
    assert_eq!(over_tcp, [false, true]);
    let before = server.questions().len();
    row(&*source(&server, "records = ['A']\ntcp = true"), "evil.com").await;
    assert!(server.questions()[before..].iter().all(|question| question.over_tcp));
}

#[tokio::test]
async fn a_failing_name_is_its_own_error() {
    let server = zone();
    let (result, replies) =
        ask(&*source(&server, ""), &["evil.com", SERVFAIL, "www.evil.com", SILENT, "nobody.com"]).await;
    result.unwrap();
    let outcomes: Vec<_> = replies
        .iter()
        .map(|reply| match reply.as_ref().expect("a reply") {
            Ok(record) => record.rows.len().to_string(),
            Err(error) => error.to_string(),
        })
        .collect();
    assert_eq!(outcomes, ["1", "answers with failure SERVFAIL", "1", "no answer within 600 ms", "1"]);
}

#[tokio::test]
async fn a_resolver_that_refuses_is_left_alone() {
    let server = zone();
    let source = source(&server, "records = ['A']");
    // The server has no zone `net`, and does not ask others.
    let names: Vec<String> = (0..50).map(|i| format!("n{i}.net")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (result, replies) = ask(&*source, &names).await;
    assert_eq!(result.unwrap_err().code(), "refused");
    assert!(replies.iter().all(|reply| !matches!(reply, Some(Ok(_)))));
    assert!(server.questions().len() <= 8, "{}", server.questions().len());
}

#[tokio::test]
async fn a_resolver_that_is_gone_and_back() {
    let server = zone();
    let source = source(&server, "tcp = true");
    assert_eq!(row(&*source, "evil.com").await["a_count"], 2);
    server.kill();
    let names = ["evil.com"; 20];
    let (result, _) = ask(&*source, &names).await;
    assert_eq!(result.unwrap_err().code(), "unreachable");
    server.restart();
    assert_eq!(row(&*source, "evil.com").await["a_count"], 2);
}

/// Over UDP nobody says that a resolver is gone: it is late, for as long as it is away and no longer.
#[tokio::test]
async fn a_resolver_that_is_gone_over_udp_and_back() {
    let server = zone();
    let source = source(&server, "");
    assert_eq!(row(&*source, "evil.com").await["a_count"], 2);
    server.kill();
    let (result, replies) = ask(&*source, &["evil.com"]).await;
    result.unwrap();
    let Some(Err(error)) = &replies[0] else { panic!("{replies:?}") };
    assert_eq!(error.code(), "timeout");
    server.restart();
    assert_eq!(row(&*source, "evil.com").await["a_count"], 2);
}

#[tokio::test]
async fn the_next_resolver_is_asked_when_one_is_gone() {
    let (gone, server) = (zone(), zone());
    gone.kill();
    let at = format!("resolvers = ['{}', '{}']\ntcp = true", gone.address, server.address);
    let source = opened(&format!("[dns]\n{at}")).unwrap();
    assert_eq!(row(&*source, "evil.com").await["a_count"], 2);
    assert_eq!(server.questions().len(), 5);
}

#[tokio::test]
async fn nonsense_is_not_an_answer() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let nonsense = tokio::spawn(async move {
        let mut question = [0; 1_024];
        loop {
            let (length, from) = socket.recv_from(&mut question).await.unwrap();
            // The identifier and header of an answer, and then no question but a pointer to itself.
            let mut answer = question[..length].to_vec();
            answer[2] |= 0x80;
            answer.truncate(12);
            answer[6..8].copy_from_slice(&[0xff, 0xff]);
            answer.extend([0xc0, 0x0c]);
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    let (_, replies) = ask(&*source_at(at, ""), &["evil.com"]).await;
    let Some(Err(error)) = &replies[0] else { panic!("{replies:?}") };
    assert_eq!(error.code(), "malformed");
    nonsense.abort();
}

#[tokio::test]
async fn declarations_that_cannot_be_opened() {
    for (dns, key) in [
        ("resolvers = ['dns.example.com:53']", "dns.resolvers"),
        ("resolvers = ['192.0.2.1:port']", "dns.resolvers"),
        ("resolvers = ['1', '2', '3', '4', '5', '6', '7', '8', '9']", "dns.resolvers"),
        ("records = []", "dns.records"),
    ] {
        assert_eq!(opened(&format!("[dns]\n{dns}")).unwrap_err().key, key, "{dns}");
    }
    for dns in [
        "resolvers = ['192.0.2.1', '[2001:db8::1]:5353', '2001:db8::1']",
        "records = ['A']\nresolvers = ['192.0.2.1']",
    ] {
        opened(&format!("[dns]\n{dns}")).unwrap();
    }
}
