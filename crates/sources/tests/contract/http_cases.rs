//! What an HTTP service is asked, and what its answers mean.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tribunal_sources::SourceError;
use tribunal_sources::source::Record;

use crate::http_ask::{PASSWORD, Rotating, ask, last, names, opened, source, source_with};
use crate::http_server::{self as server, HttpServer, reply, reply_with};

#[tokio::test]
async fn one_request_each_over_kept_connections() {
    let server = HttpServer::start(|seen| match last(&seen.target) {
        "n1.com" => reply(404, vec![b' '; 60_000]),
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
async fn only_names_of_the_declared_top_level_domains() {
    let server = HttpServer::start(|seen| server::json(&json!([seen.target])));
    let asked = ["a.com", "b.net", "c.org", "192.0.2.1", "d.co.uk", "com.org", "www.a.com"];
    let each = source(&server, "/{tld}/{registrable_domain}", "tlds = ['com', 'net']");
    assert_eq!(ask(&*each, &asked).await.outcomes(), ["1", "1", "0", "0", "0", "0", "1"]);
    let seen: Vec<_> = server.requests().into_iter().map(|seen| seen.target).collect();
    assert_eq!(seen, ["/com/a.com", "/net/b.net"]);
    let many = source(&server, "/?q={entities}", "tlds = ['uk']");
    assert!(ask(&*many, &asked[..4]).await.records().iter().all(Record::is_empty));
    assert_eq!(server.requests().len(), 2);
}

/// A connection that is kept, and turns out to be closed when it is used again, costs one request and no answer.
#[tokio::test]
async fn a_connection_that_was_closed_meanwhile() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    // Each connection answers as often as its number among the connections says, and then closes after a request.
    let server = tokio::spawn(async move {
        for answers in [1, 1, 0, 0] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4_096];
            for _ in 0..answers {
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
            assert!(stream.read(&mut request).await.unwrap() > 0);
        }
    });
    let toml = format!("[http]\nurl = 'http://{at}/{{entity}}'\ntls = false\nallow_private = true");
    let source = opened(&toml, Rotating::new(&[PASSWORD])).unwrap();
    assert_eq!(ask(&*source, &["a.com"]).await.outcomes(), ["0"]);
    assert_eq!(ask(&*source, &["b.com"]).await.outcomes(), ["0"]);
    // The second connection is closed, the third one too: that is that.
    assert_eq!(ask(&*source, &["c.com"]).await.outcomes(), ["unreachable"]);
    assert!(!server.is_finished());
    server.abort();
}
