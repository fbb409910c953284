//! A TCP relay in front of a real server, for the faults that it cannot be made to show on command.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the gate does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// Relays; else it holds every byte back.
    open: bool,
    /// Connections of an earlier epoch are closed.
    epoch: u64,
    /// Closes every connection once this many bytes of answers went through.
    cut_at: u64,
    /// Garbles the byte that is this many into the answers, by turning these bits over.
    garbled: Option<(u64, u8)>,
}

/// The relay. It ends when it is dropped.
pub struct Gate {
    address: SocketAddr,
    state: watch::Sender<State>,
    asked: watch::Receiver<u64>,
    answered: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    listener: JoinHandle<()>,
}

/// Shared by the connections.
#[derive(Clone)]
struct Relay {
    state: watch::Receiver<State>,
    asked: Arc<watch::Sender<u64>>,
    answered: Arc<AtomicU64>,
}

impl Gate {
    /// Relays to `server`.
    pub async fn before(server: SocketAddr) -> Self {
        Self::at("127.0.0.1", server).await
    }

    /// Relays to `server`, listening at `address`.
    pub async fn at(address: &str, server: SocketAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, changes) =
            watch::channel(State { open: true, epoch: 0, cut_at: u64::MAX, garbled: None });
        let (asked_sender, asked) = watch::channel(0);
        let answered = Arc::new(AtomicU64::new(0));
        let relay = Relay { state: changes, asked: Arc::new(asked_sender), answered: Arc::clone(&answered) };
        let connections = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&connections);
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(relay.clone().connection(client, server));
            }
        });
        Self { address, state, asked, answered, connections, listener }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds every byte back, of old and new connections.
    pub fn stall(&self) {
        self.state.send_modify(|state| state.open = false);
    }

    /// Relays, from now on without end or fault.
    pub fn pass(&self) {
        self.state.send_modify(|state| (state.open, state.cut_at, state.garbled) = (true, u64::MAX, None));
    }

    /// Closes every connection.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.epoch += 1);
    }

    /// Closes every connection once it has let `bytes` more bytes of answers through.
    pub fn cut_after(&self, bytes: u64) {
        let at = self.answered() + bytes;
        self.state.send_modify(|state| state.cut_at = at);
    }

    /// Turns bits over in the byte of the answers that comes after `bytes` more.
    pub fn garble_after(&self, bytes: u64, bits: u8) {
        let at = self.answered() + bytes;
        self.state.send_modify(|state| state.garbled = Some((at, bits)));
    }

    /// Takes no more connections, and closes those there are.
    pub async fn refuse(&mut self) {
        self.listener.abort();
        let _ = (&mut self.listener).await;
        self.cut();
    }

    /// Bytes of answers let through so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }

    /// Connections taken so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until a client has sent something since the gate was made or this was awaited last: also what is held back.
    pub async fn asked(&mut self) {
        self.asked.changed().await.unwrap();
    }

    /// Forgets what clients have sent so far.
    pub fn forget_asked(&mut self) {
        self.asked.mark_unchanged();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.listener.abort();
        self.cut();
    }
}

impl Relay {
    async fn connection(self, client: TcpStream, server: SocketAddr) {
        let Ok(server) = TcpStream::connect(server).await else { return };
        let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
        let epoch = self.state.borrow().epoch;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        // The first end to close takes the other with it: both halves are dropped.
        tokio::select! {
            () = self.clone().copy(from_client, to_server, epoch, false) => {}
            () = self.clone().copy(from_server, to_client, epoch, true) => {}
        }
    }

    /// Copies until either end closes or the gate cuts.
    async fn copy(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, epoch: u64, is_answer: bool) {
        let mut buffer = vec![0; 16_384];
        loop {
            let state = *self.state.borrow_and_update();
            let left = state.cut_at.saturating_sub(self.answered.load(Ordering::SeqCst));
            if state.epoch != epoch || left == 0 {
                return;
            }
            // Requests are always read, so that the test sees that one was made; answers only when they may pass.
            let read = tokio::select! {
                _ = self.state.changed() => continue,
                read = from.read(&mut buffer), if state.open || !is_answer => read,
            };
            let Ok(read @ 1..) = read else { return };
            if is_answer {
                let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(read);
                let before = self.answered.fetch_add(allowed as u64, Ordering::SeqCst);
                let garbled = self.state.borrow().garbled;
                if let Some((at, bits)) =
                    garbled.filter(|(at, _)| (before..before + allowed as u64).contains(at))
                {
                    buffer[(at - before) as usize] ^= bits;
                }
                if to.write_all(&buffer[..allowed]).await.is_err() {
                    return;
                }
                continue;
            }
            self.asked.send_modify(|asked| *asked += read as u64);
            let state =
                self.state.wait_for(|state| state.open || state.epoch != epoch).await.map(|state| *state);
            if state.is_err() || state.is_ok_and(|state| state.epoch != epoch) {
                return;
            }
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }
}
