//! HTTP: one request each, and many in one, encrypted.

use std::net::SocketAddr;
use std::sync::OnceLock;

use axum::body::Body;
use axum::response::Response;
use serde_json::{Map, Value, json};
use tribunal_sources::source::Record;
use tribunal_sources::{OpenError, Source};

use crate::fixture::{CANARIES, CONCURRENCY, Fixture, Form, KNOWN_BELOW, TIMEOUT_MS, is_known, name};
use crate::http_server::{HttpServer, Seen, json as answer, reply};
use crate::server::open;

/// Bytes of a large answer, and of the pieces that it comes in.
const LARGE: usize = 10_000_000;
const PIECE: usize = 10_000;

fn row(known: &str, number: usize) -> Value {
    json!({"name": known, "score": number})
}

/// What the server says of a name.
fn known(asked: &str) -> Option<Value> {
    if CANARIES.contains(&asked) {
        return Some(row(asked, KNOWN_BELOW));
    }
    (0..KNOWN_BELOW)
        .find(|number| is_known(*number) && name(*number) == asked)
        .map(|number| row(asked, number))
}

fn respond(seen: &Seen) -> Response {
    if seen.header("authorization") != Some("Bearer right") {
        return reply(401, "{}");
    }
    let (form, asked) = seen.target[1..].split_once('/').unwrap();
    match form {
        // No length is announced.
        "large" => {
            let pieces = (0..LARGE / PIECE).map(|_| Ok::<_, std::io::Error>(vec![b' '; PIECE]));
            reply(200, Body::from_stream(futures::stream::iter(pieces)))
        }
        "each" => {
            let asked = percent_encoding::percent_decode_str(asked).decode_utf8().unwrap();
            known(&asked).map_or_else(|| reply(404, "{}"), |row| answer(&row))
        }
        _ => {
            let key = |row: Value| match form {
                "numbers" => json!({"name": row["score"]}),
                _ => row,
            };
            let asked = seen.json()["names"].clone();
            let asked = asked.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            let mut fields = Map::new();
            fields.insert("rows".to_owned(), asked.filter_map(known).map(key).collect());
            answer(&Value::Object(fields))
        }
    }
}

/// One request for each name, not encrypted.
pub struct Http {
    server: HttpServer,
}

/// One request for many names, encrypted.
pub struct HttpBatched {
    server: HttpServer,
}

impl Fixture for Http {
    fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Http> = OnceLock::new();
        Some(SHARED.get_or_init(|| Self { server: HttpServer::start(respond) }))
    }

    fn own() -> Option<Self> {
        Some(Self { server: HttpServer::start(respond) })
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn open(&self, form: Form, at: SocketAddr) -> Result<Result<Box<dyn Source>, OpenError>, &'static str> {
        let path = match form {
            Form::KeyMissing | Form::KeyOfWrongType => return Err("an answer about one name has no key"),
            Form::Large => "large",
            _ => "each",
        };
        Ok(opened(form, &format!("url = 'http://{at}/{path}/{{entity}}'\ntls = false")))
    }

    fn shows(&self, record: &Record, number: usize) -> bool {
        record.rows == [row(&name(number), number)]
    }

    fn most_bytes(&self) -> u64 {
        MOST_BYTES
    }

    fn kill(&self) {
        self.server.kill();
    }

    fn restart(&self) {
        self.server.restart();
    }
}

impl Fixture for HttpBatched {
    fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<HttpBatched> = OnceLock::new();
        Some(SHARED.get_or_init(|| Self { server: HttpServer::start_encrypted(respond) }))
    }

    fn own() -> Option<Self> {
        Some(Self { server: HttpServer::start_encrypted(respond) })
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn open(&self, form: Form, at: SocketAddr) -> Result<Result<Box<dyn Source>, OpenError>, &'static str> {
        let path = match form {
            Form::Large => "large",
            Form::KeyOfWrongType => "numbers",
            _ => "many",
        };
        let key = if form == Form::KeyMissing { "id" } else { "name" };
        let ca = self.server.authority.as_deref().unwrap();
        let http = format!(
            "url = 'https://{at}/{path}/'\nca = '''{ca}'''\nmethod = 'POST'\nbody = '{{\"names\": {{entities}}}}'\n\
             rows = '/rows'\nkey = '{key}'\nbatch = 300"
        );
        Ok(opened(form, &http))
    }

    fn shows(&self, record: &Record, number: usize) -> bool {
        record.rows == [row(&name(number), number)]
    }

    fn most_bytes(&self) -> u64 {
        MOST_BYTES
    }

    fn kill(&self) {
        self.server.kill();
    }

    fn restart(&self) {
        self.server.restart();
    }
}

/// The limit of 100 kB, and what the relay and the kernel have taken in before the connection is closed.
const MOST_BYTES: u64 = 7_000_000;

fn opened(form: Form, http: &str) -> Result<Box<dyn Source>, OpenError> {
    let declaration = format!(
        "[sources.listed]\nconcurrency = {CONCURRENCY}\ntimeout_ms = {TIMEOUT_MS}\n[sources.listed.http]\n{http}\n\
         allow_private = true\nmax_bytes = 100000\n\
         headers = {{ Authorization = {{ secret = 'listed', prefix = 'Bearer ' }} }}"
    );
    open(&declaration, if form == Form::WrongPassword { "wrong" } else { "right" }.to_owned())
}
