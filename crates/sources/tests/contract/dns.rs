//! The domain name system, over TCP, which the suite's faults are made of.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use serde_json::json;
use tribunal_sources::config::Declaration;
use tribunal_sources::source::Record;
use tribunal_sources::{OpenError, Source, open_dns};

use crate::dns_server::{DnsServer, record};
use crate::fixture::{CONCURRENCY, Fixture, Form, KNOWN_BELOW, TIMEOUT_MS, is_known, name};

/// A server with a zone `com`, and a zone `de` without the names of the suite.
pub struct Dns {
    server: DnsServer,
}

fn address_of(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(0xC633_0000 | u32::try_from(number).unwrap())
}

impl Dns {
    fn start() -> Self {
        let known = (0..KNOWN_BELOW).filter(|number| is_known(*number));
        let lines = known.map(|number| format!("{} 300 A {}", name(number), address_of(number)));
        let lines = lines.chain(["other.de 300 A 192.0.2.1".to_owned()]);
        Self { server: DnsServer::start(lines.map(|line| record(&line)).collect()) }
    }
}

impl Fixture for Dns {
    fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Dns> = OnceLock::new();
        Some(SHARED.get_or_init(Self::start))
    }

    fn own() -> Option<Self> {
        Some(Self::start())
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn open(&self, form: Form, at: SocketAddr) -> Result<Result<Box<dyn Source>, OpenError>, &'static str> {
        match form {
            Form::Sound => {}
            Form::WrongPassword => return Err("nobody is asked for a password"),
            Form::KeyMissing | Form::KeyOfWrongType => return Err("an answer has no key"),
            Form::Large => return Err("an answer has at most 64 KiB"),
        }
        let declaration = format!(
            "[sources.names]\nconcurrency = {CONCURRENCY}\ntimeout_ms = {TIMEOUT_MS}\n\
             [sources.names.dns]\nresolvers = ['{at}']\ntcp = true\nrecords = ['A', 'TXT']"
        );
        let declaration: Declaration = toml::from_str(&declaration).unwrap();
        Ok(open_dns(&declaration.sources["names"], Arc::new(|_| None)))
    }

    fn shows(&self, record: &Record, number: usize) -> bool {
        let [row] = record.rows.as_slice() else { return false };
        row["nxdomain"] == json!(false) && row["addresses"] == json!([address_of(number).to_string()])
    }

    /// That there is no such name is an answer with a row; an address is not asked about.
    fn is_unknown(&self, record: &Record) -> bool {
        record.rows.iter().all(|row| row["nxdomain"] == json!(true) && row["addresses"] == json!([]))
    }

    fn most_bytes(&self) -> u64 {
        0
    }

    fn kill(&self) {
        self.server.kill();
    }

    fn restart(&self) {
        self.server.restart();
    }
}
