//! MySQL and MariaDB.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::OnceLock;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder};
use serde_json::json;
use tribunal_sources::source::Record;
use tribunal_sources::{OpenError, Source};

use crate::fixture::{CANARIES, CONCURRENCY, Fixture, Form, KNOWN_BELOW, TIMEOUT_MS, is_known, name};
use crate::server::{Server, blocking, left_out, open};

/// Names a MariaDB server of the user's own: `mysql://user:password@host:port/`, with the right to make databases and users.
const VARIABLE: &str = "TRIBUNAL_TEST_MYSQL_URL";
/// What is made there, and removed first.
const DATABASE: &str = "tribunal_contract";

/// A server, ours or the user's.
pub struct Mysql {
    /// `None` if it is the user's.
    pub server: Option<Server>,
    address: SocketAddr,
    admin: Opts,
}

impl Mysql {
    fn start() -> Option<Self> {
        let (server, admin) = match std::env::var(VARIABLE) {
            Ok(url) => (None, url),
            Err(_) => {
                let server = Server::start("mariadb", false)?;
                let admin = format!("mysql://root@{}/", server.address);
                (Some(server), admin)
            }
        };
        let admin = Opts::from_url(&admin).expect(VARIABLE);
        let host = (admin.ip_or_hostname().to_owned(), admin.tcp_port());
        let address = host.to_socket_addrs().unwrap().next().unwrap();
        let admin: Opts = OptsBuilder::from_opts(admin).prefer_socket(false).into();
        blocking(fill(admin.clone()));
        Some(Self { server, address, admin })
    }

    /// A connection that may do anything.
    pub async fn admin(&self) -> Conn {
        let mut connection = Conn::new(self.admin.clone()).await.unwrap();
        connection.query_drop(format!("USE {DATABASE}")).await.unwrap();
        connection
    }

    /// Where a user's connections go.
    pub fn url(&self, user: &str, at: SocketAddr) -> String {
        format!("mysql://{user}@{at}/{DATABASE}")
    }
}

async fn fill(admin: Opts) {
    let mut connection = Conn::new(admin).await.unwrap();
    for statement in [
        format!("DROP DATABASE IF EXISTS {DATABASE}"),
        format!("CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"),
        format!("USE {DATABASE}"),
        "CREATE TABLE listed (domain VARCHAR(255) PRIMARY KEY, score INT, added DATETIME)".to_owned(),
        "DROP USER IF EXISTS tribunal".to_owned(),
        "CREATE USER tribunal IDENTIFIED BY 'right'".to_owned(),
        format!("GRANT SELECT ON {DATABASE}.* TO tribunal"),
    ] {
        connection.query_drop(statement).await.unwrap();
    }
    let known = (0..KNOWN_BELOW).filter(|number| is_known(*number)).map(|number| (name(number), number));
    let canaries = CANARIES.iter().map(|key| ((*key).to_owned(), KNOWN_BELOW));
    let insert = "INSERT INTO listed VALUES (?, ?, '2026-11-24 10:20:30')";
    connection.exec_batch(insert, known.chain(canaries)).await.unwrap();
    connection.disconnect().await.unwrap();
}

impl Fixture for Mysql {
    fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Mysql>> = OnceLock::new();
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
        let (columns, from) = match form {
            Form::Large => {
                ("domain, REPEAT('x', 1000000) AS score", "listed, (SELECT 1 FROM listed LIMIT 60) AS sixty")
            }
            Form::KeyOfWrongType => ("score AS domain", "listed"),
            _ => ("domain, score, added", "listed"),
        };
        let key = if form == Form::KeyMissing { "name" } else { "domain" };
        let password = if form == Form::WrongPassword { "wrong" } else { "right" };
        let declaration = format!(
            r#"
            [sources.listed]
            concurrency = {CONCURRENCY}
            timeout_ms = {TIMEOUT_MS}
            [sources.listed.mysql]
            connection = {{ secret = "listed" }}
            query = "SELECT {columns} FROM {from} WHERE domain IN (:entities)"
            key = "{key}"
            tls = false
            "#
        );
        Ok(open(&declaration, self.url(&format!("tribunal:{password}"), at)))
    }

    fn shows(&self, record: &Record, number: usize) -> bool {
        record.rows == [json!({"domain": name(number), "score": number, "added": "2026-11-24T10:20:30Z"})]
    }

    fn most_bytes(&self) -> u64 {
        // Of 60 MB: the limit, and what the relay and the kernel hold when the connection is closed.
        25_000_000
    }

    fn kill(&self) {
        self.server.as_ref().unwrap().kill();
    }

    fn restart(&self) {
        self.server.as_ref().unwrap().restart();
    }
}
