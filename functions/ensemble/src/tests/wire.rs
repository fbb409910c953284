//! DynamoDB's side of the wire, as far as the step uses it: `PutItem` on one table, or one canned answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::store::DynamoStore;

pub(crate) const TABLE: &str = "scores";

/// What the server has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Items by key, as JSON of the wire.
    pub(crate) items: HashMap<String, Value>,
    /// Requests.
    pub(crate) requests: usize,
}

pub(crate) struct Server {
    pub(crate) store: DynamoStore,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

/// A server that keeps a table, or gives `canned` (status, error name) to every request.
pub(crate) async fn serve(canned: Option<(u16, &'static str)>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, canned, Arc::clone(&shared)));
        }
    });
    Server { store: store_at(&format!("http://{address}")), seen }
}

pub(crate) fn store_at(endpoint: &str) -> DynamoStore {
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "id", "key", None, None, "test",
        )))
        .endpoint_url(endpoint)
        .http_client(http)
        .build();
    DynamoStore::new(&config, TABLE)
}

async fn connection(mut stream: TcpStream, canned: Option<(u16, &str)>, seen: Arc<Mutex<Seen>>) {
    let mut bytes = Vec::new();
    while let Some(body) = read_request(&mut stream, &mut bytes).await {
        seen.lock().unwrap().requests += 1;
        let (status, answer) = match canned {
            Some((status, name)) => (
                status,
                json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{name}"), "message": "no"}),
            ),
            None => put_item(&body, &mut seen.lock().unwrap().items),
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        if stream.write_all((head + &answer).as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The body of the next request; `None` when the client has gone.
async fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Value> {
    loop {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        if let Some(head) = text.find("\r\n\r\n") {
            let length = text[..head].lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let end = head + 4 + length.trim().parse::<usize>().unwrap();
            if bytes.len() >= end {
                let rest = bytes.split_off(end);
                let body = std::mem::replace(bytes, rest).split_off(head + 4);
                return Some(serde_json::from_slice(&body).unwrap());
            }
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn put_item(body: &Value, items: &mut HashMap<String, Value>) -> (u16, Value) {
    assert_eq!(body["TableName"], TABLE);
    assert_eq!(body["ConditionExpression"], "attribute_not_exists(#entity)");
    assert_eq!(body["ExpressionAttributeNames"], json!({"#entity": "entity"}));
    let key = format!("{} {}", body["Item"]["entity"]["S"], body["Item"]["scored_key"]["S"]);
    if items.contains_key(&key) {
        let name = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
        return (400, json!({"__type": name, "message": "The conditional request failed"}));
    }
    items.insert(key, body["Item"].clone());
    (200, json!({}))
}
