//! A local AWS for the tests: the one that `TRIBUNAL_TEST_AWS_URL` names, else ministack from `.venv`, which is ended
//! with the process that started it, however that ends.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// Names a local AWS that runs already.
const URL: &str = "TRIBUNAL_TEST_AWS_URL";
/// Makes a test that is left out a failure.
const COMPLETE: &str = "TRIBUNAL_TESTS_COMPLETE";
const START_LIMIT: Duration = Duration::from_secs(60);

/// The configuration of a client of the local AWS; `None`, with a message, where there is none.
pub(crate) fn local() -> Option<SdkConfig> {
    static ENDPOINT: OnceLock<Option<(String, Option<Child>)>> = OnceLock::new();
    let (endpoint, _) = ENDPOINT.get_or_init(endpoint).as_ref()?;
    Some(client_of(endpoint))
}

fn endpoint() -> Option<(String, Option<Child>)> {
    if let Ok(url) = std::env::var(URL) {
        return Some((url, None));
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/ministack");
    if !program.is_file() {
        assert!(std::env::var_os(COMPLETE).is_none_or(|v| v != "1"), "{} is not there", program.display());
        eprintln!("left out: no local AWS. Run scripts/test.sh rust, or name one with {URL}");
        return None;
    }
    let (url, child) = start(&program);
    Some((url, Some(child)))
}

fn start(program: &Path) -> (String, Child) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    // The shell reads until this process ends, and then ends the server.
    let child = Command::new("sh")
        .args(["-c", "\"$0\" </dev/null >/dev/null 2>&1 & read -r _; kill $!"])
        .arg(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("IOT_MTLS_ENABLED", "0")
        .env("AWS_ENDPOINT_URL", &url)
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !is_healthy(port) {
        assert!(started.elapsed() < START_LIMIT, "ministack is not up at {url} after {START_LIMIT:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    (url, child)
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /_ministack/health HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.lines().next().is_some_and(|status| status.contains(" 200")))
}

/// The configuration of a client of `endpoint`.
pub(crate) fn client_of(endpoint: &str) -> SdkConfig {
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let credentials = Credentials::new("local", "local", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .http_client(http)
        .build()
}
