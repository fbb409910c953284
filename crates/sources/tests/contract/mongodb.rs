//! MongoDB, and what speaks its protocol.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::OnceLock;

use mongodb::bson::{DateTime, Document, doc};
use mongodb::{Client, Database};
use serde_json::json;
use tribunal_sources::source::Record;
use tribunal_sources::{OpenError, Source};

use crate::fixture::{CANARIES, CONCURRENCY, Fixture, Form, KNOWN_BELOW, TIMEOUT_MS, is_known, name};
use crate::server::{Server, blocking, left_out, open};

/// Names a server of the user's own: `mongodb://host:port/?directConnection=true`, one host without TLS.
const VARIABLE: &str = "TRIBUNAL_TEST_MONGODB_URL";
/// What is made there, and removed first.
pub const DATABASE: &str = "tribunal_contract";

/// A server, ours or the user's.
pub struct Mongodb {
    /// `None` if it is the user's.
    pub server: Option<Server>,
    address: SocketAddr,
    url: String,
    /// The URL, up to the host.
    before: String,
    /// The URL, from the path on.
    after: String,
}

impl Mongodb {
    fn start() -> Option<Self> {
        let (server, url) = match std::env::var(VARIABLE) {
            Ok(url) => (None, url),
            Err(_) => {
                let server = Server::start("mongodb", true)?;
                let url = format!("mongodb://{}/?directConnection=true", server.address);
                (Some(server), url)
            }
        };
        let parsed: url::Url = url.parse().expect(VARIABLE);
        let host = (parsed.host_str().expect(VARIABLE).to_owned(), parsed.port().unwrap_or(27017));
        let address = host.to_socket_addrs().unwrap().next().unwrap();
        blocking(fill(url.clone()));
        let before = &parsed[..url::Position::BeforeHost];
        let after = &parsed[url::Position::BeforePath..];
        let (before, after) = (before.to_owned(), after.to_owned());
        Some(Self { server, address, url, before, after })
    }

    /// A database that may be written.
    pub async fn admin(&self) -> Database {
        Client::with_uri_str(&self.url).await.unwrap().database(DATABASE)
    }

    /// The URL that leads to `at`.
    pub fn url(&self, at: SocketAddr) -> String {
        format!("{}{at}{}", self.before, self.after)
    }
}

async fn fill(url: String) {
    let database = Client::with_uri_str(url).await.unwrap().database(DATABASE);
    database.drop().await.unwrap();
    let added = DateTime::parse_rfc3339_str("2026-11-24T10:20:30Z").unwrap();
    let row = |domain: &str, score: usize| doc! {"domain": domain, "score": score as i32, "added": added};
    let known = (0..KNOWN_BELOW).filter(|number| is_known(*number)).map(|number| row(&name(number), number));
    let canaries = CANARIES.iter().map(|key| row(key, KNOWN_BELOW));
    let rows: Vec<_> = known.chain(canaries).collect();
    database.collection::<Document>("listed").insert_many(rows).await.unwrap();
    let large = database.collection::<Document>("large");
    for _ in 0..10 {
        large.insert_one(doc! {"domain": name(2), "score": "x".repeat(1_000_000)}).await.unwrap();
    }
}

impl Fixture for Mongodb {
    fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Mongodb>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    fn own() -> Option<Self> {
        if std::env::var_os(VARIABLE).is_some() {
            left_out("a server that is not the tests' own is not killed");
            return None;
        }
        Self::start()
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn open(&self, form: Form, at: SocketAddr) -> Result<Result<Box<dyn Source>, OpenError>, &'static str> {
        let collection = if form == Form::Large { "large" } else { "listed" };
        let key = match form {
            Form::KeyMissing => "name",
            Form::KeyOfWrongType => "score",
            _ => "domain",
        };
        let url = match form {
            Form::WrongPassword => format!("mongodb://tribunal:wrong@{at}{}", self.after),
            _ => self.url(at),
        };
        let declaration = format!(
            r#"
            [sources.listed]
            concurrency = {CONCURRENCY}
            timeout_ms = {TIMEOUT_MS}
            [sources.listed.mongodb]
            connection = {{ secret = "listed" }}
            database = "{DATABASE}"
            collection = "{collection}"
            filter = {{ domain = {{ "$in" = ":entities" }} }}
            projection = ["domain", "score", "added"]
            key = "{key}"
            tls = false
            "#
        );
        Ok(open(&declaration, url))
    }

    fn shows(&self, record: &Record, number: usize) -> bool {
        record.rows == [json!({"domain": name(number), "score": number, "added": "2026-11-24T10:20:30Z"})]
    }

    fn most_bytes(&self) -> u64 {
        // All of it: a message of the protocol, which the driver takes in whole.
        11_000_000
    }

    fn kill(&self) {
        self.server.as_ref().unwrap().kill();
    }

    fn restart(&self) {
        self.server.as_ref().unwrap().restart();
    }
}
