//! Servers of `scripts/servers.sh`, started by the tests.
//!
//! The script ends a server when the other end of its input closes: with the test process, however that ends.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use tribunal_sources::secret::{Secret, SecretStore};
use tribunal_sources::source::Cause;
use tribunal_sources::{Declaration, OpenError, Source, open_server};

/// A server that is the test's own.
pub struct Server {
    pub address: SocketAddr,
    /// Where it takes only encrypted connections.
    pub tls_address: SocketAddr,
    folder: PathBuf,
    lines: Mutex<Lines>,
}

struct Lines {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Says that cases are left out, which is a failure where all must run.
pub fn left_out(reason: &str) {
    assert!(
        std::env::var_os("TRIBUNAL_TESTS_COMPLETE").is_none_or(|value| value != "1"),
        "not complete: {reason}"
    );
    eprintln!("left out: {reason}");
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Server {
    /// Starts one (`mariadb` or `mongodb`), with the TLS port that the kind has beside its port; `None` when it is
    /// not installed. Blocks until it answers.
    pub fn start(kind: &str, tls_beside: bool) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/servers.sh");
        let address = free_address();
        let tls_address = if tls_beside { free_address() } else { address };
        let mut command = Command::new(script);
        command.args(["run", kind, &address.port().to_string()]);
        if tls_beside {
            command.arg(tls_address.port().to_string());
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Lines { child, input, output };
        let Some(ready) = lines.next() else {
            let status = lines.child.wait().unwrap();
            assert_eq!(status.code(), Some(3), "{kind} does not start");
            left_out(&format!("{kind} is not installed"));
            return None;
        };
        let folder = PathBuf::from(ready.strip_prefix("ready ").unwrap());
        Some(Self { address, tls_address, folder, lines: Mutex::new(lines) })
    }

    /// Certificate (PEM) of the authority that signed the server's.
    pub fn authority(&self) -> String {
        std::fs::read_to_string(self.folder.join("tls/ca.pem")).unwrap()
    }

    /// Ends it with SIGKILL.
    pub fn kill(&self) {
        assert_eq!(self.lines.lock().unwrap().command("kill"), "killed");
    }

    /// Starts it again, with what it held.
    pub fn restart(&self) {
        assert!(self.lines.lock().unwrap().command("start").starts_with("ready "));
    }
}

impl Lines {
    fn command(&mut self, line: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.next().expect("the script ended")
    }

    /// The next line; `None` when the script has ended.
    fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| line.trim_end().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(lines) = self.lines.get_mut() {
            lines.input = None;
            let _ = lines.child.wait();
        }
    }
}

/// Runs a future from a place that is not asynchronous, wherever that is called from.
pub fn blocking<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime.block_on(future)).join().expect("the server is filled")
}

/// A store of one secret, whatever its name, that may change; what was read is kept until it is forgotten.
pub struct OneSecret(Mutex<(String, Option<String>)>);

impl std::fmt::Debug for OneSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneSecret(..)")
    }
}

impl OneSecret {
    /// Holds a text.
    pub fn new(text: String) -> Arc<Self> {
        Arc::new(Self(Mutex::new((text, None))))
    }

    /// Holds another one.
    pub fn set(&self, text: String) {
        self.0.lock().unwrap().0 = text;
    }
}

#[async_trait::async_trait]
impl SecretStore for OneSecret {
    async fn secret(&self, _: &str) -> Result<Secret, Cause> {
        let (text, kept) = &mut *self.0.lock().unwrap();
        Ok(Secret::new(kept.get_or_insert_with(|| text.clone()).clone()))
    }

    async fn forget(&self, _: &str) {
        self.0.lock().unwrap().1 = None;
    }
}

/// The one source of a declaration in TOML, with this secret.
pub fn open(declaration: &str, secret: String) -> Result<Box<dyn Source>, OpenError> {
    open_with(declaration, OneSecret::new(secret))
}

/// Likewise, with a secret that may change.
pub fn open_with(declaration: &str, secret: Arc<OneSecret>) -> Result<Box<dyn Source>, OpenError> {
    let declaration: Declaration = toml::from_str(declaration).unwrap();
    let source = declaration.sources.values().next().unwrap();
    let secrets: Arc<dyn SecretStore> = secret;
    open_server(source, &secrets)
}
