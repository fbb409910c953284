//! What only an HTTP service can do to its client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tribunal_core::Entity;
use tribunal_sources::config::SourceConfig;
use tribunal_sources::secret::{Secret, SecretStore};
use tribunal_sources::source::{Cause, Record, Replies, Reply, Subject};
use tribunal_sources::{OpenError, Source, SourceError, open_server};

use crate::http_server::{self as server, HttpServer, Seen, reply, reply_with};

const PASSWORD: &str = "hunter2-secret";

/// Secrets that change each time they are read, until the last.
#[derive(Debug)]
struct Rotating {
    texts: Vec<&'static str>,
    read: AtomicUsize,
}

impl Rotating {
    fn new(texts: &[&'static str]) -> Arc<Self> {
        Arc::new(Self { texts: texts.to_vec(), read: AtomicUsize::new(0) })
    }
}

#[async_trait::async_trait]
impl SecretStore for Rotating {
    async fn secret(&self, _: &str) -> Result<Secret, Cause> {
        let at = self.read.fetch_add(1, Ordering::SeqCst).min(self.texts.len() - 1);
        Ok(Secret::new(self.texts[at].to_owned()))
    }
}

fn opened(toml: &str, secrets: Arc<impl SecretStore + 'static>) -> Result<Box<dyn Source>, OpenError> {
    let secrets: Arc<dyn SecretStore> = secrets;
    let config: SourceConfig = toml::from_str(toml).unwrap_or_else(|error| panic!("{toml}: {error}"));
    open_server(&config, &secrets)
}

/// A source on a server of the test, with keys of `[http]` and, before them, of the source.
fn source_with(server: &HttpServer, path: &str, http: &str, source: &str) -> Box<dyn Source> {
    let at = server.address;
    let toml =
        format!("{source}\n[http]\nurl = 'http://{at}{path}'\ntls = false\nallow_private = true\n{http}");
    opened(&toml, Rotating::new(&[PASSWORD])).unwrap()
}

fn source(server: &HttpServer, path: &str, http: &str) -> Box<dyn Source> {
    source_with(server, path, http, "concurrency = 1")
}

struct Asked {
    result: Result<(), SourceError>,
    replies: Vec<Option<Reply>>,
}

impl Asked {
    /// Records of all subjects, none of which failed.
    fn records(self) -> Vec<Record> {
        self.result.unwrap();
        self.replies.into_iter().map(|reply| reply.expect("a reply").unwrap()).collect()
    }

    /// What each subject has, in short: the number of rows, or the code of its error or of the batch's.
    fn outcomes(&self) -> Vec<String> {
        let of = |reply: &Option<Reply>| match (reply, &self.result) {
            (Some(Ok(record)), _) => record.rows.len().to_string(),
            (Some(Err(error)), _) => error.code().to_owned(),
            (None, Err(error)) => format!("({})", error.code()),
            (None, Ok(())) => "nothing".to_owned(),
        };
        self.replies.iter().map(of).collect()
    }

    /// The error of the only subject.
    fn error(mut self) -> SourceError {
        match (self.replies.remove(0), self.result) {
            (Some(Err(error)), _) | (None, Err(error)) => error,
            other => panic!("no error: {other:?}"),
        }
    }
}

async fn ask<S: AsRef<str>>(source: &dyn Source, names: &[S]) -> Asked {
    let entities: Vec<_> = names.iter().map(|name| Entity::parse(name.as_ref()).unwrap()).collect();
    let subjects: Vec<_> = entities.iter().map(|entity| Subject { entity, facts: None }).collect();
    let replies = Replies::new(subjects.len());
    let result = source.ask(&subjects, &replies).await;
    Asked { result, replies: replies.into_inner() }
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("n{i}.com")).collect()
}

fn last(target: &str) -> &str {
    target.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn one_request_each_over_kept_connections() {
    let server = HttpServer::start(|seen| match last(&seen.target) {
        "n1.com" => reply(404, "{}"),
        "n2.com" => reply(204, ""),
        name => server::json(&json!({"name": name, "score": 7})),
    });
    let source = source(&server, "/v1/{entity}", "");
    for _ in 0..2 {
        let records = ask(&*source, &names(4)).await.records();
        assert_eq!(records[0].rows, [json!({"name": "n0.com", "score": 7})]);
        assert!(records[1].is_empty() && records[2].is_empty());
        assert_eq!(records[3].rows.len(), 1);
    }
    assert_eq!((server.requests().len(), server.connections()), (8, 1));
    let first = &server.requests()[0];
    assert_eq!((first.method.as_str(), first.target.as_str()), ("GET", "/v1/n0.com"));
    let agent = format!("tribunal/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(first.header("user-agent"), Some(agent.as_str()));
    assert_eq!(first.header("accept"), Some("application/json"));
    for absent in ["cookie", "referer", "accept-encoding", "authorization"] {
        assert_eq!(first.header(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn names_of_one_domain_are_asked_about_once() {
    let server = HttpServer::start(|seen| server::json(&json!({"of": last(&seen.target)})));
    let source = source(&server, "/domain/{registrable_domain}", "");
    let names = ["a.evil.co.uk", "evil.co.uk", "192.0.2.1", "other.com", "b.c.evil.co.uk", "2001:db8::1"];
    let records = ask(&*source, &names).await.records();
    let of = |i: usize| records[i].rows.first().map(|row| row["of"].as_str().unwrap().to_owned());
    assert_eq!([0, 1, 4].map(of), [(); 3].map(|()| Some("evil.co.uk".to_owned())));
    assert_eq!(of(3).as_deref(), Some("other.com"));
    // An address has no registrable domain.
    assert_eq!([of(2), of(5)], [None, None]);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn at_most_so_many_at_once() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (gate, counted) = (Arc::new(Semaphore::new(0)), Arc::clone(&most));
    let opened = Arc::clone(&gate);
    let server = HttpServer::start_slow(move |_| {
        let (now, most, gate) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&gate));
        Box::pin(async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Each request waits until three have come, so that one at a time would not pass.
            gate.add_permits(1);
            drop(gate.acquire_many(3).await.unwrap());
            now.fetch_sub(1, Ordering::SeqCst);
            reply(404, "")
        })
    });
    let source = source_with(&server, "/{entity}", "", "concurrency = 3");
    assert_eq!(ask(&*source, &names(12)).await.records().len(), 12);
    assert_eq!(counted.load(Ordering::SeqCst), 3);
    assert!(opened.available_permits() >= 12 && server.connections() <= 3);
}

#[tokio::test]
async fn many_in_one_request_by_key_or_by_entity() {
    let server = HttpServer::start(|seen| {
        if seen.method == "POST" {
            let asked = seen.json()["query"]["names"].clone();
            let asked: Vec<&str> =
                asked.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            let rows = asked.iter().filter(|name| name.contains('1')).flat_map(|name| {
                [json!({"id": {"name": name.to_uppercase()}, "n": 1}), json!({"id": {"name": name}, "n": 2})]
            });
            return server::json(&json!({"data": {"hits": rows.collect::<Vec<_>>()}}));
        }
        server::json(
            &json!({"n0.com": {"n": 0}, "n1.com": [{"n": 1}, null, {"n": 2}], "n2.com": null, "x.com": 1}),
        )
    });
    let body = "method = 'POST'\nbody = '{\"query\": {\"names\": {entities}}}'\nrows = '/data/hits'\nkey = '/id/name'\n";
    let by_key = source(&server, "/search", &format!("{body}batch = 3"));
    assert_eq!(by_key.subjects_per_request(), 3);
    assert_eq!(ask(&*by_key, &names(7)).await.outcomes(), ["0", "2", "0", "0", "0", "0", "0"]);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(server.requests()[2].json(), json!({"query": {"names": ["n6.com"]}}));
    assert_eq!(server.requests()[0].header("content-type"), Some("application/json"));

    let by_entity = source(&server, "/search?q={entities}", "");
    assert_eq!(ask(&*by_entity, &names(4)).await.outcomes(), ["1", "2", "0", "0"]);
    assert_eq!(server.requests()[3].target, "/search?q=n0.com,n1.com,n2.com,n3.com");
}

#[tokio::test]
async fn a_thousand_in_urls_that_servers_take() {
    let server = HttpServer::start(|_| server::json(&json!([])));
    let source = source(&server, "/search?q={entities}", "batch = 1000\nkey = 'name'");
    let long = |i: usize| format!("{}.{}.n{i}.com", "a".repeat(63), "b".repeat(63));
    let names: Vec<_> = (0..1_000).map(long).collect();
    assert!(ask(&*source, &names).await.records().iter().all(Record::is_empty));
    let requests = server.requests();
    assert!(requests.iter().all(|seen| seen.target.len() <= 8_000));
    let asked: Vec<String> = requests
        .iter()
        .flat_map(|seen| {
            seen.target.split_once("q=").unwrap().1.split(',').map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(asked, names);
    assert!(requests.len() < 30, "{}", requests.len());
}

#[tokio::test]
async fn what_a_name_says_is_never_syntax() {
    let server = HttpServer::start(|seen| match seen.method.as_str() {
        "POST" => server::json(&json!({"said": seen.json()["name"]})),
        _ => server::json(&json!({"said": seen.target})),
    });
    let by_url = source(&server, "/v1/{entity}/facts?tld={tld}", "");
    let by_body = source(&server, "/v1", "method = 'POST'\nbody = '{\"name\": {entity}, \"t\": \"{tld}\"}'");
    let names = ["xn--mnchen-3ya.de", "2001:db8::1", "a_b.example.com", "0x7f.example.com"];
    for name in names {
        let rows = ask(&*by_body, &[name]).await;
        let Some(address) = Entity::parse(name).unwrap().address() else {
            assert_eq!(rows.records()[0].rows, [json!({"said": name})]);
            let tld = last(name).rsplit('.').next().unwrap();
            let expected = json!({"said": format!("/v1/{name}/facts?tld={tld}")});
            assert_eq!(ask(&*by_url, &[name]).await.records()[0].rows, [expected]);
            continue;
        };
        // An address has no top-level domain to put.
        assert!(address.is_ipv6() && rows.records()[0].is_empty());
    }
    let plain = source(&server, "/v1/{entity}", "");
    assert_eq!(
        ask(&*plain, &["2001:db8::1"]).await.records()[0].rows,
        [json!({"said": "/v1/2001%3Adb8%3A%3A1"})]
    );
}

#[tokio::test]
async fn one_failure_is_its_own() {
    let server = HttpServer::start(|seen| match last(&seen.target) {
        "n1.com" => reply(500, "oops"),
        "n2.com" => reply(200, "<html><body>Welcome</body></html>"),
        "n3.com" => reply(200, "{\"score\": 7, \"list\": [1, 2"),
        "n4.com" => reply(200, ""),
        "n5.com" => reply(200, "42"),
        "n6.com" => reply(200, vec![0xff, 0xfe, 0x00]),
        "n7.com" => reply(200, "[".repeat(100_000)),
        _ => server::json(&json!([{"score": 7}])),
    });
    let source = source(&server, "/{entity}", "");
    let asked = ask(&*source, &names(9)).await;
    assert!(asked.result.is_ok());
    let malformed = ["malformed"; 6].map(str::to_owned).to_vec();
    assert_eq!(
        asked.outcomes(),
        [vec!["1".to_owned(), "failed".to_owned()], malformed, vec!["1".to_owned()]].concat()
    );
    for reply in asked.replies {
        let Some(Err(error)) = reply else { continue };
        let text = format!("{error} {error:?}");
        assert!(!text.contains("Welcome") && !text.contains("oops") && !text.contains("com"), "{text}");
    }
}

#[tokio::test]
async fn pointers_lead_to_rows() {
    let bodies: BTreeMap<&str, (Value, &str)> = [
        ("a.com", (json!({"data": {"rows": [1, "x", {"y": null}]}}), "3")),
        ("b.com", (json!({"data": {"rows": {"y": 1}}}), "1")),
        ("c.com", (json!({"data": {"rows": null}}), "0")),
        ("d.com", (json!({"data": {}}), "0")),
        ("e.com", (json!({"data": null}), "0")),
        ("f.com", (json!({"data": {"rows": {}}}), "0")),
        ("g.com", (json!({"data": {"rows": []}}), "0")),
        ("h.com", (json!({"data": {"rows": vec![json!({"n": 1}); 1_500]}}), "1000")),
        ("i.com", (json!({"error": "over quota"}), "malformed")),
        ("j.com", (json!({"data": "none"}), "malformed")),
        ("k.com", (json!([1, 2]), "malformed")),
    ]
    .into();
    let answers = bodies.clone();
    let server = HttpServer::start(move |seen| server::json(&answers[last(&seen.target)].0));
    let source = source(&server, "/{entity}", "rows = '/data/rows'");
    let names: Vec<&str> = bodies.keys().copied().collect();
    let expected: Vec<&str> = bodies.values().map(|(_, outcome)| *outcome).collect();
    assert_eq!(ask(&*source, &names).await.outcomes(), expected);
}

#[tokio::test]
async fn answers_that_are_too_large_are_not_taken() {
    const CHUNK: usize = 16_384;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let server = HttpServer::start(move |seen| match last(&seen.target) {
        // 10 MB that say so before they come.
        "n0.com" => reply(200, vec![b' '; 10_000_000]),
        // 10 MB that do not.
        "n1.com" => {
            let sent = Arc::clone(&sent);
            let chunks = (0..10_000_000 / CHUNK).map(move |_| {
                sent.fetch_add(CHUNK, Ordering::SeqCst);
                Ok::<_, std::io::Error>(vec![b' '; CHUNK])
            });
            reply(200, axum::body::Body::from_stream(futures::stream::iter(chunks)))
        }
        // Short, and large once parsed.
        "n2.com" => reply(200, format!("[{}1]", "{\"a\":1},".repeat(6_000))),
        "n3.com" => reply(200, format!("[\"{}\"]", "{,[:".repeat(15_000))),
        _ => reply_with(200, ("content-encoding", "gzip"), vec![0x1f, 0x8b]),
    });
    let source = source(&server, "/{entity}", "max_bytes = 65536");
    let asked = ask(&*source, &names(5)).await;
    assert_eq!(asked.outcomes(), ["too_large", "too_large", "too_large", "1", "malformed"]);
    // What a socket buffers on both sides, and no more.
    assert!(counted.load(Ordering::SeqCst) < 9_000_000, "{counted:?}");
    let Some(Err(error)) = &asked.replies[0] else { panic!() };
    assert_eq!(error.to_string(), "answer of more than 65536 bytes");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = HttpServer::start(|_| server::json(&json!({"score": 1})));
    let to = format!("http://{}/", elsewhere.address);
    let server = HttpServer::start(move |seen| match last(&seen.target) {
        "n0.com" => reply_with(302, ("location", &to), ""),
        _ => reply_with(308, ("location", "/other"), ""),
    });
    let source = source(&server, "/{entity}", "");
    let asked = ask(&*source, &names(2)).await;
    let codes: Vec<_> = asked
        .replies
        .into_iter()
        .map(|reply| match reply {
            Some(Err(SourceError::Failed { code, .. })) => code,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(codes, ["302", "308"]);
    assert_eq!((server.requests().len(), elsewhere.connections()), (2, 0));
}

#[tokio::test]
async fn private_addresses_are_refused() {
    let server = HttpServer::start(|_| reply(404, ""));
    let port = server.address.port();
    let private = |host: &str| format!("[http]\nurl = 'http://{host}:{port}/{{entity}}'\ntls = false");
    for host in
        ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"]
    {
        let error = opened(&private(host), Rotating::new(&[PASSWORD])).unwrap_err();
        assert_eq!(error.key, "http.url");
        assert!(error.reason.contains("private"), "{host}: {error}");
    }
    // A name is resolved when it is connected to.
    let named = opened(&private("localhost"), Rotating::new(&[PASSWORD])).unwrap();
    let error = ask(&*named, &["a.com"]).await.error();
    assert_eq!(error.code(), "unreachable");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "localhost has only private addresses, and allow_private is not set");
    assert_eq!(server.connections(), 0);
    let allowed =
        opened(&format!("{}\nallow_private = true", private("localhost")), Rotating::new(&[PASSWORD]))
            .unwrap();
    assert!(ask(&*allowed, &["a.com"]).await.records()[0].is_empty());
}

#[tokio::test]
async fn slowing_down_when_asked_to() {
    for (status, header, expected) in [
        (429, ("retry-after", "120"), Some(120)),
        (503, ("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT"), Some(31 * 86_400)),
        (429, ("x-other", "1"), None),
    ] {
        let server = HttpServer::start(move |seen| match last(&seen.target) {
            "n0.com" => server::json(&json!({"score": 1})),
            _ => reply_with(status, header, ""),
        });
        let source = source(&server, "/{entity}", "");
        let asked = ask(&*source, &names(50)).await;
        assert_eq!(asked.outcomes()[0], "1");
        assert!(asked.outcomes()[1..].iter().all(|outcome| outcome == "(throttled)"));
        let Err(SourceError::Throttled { retry_after }) = asked.result else { panic!("{:?}", asked.result) };
        assert_eq!(retry_after, expected.map(Duration::from_secs));
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn statuses_mean_what_is_declared() {
    let server = HttpServer::start(|seen| {
        let code = last(&seen.target).split('.').next().unwrap().strip_prefix('s').unwrap().parse().unwrap();
        reply(code, "{\"score\": 1}")
    });
    let names =
        ["s200.com", "s203.com", "s400.com", "s404.com", "s410.com", "s451.com", "s500.com", "s302.com"];
    let declared = "[http.status]\n4xx = 'empty'\n404 = 'answer'\n410 = 'error'\n203 = 'empty'";
    let outcomes = ask(&*source(&server, "/{entity}", declared), &names).await.outcomes();
    assert_eq!(outcomes, ["1", "0", "0", "1", "failed", "0", "failed", "failed"]);
}

#[tokio::test]
async fn secrets_are_sent_and_shown_nowhere() {
    let server = HttpServer::start(|seen| match seen.header("x-api-key") {
        Some("Key hunter2-secret") => reply(500, "hunter2-secret is wrong"),
        _ => reply(401, "hunter2-secret"),
    });
    let headers =
        "[http.headers]\nX-Api-Key = { secret = 's', prefix = 'Key ' }\nAccept = 'application/rdap+json'";
    let source = source(&server, "/{entity}", headers);
    let before = format!("{source:?}");
    let asked = ask(&*source, &["a.com"]).await;
    let error = asked.error();
    assert_eq!(error.code(), "failed");
    for text in [before, format!("{source:?}"), format!("{error} {error:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert_eq!(server.requests()[0].header("accept"), Some("application/rdap+json"));
    assert_eq!(server.requests()[0].header("authorization"), None);
}

#[tokio::test]
async fn secrets_are_read_anew_when_they_are_refused() {
    let respond = |seen: &Seen| match seen.header("authorization") {
        Some("Bearer new") => reply(404, ""),
        _ => reply(403, ""),
    };
    let toml = |server: &HttpServer| {
        format!(
            "concurrency = 2\n[http]\nurl = 'http://{}/{{entity}}'\ntls = false\nallow_private = true\n\
         [http.headers]\nAuthorization = {{ secret = 's', prefix = 'Bearer ' }}",
            server.address
        )
    };
    // Rotated: the requests under way when it changed are made again, the rest with the new one at once.
    let server = HttpServer::start(respond);
    let secrets = Rotating::new(&["old", "new"]);
    let source = opened(&toml(&server), Arc::clone(&secrets)).unwrap();
    assert!(ask(&*source, &names(10)).await.records().iter().all(Record::is_empty));
    assert_eq!(secrets.read.load(Ordering::SeqCst), 2);
    assert!(server.requests().len() <= 12, "{}", server.requests().len());

    // Wrong for good: read once more, not sent again, and nothing else is asked.
    let server = HttpServer::start(respond);
    let secrets = Rotating::new(&["old"]);
    let source = opened(&toml(&server), Arc::clone(&secrets)).unwrap();
    let asked = ask(&*source, &names(10)).await;
    assert_eq!(asked.result.as_ref().unwrap_err().code(), "refused");
    assert!(server.requests().len() <= 3, "{}", server.requests().len());

    // Not to be had.
    let source = opened(&toml(&server), Arc::new(tribunal_sources::secret::EnvironmentSecrets)).unwrap();
    assert_eq!(ask(&*source, &names(10)).await.result.unwrap_err().code(), "secret");
    // Would be another header.
    let source = opened(&toml(&server), Rotating::new(&["a\r\nX-Admin: 1"])).unwrap();
    let error = ask(&*source, &["a.com"]).await.error();
    assert_eq!(error.code(), "secret");
    assert!(!format!("{error:?}").contains("X-Admin"));
}

#[tokio::test]
async fn encrypted_unless_declared_otherwise() {
    let server = HttpServer::start_encrypted(|_| server::json(&json!({"score": 1})));
    let url = format!(
        "[http]\nurl = 'https://localhost:{}/{{entity}}'\nallow_private = true\n",
        server.address.port()
    );
    let secrets = || Rotating::new(&[PASSWORD]);
    // Nobody vouches for the certificate.
    let untrusted = opened(&url, secrets()).unwrap();
    assert_eq!(ask(&*untrusted, &["a.com"]).await.error().code(), "unreachable");
    assert!(server.requests().is_empty());
    let ca = server.authority.clone().unwrap();
    let trusted = opened(&format!("{url}ca = '''{ca}'''"), secrets()).unwrap();
    assert_eq!(ask(&*trusted, &["a.com", "b.com"]).await.records().len(), 2);
    // The certificate is for other names.
    let other = url.replace("localhost", "127.0.0.2");
    let mistaken = opened(&format!("{other}ca = '''{ca}'''"), secrets()).unwrap();
    assert_eq!(ask(&*mistaken, &["a.com"]).await.error().code(), "unreachable");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_dead_service_is_left_alone() {
    let server = HttpServer::start(|_| reply(404, ""));
    let source = source(&server, "/{entity}", "");
    assert_eq!(ask(&*source, &names(2)).await.outcomes(), ["0", "0"]);
    server.kill();
    let asked = ask(&*source, &names(50)).await;
    assert_eq!(asked.outcomes()[..4], ["unreachable", "unreachable", "(unreachable)", "(unreachable)"]);
    assert!(asked.outcomes()[2..].iter().all(|outcome| outcome == "(unreachable)"));
    let text = format!("{:?}", asked.result);
    assert!(!text.contains("n2.com"), "{text}");
    server.restart();
    assert_eq!(ask(&*source, &names(2)).await.outcomes(), ["0", "0"]);
}

#[tokio::test]
async fn a_slow_service_costs_its_time_once() {
    let server = HttpServer::start_slow(|seen| {
        Box::pin(async move {
            if last(&seen.target) != "n0.com" {
                std::future::pending::<()>().await;
            }
            reply(404, "")
        })
    });
    let source = source_with(&server, "/{entity}", "", "concurrency = 8\ntimeout_ms = 400");
    let asked = ask(&*source, &names(50)).await;
    assert_eq!(asked.outcomes()[0], "0");
    assert!(asked.outcomes()[1..].iter().all(|outcome| outcome.trim_matches(['(', ')']) == "timeout"));
    // The first, and those that were under way when the third had waited in vain.
    assert!(server.requests().len() <= 1 + 8 + 2, "{}", server.requests().len());
    let error = asked.result.unwrap_err().to_string();
    assert_eq!(error, "no answer within 400 ms");
}

#[tokio::test]
async fn declarations_that_cannot_be_opened() {
    let valid = "url = 'https://api.example.com/{entity}'";
    for (http, key) in [
        ("url = 'https://{entity}/'", "http.url"),
        ("url = 'https://api.example.com/all'", "http.url"),
        ("url = 'http://api.example.com/{entity}'", "http.url"),
        ("url = 'https://api.example.com/{entity}'\ntls = false", "http.url"),
        ("url = 'https://api.example.com/{entity}?all={entities}'", "http.url"),
        ("url = 'https://api.example.com/{entities}'\nbatch = 0", "http.batch"),
        ("url = 'https://api.example.com/{entities}'\nbatch = 1001", "http.batch"),
        (&format!("{valid}\nbody = '[]'"), "http.body"),
        (&format!("{valid}\nmethod = 'POST'\nbody = '{{'"), "http.body"),
        (&format!("{valid}\nkey = 'name'"), "http.key"),
        (&format!("{valid}\nrows = 'data'"), "http.rows"),
        (&format!("{valid}\nmax_bytes = 0"), "http.max_bytes"),
        (&format!("{valid}\nmax_bytes = 16777217"), "http.max_bytes"),
        (&format!("{valid}\nca = 'none'"), "http.ca"),
        (&format!("{valid}\n[http.status]\n4x = 'empty'"), "http.status.4x"),
        (&format!("{valid}\n[http.headers]\n'a b' = 'x'"), "http.headers.a b"),
        (&format!("{valid}\n[http.headers]\nHost = 'x'"), "http.headers.Host"),
        (&format!("{valid}\n[http.headers]\nCookie = 'x'"), "http.headers.Cookie"),
        (&format!("{valid}\n[http.headers]\nX = \"a\\r\\nb\""), "http.headers.X"),
    ] {
        let error = opened(&format!("[http]\n{http}"), Rotating::new(&[PASSWORD])).unwrap_err();
        assert_eq!(error.key, key, "{http}: {error}");
    }
    opened(&format!("[http]\n{valid}"), Rotating::new(&[PASSWORD])).unwrap();
}
