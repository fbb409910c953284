//! HTTP services on loopback that answer after a fixed time, and endpoints that never answer.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::runtime::Runtime;

use crate::generator::mix;

/// Services, on threads of their own.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// Ports of the services, by their numbers.
    pub(crate) ports: Vec<u16>,
    _runtime: Runtime,
}

#[derive(Debug, Clone, Copy)]
struct Service {
    number: usize,
    delay: Duration,
}

/// What service `number` knows of an entity: nothing of every third.
pub(crate) fn risk(number: usize, entity: &str) -> Option<u64> {
    let seed = entity.bytes().fold(number as u64 + 1, |seed, byte| mix(seed ^ u64::from(byte)));
    (!seed.is_multiple_of(3)).then_some(seed % 1_000)
}

impl Fleet {
    /// `services` of them, each of which takes `delay` for every request.
    pub(crate) fn start(services: usize, delay: Duration) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mut ports = Vec::with_capacity(services);
        for number in 0..services {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
            ports.push(listener.local_addr()?.port());
            let service = Router::new()
                .route("/many", post(many))
                .route("/one/{entity}", get(one))
                .with_state(Service { number, delay });
            runtime.spawn(async move { axum::serve(listener, service).await });
        }
        Ok(Self { ports, _runtime: runtime })
    }
}

#[derive(Debug, Deserialize)]
struct Many {
    entities: Vec<String>,
}

async fn many(State(service): State<Service>, Json(asked): Json<Many>) -> Json<Value> {
    tokio::time::sleep(service.delay).await;
    let row = |entity: &String| Some(json!({"entity": entity, "risk": risk(service.number, entity)?}));
    Json(json!({"rows": asked.entities.iter().filter_map(row).collect::<Vec<Value>>()}))
}

async fn one(State(service): State<Service>, Path(entity): Path<String>) -> Result<Json<Value>, StatusCode> {
    tokio::time::sleep(service.delay).await;
    let risk = risk(service.number, &entity).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(json!({"risk": risk})))
}

/// Endpoints that are there and give no answer, each in its way.
#[derive(Debug)]
pub(crate) struct Dead {
    /// Accepts connections, and never says a word.
    pub(crate) mute: u16,
    /// Never answers the first packet of a connection: its queue is full.
    pub(crate) deaf: u16,
    /// Nobody listens.
    pub(crate) closed: u16,
    /// Takes datagrams, and never answers.
    pub(crate) udp: u16,
    _deaf: (TcpListener, Vec<TcpStream>),
    _udp: UdpSocket,
    _runtime: Runtime,
}

impl Dead {
    pub(crate) fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let mute = listener.local_addr()?.port();
        runtime.spawn(hold(listener));
        let closed = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?.local_addr()?.port();
        let deaf = runtime.block_on(full())?;
        let udp = runtime.block_on(UdpSocket::bind("127.0.0.1:0"))?;
        Ok(Self {
            mute,
            deaf: deaf.0.local_addr()?.port(),
            closed,
            udp: udp.local_addr()?.port(),
            _deaf: deaf,
            _udp: udp,
            _runtime: runtime,
        })
    }

    /// Ports by what is wrong with them.
    pub(crate) fn ports(&self) -> BTreeMap<&'static str, u16> {
        [("mute", self.mute), ("deaf", self.deaf), ("closed", self.closed), ("udp", self.udp)].into()
    }
}

/// Keeps every connection.
async fn hold(listener: TcpListener) {
    let mut held = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        held.push(stream);
    }
}

/// A listener whose queue of connections is full.
async fn full() -> Result<(TcpListener, Vec<TcpStream>)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(1)?;
    let address = listener.local_addr()?;
    let mut held = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        held.push(stream);
    }
    Ok((listener, held))
}
