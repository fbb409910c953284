//! A real HTTP server on loopback, on a thread of its own, so that it can be killed as a process can.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::serve::Listener;
use futures::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

/// Most bytes of a request's body that a test sends.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// A request, as the server saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Path and query as they were sent.
    pub target: String,
    pub method: String,
    pub headers: axum::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body, which is JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Respond = Arc<dyn Fn(Seen) -> BoxFuture<'static, Response> + Send + Sync>;

/// The server. It ends when it is dropped.
pub struct HttpServer {
    pub address: SocketAddr,
    /// Certificate (PEM) of the authority that signed the server's, if it is encrypted.
    pub authority: Option<String>,
    tls: Option<Arc<ServerConfig>>,
    respond: Respond,
    log: Arc<Log>,
    running: Mutex<Option<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

#[derive(Default)]
struct Log {
    requests: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

impl HttpServer {
    /// Starts one that answers at once.
    pub fn start(respond: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let respond = Arc::new(respond);
        Self::start_slow(move |seen| {
            let respond = Arc::clone(&respond);
            Box::pin(async move { respond(&seen) })
        })
    }

    /// Starts one that takes its time.
    pub fn start_slow(
        respond: impl Fn(Seen) -> BoxFuture<'static, Response> + Send + Sync + 'static,
    ) -> Self {
        Self::started(Arc::new(respond), None)
    }

    /// Starts one with a certificate for `localhost` and 127.0.0.1, of an authority of its own.
    pub fn start_encrypted(respond: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let respond: Respond = Arc::new(move |seen| {
            let response = respond(&seen);
            Box::pin(async move { response })
        });
        Self::started(respond, Some(certificates()))
    }

    fn started(respond: Respond, certificates: Option<(ServerConfig, String)>) -> Self {
        let (tls, authority) = certificates.unzip();
        let mut server = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            authority,
            tls: tls.map(Arc::new),
            respond,
            log: Arc::default(),
            running: Mutex::new(None),
        };
        server.address = server.run();
        server
    }

    /// Runs on `self.address`, and says where that is.
    fn run(&self) -> SocketAddr {
        let (stop, stopped) = oneshot::channel();
        let (ready, address) = mpsc::channel();
        let (at, respond, log) = (self.address, Arc::clone(&self.respond), Arc::clone(&self.log));
        let acceptor = self.tls.clone().map(TlsAcceptor::from);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind(at).await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                let connections = Counted { listener, log: Arc::clone(&log) };
                let router =
                    axum::Router::new().fallback(move |request: Request| answered(request, respond, log));
                let serve: BoxFuture<'_, _> = match acceptor {
                    Some(acceptor) => {
                        Box::pin(
                            async move { axum::serve(Encrypted { connections, acceptor }, router).await },
                        )
                    }
                    None => Box::pin(async move { axum::serve(connections, router).await }),
                };
                tokio::select! {
                    result = serve => result.unwrap(),
                    _ = stopped => {}
                }
            });
            // Dropping the runtime drops every connection: clients see them closed, in the middle of an answer too.
        });
        *self.running.lock().unwrap() = Some(Running { stop, thread });
        address.recv().unwrap()
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

    /// Requests so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.log.requests.lock().unwrap().clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.log.connections.load(Ordering::SeqCst)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn answered(request: Request, respond: Respond, log: Arc<Log>) -> Response {
    let (parts, body) = request.into_parts();
    let seen = Seen {
        target: parts.uri.path_and_query().unwrap().as_str().to_owned(),
        method: parts.method.to_string(),
        headers: parts.headers,
        body: to_bytes(body, MAX_REQUEST_BYTES).await.unwrap().to_vec(),
    };
    log.requests.lock().unwrap().push(seen.clone());
    respond(seen).await
}

/// An answer.
pub fn reply(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).header("content-type", "application/json").body(body.into()).unwrap()
}

/// An answer with a header.
pub fn reply_with(status: u16, header: (&str, &str), body: impl Into<Body>) -> Response {
    Response::builder().status(status).header(header.0, header.1).body(body.into()).unwrap()
}

/// An answer of JSON.
pub fn json(value: &serde_json::Value) -> Response {
    reply(200, value.to_string())
}

struct Counted {
    listener: TcpListener,
    log: Arc<Log>,
}

impl Listener for Counted {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let accepted = Listener::accept(&mut self.listener).await;
        self.log.connections.fetch_add(1, Ordering::SeqCst);
        accepted
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct Encrypted {
    connections: Counted,
    acceptor: TlsAcceptor,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.connections.accept().await;
            // A client that does not trust the certificate hangs up here.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.connections.local_addr()
    }
}

/// A server's TLS, and its authority (PEM).
fn certificates() -> (ServerConfig, String) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (config, authority_certificate.pem())
}
