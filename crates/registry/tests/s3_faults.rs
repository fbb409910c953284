//! What an S3 that fails is taken for: a server of a few lines answers each request as told.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tribunal_core::ErrorName;
use tribunal_registry::{Fault, Registry, S3Access};

const BODY: &str = "<Error><Code>Told</Code></Error>";

/// A server that answers the n-th request with the n-th status, the last one from then on; 0 closes the
/// connection without an answer. Gives its address, and the number of requests so far.
async fn server(statuses: &'static [u16]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 8192];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&request[..read]).into_owned();
            assert!(head.contains(" /bucket/pre/models/xgboost/current.json "), "path style: {head}");
            assert!(head.contains("Credential=id/"), "signed: {head}");
            let status = statuses[counter.fetch_add(1, Ordering::SeqCst).min(statuses.len() - 1)];
            if status != 0 {
                let length = BODY.len();
                let head =
                    format!("HTTP/1.1 {status} Told\r\nContent-Length: {length}\r\nConnection: close\r\n");
                let meta = "ETag: \"x\"\r\nLast-Modified: Mon, 01 Jun 2026 00:00:00 GMT\r\n";
                drop(stream.write_all(format!("{head}{meta}\r\n{BODY}").as_bytes()).await);
            }
        }
    });
    (endpoint, count)
}

fn registry(endpoint: String) -> Registry {
    let access = S3Access {
        region: Some("eu-central-1".to_owned()),
        endpoint: Some(endpoint),
        keys: Some(("id".to_owned(), "secret".to_owned(), None)),
    };
    Registry::open_with("s3://bucket/pre", &access).unwrap()
}

#[tokio::test]
async fn a_failing_store_has_a_fault_and_an_error_name() {
    let cases: [(&'static [u16], Fault, ErrorName, usize); 8] = [
        (&[404], Fault::Missing, ErrorName::ModelUnavailable, 1),
        (&[403], Fault::Denied, ErrorName::StoreRefused, 1),
        (&[400], Fault::Refused, ErrorName::StoreRefused, 1),
        (&[301], Fault::Refused, ErrorName::StoreRefused, 1),
        (&[503], Fault::Throttled, ErrorName::StoreThrottled, 4),
        (&[429], Fault::Throttled, ErrorName::StoreThrottled, 4),
        (&[500], Fault::Unavailable, ErrorName::StoreUnavailable, 4),
        (&[0], Fault::Unavailable, ErrorName::StoreUnavailable, 4),
    ];
    for (statuses, fault, name, requests) in cases {
        let (endpoint, count) = server(statuses).await;
        let error = registry(endpoint).load_model("xgboost").await.unwrap_err();
        assert_eq!(error.fault(), Some(fault), "{statuses:?}: {error}");
        assert_eq!(error.error_name(ErrorName::ModelUnavailable), name, "{statuses:?}");
        assert_eq!(count.load(Ordering::SeqCst), requests, "{statuses:?}: attempts");
        let text = error.to_string();
        assert!(text.contains("models/xgboost/current.json") && text.contains("s3://bucket/pre"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_store_that_recovers_is_not_noticed() {
    let (endpoint, count) = server(&[503, 0, 500, 200]).await;
    let error = registry(endpoint).load_model("xgboost").await.unwrap_err();
    // The fourth answer is read: it is XML, not a pointer.
    assert!(error.to_string().contains("not of its form"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn nobody_listening_is_transient() {
    let endpoint = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let error = registry(endpoint).load_model("xgboost").await.unwrap_err();
    assert_eq!(error.fault(), Some(Fault::Unavailable), "{error}");
    assert!(error.is_transient());
}
