use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::primitives::Blob;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use tribunal_core::Entity;
use tribunal_sources::aws::{FRESH, KEPT, SecretsManager};
use tribunal_sources::clock::Clock;
use tribunal_sources::config::SecretRef;
use tribunal_sources::secret::{SecretStore, resolve};
use tribunal_sources::{Declaration, Replies, Source, SourceError, Subject, open_server};

use crate::local_aws::{client_of, local};
use crate::support::Hands;

fn store(config: &SdkConfig, hands: &Arc<Hands>) -> SecretsManager {
    SecretsManager::with_clock(config, Arc::clone(hands) as Arc<dyn Clock>)
}

async fn create(config: &SdkConfig, name: &str, text: &str) {
    let client = aws_sdk_secretsmanager::Client::new(config);
    Box::pin(client.create_secret().name(name).secret_string(text).send()).await.unwrap();
}

async fn change(config: &SdkConfig, name: &str, text: &str) {
    let client = aws_sdk_secretsmanager::Client::new(config);
    Box::pin(client.put_secret_value().secret_id(name).secret_string(text).send()).await.unwrap();
}

#[tokio::test]
async fn texts_and_fields_of_json() {
    let Some(config) = local() else { return };
    create(&config, "tribunal/plain", "hunter2").await;
    create(&config, "tribunal/json", "{\"user\":\"u\",\"password\":\"hunter3\"}").await;
    let store = store(&config, &Hands::at(0));
    let reference = |secret: &str, field: Option<&str>| SecretRef {
        secret: secret.to_owned(),
        field: field.map(str::to_owned),
    };
    let plain = resolve(&store, &reference("tribunal/plain", None)).await.unwrap();
    assert_eq!(plain.expose(), "hunter2");
    let field = resolve(&store, &reference("tribunal/json", Some("password"))).await.unwrap();
    assert_eq!(field.expose(), "hunter3");
    let error = resolve(&store, &reference("tribunal/json", Some("token"))).await.unwrap_err();
    assert!(!format!("{error:?} {store:?}").contains("hunter"), "{error:?} {store:?}");
}

#[tokio::test]
async fn a_value_is_kept_until_it_is_forgotten_or_old() {
    let Some(config) = local() else { return };
    create(&config, "tribunal/rotated", "old").await;
    let hands = Hands::at(1_000_000);
    let store = store(&config, &hands);
    let now = async || store.secret("tribunal/rotated").await.unwrap().expose().to_owned();
    assert_eq!(now().await, "old");
    change(&config, "tribunal/rotated", "new").await;
    assert_eq!(now().await, "old", "kept");
    store.forget("tribunal/other").await;
    hands.wait(FRESH);
    assert_eq!(now().await, "old", "another one was forgotten");
    store.forget("tribunal/rotated").await;
    assert_eq!(now().await, "new");
    change(&config, "tribunal/rotated", "newest").await;
    store.forget("tribunal/rotated").await;
    hands.wait(FRESH - Duration::from_millis(1));
    assert_eq!(now().await, "new", "just read: a wrong password is not read over and over");
    hands.wait(Duration::from_millis(1));
    assert_eq!(now().await, "newest", "and forgotten all the same");
    change(&config, "tribunal/rotated", "newer").await;
    hands.wait(KEPT - Duration::from_millis(1));
    assert_eq!(now().await, "newest");
    hands.wait(Duration::from_millis(1));
    assert_eq!(now().await, "newer", "too old to be kept");
}

#[tokio::test]
async fn failures_say_why_and_never_what() {
    let Some(config) = local() else { return };
    let client = aws_sdk_secretsmanager::Client::new(&config);
    let binary = client.create_secret().name("tribunal/binary").secret_binary(Blob::new(b"hunter2".to_vec()));
    Box::pin(binary.send()).await.unwrap();
    let store = store(&config, &Hands::at(0));
    let error = async |name: &str| store.secret(name).await.unwrap_err();
    assert_eq!(error("tribunal/none").await.to_string(), "Secrets Manager answers ResourceNotFoundException");
    let not_text = error("tribunal/binary").await;
    assert_eq!(not_text.to_string(), "it is not a text");
    assert!(!format!("{not_text:?}").contains("hunter2"));
    // A port that nobody listens at.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = self::store(&client_of(&format!("http://{closed}")), &Hands::at(0));
    let error = nobody.secret("tribunal/plain").await.unwrap_err();
    assert_eq!(error.to_string(), "Secrets Manager cannot be reached: no connection");
}

/// A service that takes one token, and the source that asks it with the secret `tribunal/token`.
async fn service(store: SecretsManager) -> (Arc<Mutex<String>>, Box<dyn Source>) {
    let token = Arc::new(Mutex::new(String::new()));
    let taken = Arc::clone(&token);
    let answer = async move |headers: HeaderMap| {
        let known = headers.get("x-token").is_some_and(|given| *given == *taken.lock().unwrap());
        if known { (StatusCode::OK, "[{\"score\": 1}]") } else { (StatusCode::UNAUTHORIZED, "") }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().route("/{entity}", get(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let text = format!(
        "[sources.a.http]\nurl = \"http://{address}/{{entity}}\"\ntls = false\nallow_private = true\n\
         [sources.a.http.headers]\nX-Token = {{ secret = \"tribunal/token\" }}\n"
    );
    let declaration: Declaration = toml::from_str(&text).unwrap();
    let secrets: Arc<dyn SecretStore> = Arc::new(store);
    (token, open_server(&declaration.sources["a"], &secrets).unwrap())
}

async fn ask(source: &dyn Source) -> Result<usize, SourceError> {
    let entity = Entity::parse("evil.com").unwrap();
    let replies = Replies::new(1);
    source.ask(&[Subject { entity: &entity, facts: None }], &replies).await?;
    replies.into_inner().remove(0).unwrap().map(|record| record.rows.len())
}

#[tokio::test]
async fn an_adapter_that_is_refused_takes_the_rotated_secret() {
    let Some(config) = local() else { return };
    create(&config, "tribunal/token", "one").await;
    let hands = Hands::at(0);
    let (token, source) = service(store(&config, &hands)).await;
    "one".clone_into(&mut token.lock().unwrap());
    assert_eq!(ask(&*source).await.unwrap(), 1);
    change(&config, "tribunal/token", "two").await;
    "two".clone_into(&mut token.lock().unwrap());
    assert_eq!(ask(&*source).await.unwrap_err().code(), "refused", "read a moment ago");
    hands.wait(FRESH);
    assert_eq!(ask(&*source).await.unwrap(), 1);
}

/// The environment of a process cannot be changed safely: another one is started with the variable set.
#[test]
fn the_environment_comes_first() {
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "secrets::with_a_variable_nothing_is_asked", "--ignored"])
        .env("TRIBUNAL_SECRET_TRIBUNAL_LOCAL", "of the environment")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && out.contains("1 passed"), "{out}");
}

#[tokio::test]
#[ignore = "needs a variable: the_environment_comes_first runs it"]
async fn with_a_variable_nothing_is_asked() {
    let nobody = store(&client_of("http://127.0.0.1:9"), &Hands::at(0));
    assert_eq!(nobody.secret("tribunal/local").await.unwrap().expose(), "of the environment");
}
