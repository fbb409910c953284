//! A real DNS server on loopback (UDP and TCP), on a thread of its own, with zones in memory.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::{Time, TokioRuntimeProvider};
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::rdata::{A, AAAA, CNAME, MX, NS, SOA, TXT};
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, MessageResponseBuilder, ZoneType};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;

/// The server fails to find out about these names and those below them.
pub const SERVFAIL: &str = "servfail.com";
/// The server never answers about these names and those below them.
pub const SILENT: &str = "silent.com";

/// A question, as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Without the last dot.
    pub name: String,
    pub kind: RecordType,
    pub over_tcp: bool,
}

/// The server. It ends when it is dropped.
pub struct DnsServer {
    pub address: SocketAddr,
    records: Vec<Record>,
    questions: Arc<Mutex<Vec<Question>>>,
    running: Mutex<Option<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

fn name(text: &str) -> Name {
    Name::from_str(&format!("{text}.")).unwrap()
}

/// A record: a line as in a zone file, `name seconds type value`.
pub fn record(line: &str) -> Record {
    let [owner, ttl, kind, value] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let data = match kind {
        "A" => RData::A(A(value.parse().unwrap())),
        "AAAA" => RData::AAAA(AAAA(value.parse().unwrap())),
        "NS" => RData::NS(NS(name(value))),
        "CNAME" => RData::CNAME(CNAME(name(value))),
        "MX" => RData::MX(MX::new(10, if value == "." { Name::root() } else { name(value) })),
        "TXT" => RData::TXT(TXT::new(vec![value.to_owned()])),
        other => panic!("{other}"),
    };
    Record::from_rdata(name(owner), ttl.parse().unwrap(), data)
}

/// A record of a name server whose labels are any bytes.
pub fn name_server(owner: &str, labels: &[&[u8]]) -> Record {
    let mut server = Name::from_labels(labels.iter().copied()).unwrap();
    server.set_fqdn(true);
    Record::from_rdata(name(owner), 300, RData::NS(NS(server)))
}

impl DnsServer {
    /// Starts one that holds these records, and knows no other top-level domain than theirs.
    pub fn start(records: Vec<Record>) -> Self {
        let mut server = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            records,
            questions: Arc::default(),
            running: Mutex::new(None),
        };
        server.address = server.run();
        server
    }

    fn run(&self) -> SocketAddr {
        let (stop, stopped) = oneshot::channel();
        let (ready, address) = mpsc::channel();
        let (at, handler) = (self.address, self.handler());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (listener, socket) = bound(at).await;
                let address = listener.local_addr().unwrap();
                let mut server = Server::new(handler);
                server.register_socket(socket);
                server.register_listener(listener, Duration::from_secs(60), 1_024);
                ready.send(address).unwrap();
                let _ = stopped.await;
            });
        });
        *self.running.lock().unwrap() = Some(Running { stop, thread });
        address.recv().unwrap()
    }

    /// A zone for each name that has name servers, and for each top-level domain.
    fn handler(&self) -> Handler {
        let with_servers = self.records.iter().filter(|record| record.record_type() == RecordType::NS);
        let mut zones: Vec<Name> = with_servers.map(|record| record.name.clone()).collect();
        zones.extend(self.records.iter().map(|record| record.name.trim_to(1)));
        let mut seen = HashSet::new();
        zones.retain(|zone| seen.insert(zone.clone()));
        let mut left = self.records.clone();
        let mut catalog = Catalog::new();
        for zone in zones {
            let (own, others): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|record| zone.zone_of(&record.name));
            left = others;
            catalog.upsert(LowerName::new(&zone), vec![Arc::new(zone_of(&zone, own))]);
        }
        assert!(left.is_empty(), "{left:?}");
        Handler { catalog, questions: Arc::clone(&self.questions) }
    }

    /// Ends it at once, with all its connections.
    pub fn kill(&self) {
        if let Some(running) = self.running.lock().unwrap().take() {
            let _ = running.stop.send(());
            running.thread.join().unwrap();
        }
    }

    /// Starts it again on the same address.
    pub fn restart(&self) {
        self.kill();
        self.run();
    }

    /// Questions so far.
    pub fn questions(&self) -> Vec<Question> {
        self.questions.lock().unwrap().clone()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn zone_of(zone: &Name, records: Vec<Record>) -> InMemoryZoneHandler<TokioRuntimeProvider> {
    let mut handler = InMemoryZoneHandler::empty(zone.clone(), ZoneType::Primary, AxfrPolicy::Deny);
    let soa = SOA::new(name("a.nic.com"), name("root.nic.com"), 1, 3_600, 600, 86_400, 60);
    for record in records.into_iter().chain([Record::from_rdata(zone.clone(), 900, RData::SOA(soa))]) {
        assert!(handler.upsert_mut(record.clone(), 1), "{record}");
    }
    handler
}

/// The same port for TCP and UDP.
async fn bound(at: SocketAddr) -> (TcpListener, UdpSocket) {
    for _ in 0..100 {
        let listener = TcpListener::bind(at).await.unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            return (listener, socket);
        }
    }
    panic!("no port is free for both TCP and UDP");
}

struct Handler {
    catalog: Catalog,
    questions: Arc<Mutex<Vec<Question>>>,
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut handle: R,
    ) -> ResponseInfo {
        let info = request.request_info().unwrap();
        let asked = info.query.name().to_string().trim_end_matches('.').to_owned();
        let (kind, over_tcp) = (info.query.query_type(), info.protocol == Protocol::Tcp);
        self.questions.lock().unwrap().push(Question { name: asked.clone(), kind, over_tcp });
        let below = |zone: &str| asked == zone || asked.ends_with(&format!(".{zone}"));
        if below(SILENT) {
            return std::future::pending().await;
        }
        if below(SERVFAIL) {
            let response = MessageResponseBuilder::from_message_request(request)
                .error_msg(&request.metadata, ResponseCode::ServFail);
            return handle.send_response(response).await.unwrap();
        }
        self.catalog.handle_request::<R, T>(request, handle).await
    }
}
