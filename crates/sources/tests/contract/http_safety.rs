//! What an HTTP service, or a name, cannot make its client do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tribunal_core::Entity;
use tribunal_sources::SourceError;
use tribunal_sources::source::Record;

use crate::http_ask::{PASSWORD, Rotating, ask, last, names, opened, source};
use crate::http_server::{self as server, HttpServer, Seen, reply, reply_with};

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

/// A test of this binary, run again with proxies in its environment.
#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    let proxy = HttpServer::start(|_| reply(404, ""));
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "http_safety::redirects_are_not_followed"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        again.env(name, format!("http://{}", proxy.address));
    }
    let output = again.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(proxy.connections(), 0);
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
        (&format!("{valid}\ntlds = ['.com']"), "http.tlds"),
        (&format!("{valid}\ntlds = ['COM']"), "http.tlds"),
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
